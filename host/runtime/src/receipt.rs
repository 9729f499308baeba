use std::str::FromStr;

use oast_core::{Canonical, EngineFingerprint, OutputHash, ReceiptHash, RequestDigest, ServiceVersion, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::{
    LookupAnswer, LookupRequest, LookupResponse, Runtime, RuntimeError,
    lookup::Entity,
    service::{Answer, Service},
};

/// What a lookup can be derived again from, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The hash of everything below but the texts of the request, which its digest covers.
    pub id: ReceiptHash,
    /// The service.
    pub service: String,
    /// Its version.
    pub version: ServiceVersion,
    /// The time T of the lookup.
    pub time: String,
    /// The offset below which it saw the log.
    pub offset: u64,
    /// The engine that ran it.
    pub engine: EngineFingerprint,
    /// The join keys as they were sent.
    pub entities: Vec<Map<String, Json>>,
    /// The request fields as they were sent.
    pub request: Vec<Map<String, Json>>,
    /// The hash of both.
    pub request_digest: RequestDigest,
    /// The hash of the values and statuses.
    pub output_hash: OutputHash,
}

impl Receipt {
    /// The id of a receipt that says this.
    pub(crate) fn id_of(&self) -> ReceiptHash {
        let mut canonical = Canonical::new();
        canonical.text(&self.service).bytes(self.version.as_bytes()).text(&self.time).u64(self.offset);
        canonical.bytes(self.engine.as_bytes());
        canonical.bytes(self.request_digest.as_bytes()).bytes(self.output_hash.as_bytes());
        ReceiptHash::of(canonical.as_bytes())
    }
}

/// Which receipts a daemon keeps.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum ReceiptPolicy {
    /// Those that callers ask for.
    #[default]
    Asked,
    /// Those that callers ask for, and this share of the others.
    Rate(f64),
    /// None, not even those that callers ask for and are given.
    Nothing,
}

impl FromStr for ReceiptPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "asked" => Ok(Self::Asked),
            "all" => Ok(Self::Rate(1.0)),
            "none" => Ok(Self::Nothing),
            _ => match text.parse() {
                Ok(rate) if (0.0..=1.0).contains(&rate) => Ok(Self::Rate(rate)),
                _ => Err("expected `asked`, `all`, `none`, or a share between 0 and 1 such as `0.01`".to_owned()),
            },
        }
    }
}

impl ReceiptPolicy {
    /// Whether the receipt of a lookup may come to be kept.
    pub(crate) fn may_keep(self, asked: bool) -> bool {
        match self {
            Self::Asked => asked,
            Self::Rate(_) => true,
            Self::Nothing => false,
        }
    }

    /// Whether the receipt of a lookup is kept.
    pub(crate) fn keeps(self, asked: bool, time: Timestamp) -> bool {
        match self {
            Self::Asked => asked,
            Self::Rate(rate) => asked || chosen(rate, time),
            Self::Nothing => false,
        }
    }
}

/// Whether a lookup is among a share of all. Its time decides, so that nothing is random.
fn chosen(rate: f64, time: Timestamp) -> bool {
    let hash = ReceiptHash::of(&time.as_micros().to_be_bytes());
    let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
    // 32 bits are exact in a float, so that a rate of 1 takes all and one of 0 takes none.
    f64::from(u32::from_be_bytes(*first)) < rate * 2_f64.powi(32)
}

/// A receipt as it is kept: with what was answered, so that a difference can be named.
#[derive(Serialize)]
struct Kept<'r> {
    id: ReceiptHash,
    #[serde(flatten)]
    response: &'r LookupResponse,
}

impl Runtime {
    /// The receipt of a lookup.
    pub(crate) fn receipt(&self, answer: &LookupAnswer, entities: &[Entity], request: &LookupRequest) -> Receipt {
        let mut receipt = Receipt {
            id: ReceiptHash::of(&[]),
            service: answer.service.spec.name.clone(),
            version: answer.service.version,
            time: answer.time.to_string(),
            offset: answer.offset,
            engine: self.fingerprint(),
            entities: request.entities.clone(),
            request: request.request.clone(),
            request_digest: digest(&answer.service, entities),
            output_hash: output_hash(&answer.answer, 0..entities.len()),
        };
        receipt.id = receipt.id_of();
        receipt
    }

    /// Keeps an answer with its receipt. The caller is not refused what could not be kept.
    pub(crate) fn keep_receipt(&self, time: Timestamp, response: &LookupResponse) {
        let Some(receipt) = &response.receipt else { return };
        let line = serde_json::to_vec(&Kept { id: receipt.id, response }).expect("a response is JSON");
        if let Err(error) = self.receipts.keep(time, &line) {
            let error = &error as &dyn std::error::Error;
            tracing::error!(id = %receipt.id, error, "a receipt cannot be kept");
        }
    }

    /// A kept receipt, with what was answered.
    pub fn kept_receipt(&self, id: &str) -> Result<LookupResponse, RuntimeError> {
        let unknown = || RuntimeError::Unknown {
            kind: "receipt",
            name: id.to_owned(),
            hint: Some("start the daemon with `--receipts all`, or ask for receipts, to have them kept".to_owned()),
        };
        let id: ReceiptHash = id.parse().map_err(|_| unknown())?;
        let line = self.receipts.find(format!("{{\"id\":\"{id}\"").as_bytes())?.ok_or_else(unknown)?;
        let stored = |source| RuntimeError::Stored { what: format!("receipt {id}"), source };
        serde_json::from_slice(&line).map_err(stored)
    }
}

/// The hash of what was asked, as it was understood.
pub(crate) fn digest(service: &Service, entities: &[Entity]) -> RequestDigest {
    let mut canonical = Canonical::new();
    canonical.text(&service.spec.name);
    canonical.list(entities, |canonical, entity| {
        canonical.list(&entity.keys, |canonical, key| {
            canonical.option(key.as_ref(), |canonical, key| {
                canonical.bytes(key.as_bytes());
            });
        });
        canonical.list(&entity.request, |canonical, value| {
            canonical.value(value.as_ref());
        });
    });
    RequestDigest::of(canonical.as_bytes())
}

/// The hash of the values and statuses of some rows.
pub(crate) fn output_hash(answer: &Answer, rows: std::ops::Range<usize>) -> OutputHash {
    let mut canonical = Canonical::new();
    for row in rows {
        for (column, statuses) in answer.columns.iter().zip(&answer.statuses) {
            canonical.cell(column, row).text(statuses[row].name());
        }
    }
    OutputHash::of(canonical.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_from_its_text() {
        let check = |text: &str, expect: Option<ReceiptPolicy>| {
            assert_eq!(text.parse().ok(), expect, "{text}");
        };
        check("asked", Some(ReceiptPolicy::Asked));
        check("all", Some(ReceiptPolicy::Rate(1.0)));
        check("none", Some(ReceiptPolicy::Nothing));
        check("0.25", Some(ReceiptPolicy::Rate(0.25)));
        check("2", None);
        check("NaN", None);
        check("some", None);
    }

    #[test]
    fn a_rate_takes_its_share() {
        let taken = |rate| {
            let lookups = (0..10_000).map(Timestamp::from_micros);
            lookups.filter(|time| ReceiptPolicy::Rate(rate).keeps(false, *time)).count()
        };
        assert_eq!((taken(0.0), taken(1.0)), (0, 10_000));
        assert!((2_300..2_700).contains(&taken(0.25)), "{}", taken(0.25));
    }
}
