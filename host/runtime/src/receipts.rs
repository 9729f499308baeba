use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use oast_core::{ReceiptHash, ServiceVersion, Timestamp};
use serde::Serialize;
use serde_json::Value as Json;

use crate::{
    LookupResponse, LookupRow, Progress, Receipt, Runtime, RuntimeError,
    fold::Features,
    json,
    lookup::{Entity, read_entity, request_batch},
    past::PastRow,
    receipt::{digest, output_hash},
    service::{Answer, Service},
};

/// A receipt to be proved, with what was answered if that is at hand.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceiptRecord {
    /// Where it was read from.
    pub place: String,
    /// The receipt.
    pub receipt: Receipt,
    /// What was answered.
    pub answered: Option<LookupResponse>,
}

impl ReceiptRecord {
    /// The receipt of an answer, if it has one.
    pub fn of(place: impl Into<String>, answered: LookupResponse) -> Option<Self> {
        let receipt = answered.receipt.clone()?;
        Some(Self { place: place.into(), receipt, answered: Some(answered) })
    }
}

/// What came of deriving some answers again.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ReceiptsVerification {
    /// How many receipts were looked at.
    pub receipts: u64,
    /// How many of them were proved.
    pub proved: u64,
    /// How many values were derived.
    pub values: u64,
    /// Those that were not proved, in the order in which they were read.
    pub failures: Vec<ReceiptFailure>,
}

/// A receipt that was not proved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReceiptFailure {
    /// The receipt.
    pub id: ReceiptHash,
    /// Where it was read from.
    pub place: String,
    /// The service.
    pub service: String,
    /// The time of the lookup.
    pub time: String,
    /// The first value that differs, where what was answered is at hand.
    pub difference: Option<ServedDifference>,
    /// What is wrong, and the likeliest cause.
    pub cause: String,
}

/// A value that was served and is derived as something else.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServedDifference {
    /// The entity's place in the request, from 1.
    pub row: u64,
    /// The feature, or `event time of` a view.
    pub feature: String,
    /// What was served, and its status.
    pub served: (Json, String),
    /// What is derived, and its status.
    pub derived: (Json, String),
}

impl ReceiptsVerification {
    /// Whether every receipt was proved.
    pub fn all_proved(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Reads receipts from a file, from all files of a folder, or from standard input for `-`: answers of lookups, or their receipts
/// alone, each as JSON, one after the other.
pub fn read_receipts(path: &Path) -> Result<Vec<ReceiptRecord>, RuntimeError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| RuntimeError::File { action: "read", path, source }
    };
    if path == Path::new("-") {
        return parse_receipts(path, std::io::stdin().lock());
    }
    if !path.is_dir() {
        let file = std::fs::File::open(path).map_err(failed(path))?;
        return parse_receipts(path, BufReader::new(file));
    }
    let entries = std::fs::read_dir(path).map_err(failed(path))?;
    let files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<PathBuf>, _>>();
    let mut files = files.map_err(failed(path))?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl" || extension == "json"));
    files.sort();
    let mut records = Vec::new();
    for file in files {
        records.append(&mut read_receipts(&file)?);
    }
    Ok(records)
}

fn parse_receipts(path: &Path, input: impl BufRead) -> Result<Vec<ReceiptRecord>, RuntimeError> {
    let malformed = |source| RuntimeError::Malformed { path: path.to_owned(), expected: "a file of receipts", source };
    let values = serde_json::Deserializer::from_reader(input).into_iter::<Json>();
    let read = |(at, value): (usize, Result<Json, serde_json::Error>)| {
        let value = value.map_err(malformed)?;
        let place = format!("{}, receipt {}", path.display(), at + 1);
        if value.get("receipt").is_none_or(Json::is_null) {
            let receipt = serde_json::from_value(value).map_err(malformed)?;
            return Ok(ReceiptRecord { place, receipt, answered: None });
        }
        let response: LookupResponse = serde_json::from_value(value).map_err(malformed)?;
        Ok(ReceiptRecord::of(place, response).expect("the field is there"))
    };
    values.enumerate().map(read).collect()
}

/// A receipt whose lookup can be done again.
struct Sound<'r> {
    at: usize,
    record: &'r ReceiptRecord,
    time: Timestamp,
    entities: Vec<Entity>,
}

impl Runtime {
    /// Derives what was served from the log again and compares it with the receipts, bit for bit.
    pub fn verify_receipts(
        &self,
        records: &[ReceiptRecord],
        progress: &dyn Progress,
    ) -> Result<ReceiptsVerification, RuntimeError> {
        let mut of_version: BTreeMap<ServiceVersion, Vec<usize>> = BTreeMap::new();
        for (at, record) in records.iter().enumerate() {
            of_version.entry(record.receipt.version).or_default().push(at);
        }
        let mut verification = ReceiptsVerification { receipts: records.len() as u64, ..Default::default() };
        let mut causes: BTreeMap<usize, (Option<ServedDifference>, String)> = BTreeMap::new();
        for (version, of_version) in of_version {
            match self.service_version(&version.to_string()) {
                Ok(service) => {
                    self.verify_of_service(&service, records, &of_version, &mut causes, &mut verification, progress)?;
                }
                Err(RuntimeError::Unknown { .. }) => {
                    let cause = format!("this data folder has no version {} of the service", version.short());
                    causes.extend(of_version.into_iter().map(|at| (at, (None, cause.clone()))));
                }
                Err(error) => return Err(error),
            }
        }
        verification.proved = verification.receipts - causes.len() as u64;
        let failure = |(at, (difference, cause)): (usize, (Option<ServedDifference>, String))| {
            let ReceiptRecord { place, receipt, .. } = &records[at];
            let (service, time) = (receipt.service.clone(), receipt.time.clone());
            ReceiptFailure { id: receipt.id, place: place.clone(), service, time, difference, cause }
        };
        verification.failures = causes.into_iter().map(failure).collect();
        Ok(verification)
    }

    fn verify_of_service(
        &self,
        service: &Service,
        records: &[ReceiptRecord],
        of_version: &[usize],
        causes: &mut BTreeMap<usize, (Option<ServedDifference>, String)>,
        verification: &mut ReceiptsVerification,
        progress: &dyn Progress,
    ) -> Result<(), RuntimeError> {
        let mut sound = Vec::new();
        for at in of_version {
            match self.read_sound(service, *at, &records[*at])? {
                Ok(read) => sound.push(read),
                Err(cause) => drop(causes.insert(*at, (None, cause))),
            }
        }
        let derived = self.answer_of_past(service, &sound, progress)?;
        let answer = &derived.answer;
        let mut first = 0;
        for Sound { at, record, entities, .. } in &sound {
            let rows = first..first + entities.len();
            first = rows.end;
            verification.values += (rows.len() * answer.columns.len()) as u64;
            let served = record.answered.as_ref();
            let difference =
                served.and_then(|served| derived.first_difference(service, rows.start, entities, &served.rows));
            if difference.is_some() || output_hash(answer, rows) != record.receipt.output_hash {
                let cause = self.likely_cause(&record.receipt, difference.is_some(), served.is_some());
                causes.insert(*at, (difference, cause));
            }
        }
        Ok(())
    }

    /// Reads what was asked, or says why the receipt cannot be what the daemon gave.
    fn read_sound<'r>(
        &self,
        service: &Service,
        at: usize,
        record: &'r ReceiptRecord,
    ) -> Result<Result<Sound<'r>, String>, RuntimeError> {
        let receipt = &record.receipt;
        if receipt.id != receipt.id_of() {
            return Ok(Err("the receipt was edited: its id belongs to another one".to_owned()));
        }
        if let Some(edited) = record.answered.as_ref().and_then(|answered| edited_part(service, receipt, answered)) {
            return Ok(Err(format!("the answer was edited: {edited} not what the receipt says")));
        }
        let Ok(time) = receipt.time.parse() else {
            return Ok(Err(format!("`{}` is no time", receipt.time)));
        };
        let entities = (0..receipt.entities.len())
            .map(|row| read_entity(service, &receipt.entities, &receipt.request, row))
            .collect::<Result<Vec<_>, _>>()?;
        if digest(service, &entities) != receipt.request_digest {
            return Ok(Err("the receipt was edited: its digest belongs to another request".to_owned()));
        }
        let end = self.log.next_offset();
        if receipt.offset > end {
            let cause =
                format!("the lookup saw the log up to offset {}, and the log ends at {end} here", receipt.offset);
            return Ok(Err(cause));
        }
        if let Some(error) = service.views.iter().find_map(|view| self.check_kept(view, &[time]).err()) {
            return Ok(Err(error.to_string()));
        }
        Ok(Ok(Sound { at, record, time, entities }))
    }

    /// What all these lookups come to, one after the other.
    fn answer_of_past(
        &self,
        service: &Service,
        sound: &[Sound<'_>],
        progress: &dyn Progress,
    ) -> Result<Derived, RuntimeError> {
        let mut views = Vec::with_capacity(service.views.len());
        for (at, view) in service.views.iter().enumerate() {
            let row = |lookup: &Sound<'_>, entity: &Entity| PastRow {
                key: entity.keys[at].clone(),
                time: lookup.time,
                offset: lookup.record.receipt.offset,
            };
            let rows = sound.iter().flat_map(|lookup| lookup.entities.iter().map(move |entity| row(lookup, entity)));
            views.push(self.past_features(view, &rows.collect::<Vec<_>>(), progress)?);
        }
        let entities: Vec<&Entity> = sound.iter().flat_map(|lookup| &lookup.entities).collect();
        let answer = service.answer(&views, &request_batch(service, &entities), None)?;
        Ok(Derived { answer, views })
    }

    fn likely_cause(&self, receipt: &Receipt, value_differs: bool, values_known: bool) -> String {
        if receipt.engine != self.fingerprint() {
            "another engine served it; this is a difference between engines, and not skew".to_owned()
        } else if values_known && !value_differs {
            "every value is as served, but the output hash is not theirs: the answer or its hash was edited".to_owned()
        } else if let Err(error) = self.log.verify() {
            format!("the log is not what it was: {error}")
        } else if values_known {
            "the answer was edited after it was served, or the log or a component differs".to_owned()
        } else {
            "the output hash is not that of what is derived; with the whole answer the value could be named".to_owned()
        }
    }
}

/// The part of an answer, beside its rows' content, that its receipt or its service contradicts.
fn edited_part(service: &Service, receipt: &Receipt, answered: &LookupResponse) -> Option<&'static str> {
    let LookupResponse { service: name, version, time, offset, features, rows, receipt: _ } = answered;
    let width = features.len();
    let checks = [
        (*name == receipt.service, "its `service` is"),
        (*version == receipt.version, "its `version` is"),
        (*time == receipt.time, "its `time` is"),
        (*offset == receipt.offset, "its `offset` is"),
        (*features == service.names(), "its `features` are"),
        (rows.len() == receipt.entities.len(), "the number of its `rows` is"),
        (rows.iter().all(|row| row.values.len() == width && row.status.len() == width), "the number of its values is"),
    ];
    checks.into_iter().find_map(|(holds, what)| (!holds).then_some(what))
}

/// What lookups of the past come to.
struct Derived {
    answer: Answer,
    /// The features of each view of the service.
    views: Vec<Features>,
}

impl Derived {
    /// The first value of an answer, or event time, that is not derived as it was served.
    fn first_difference(
        &self,
        service: &Service,
        first: usize,
        entities: &[Entity],
        served: &[LookupRow],
    ) -> Option<ServedDifference> {
        let names = service.names();
        for (row, (entity, served)) in entities.iter().zip(served).enumerate() {
            let number = row as u64 + 1;
            for (at, name) in names.iter().enumerate() {
                let derived = self.value(entity, at, first + row);
                let told = (served.values[at].clone(), served.status[at].name().to_owned());
                if told != derived {
                    return Some(ServedDifference { row: number, feature: name.clone(), served: told, derived });
                }
            }
            let derived = self.event_times(service, entity, first + row);
            let views = derived.keys().chain(served.event_times.keys());
            if let Some(view) = views.into_iter().find(|view| derived.get(*view) != served.event_times.get(*view)) {
                let shown = |times: &BTreeMap<String, Option<String>>| match times.get(view) {
                    Some(time) => (serde_json::json!(time), "event time".to_owned()),
                    None => (Json::Null, "missing".to_owned()),
                };
                let (feature, served) = (format!("event time of {view}"), shown(&served.event_times));
                return Some(ServedDifference { row: number, feature, served, derived: shown(&derived) });
            }
        }
        None
    }

    fn value(&self, entity: &Entity, feature: usize, row: usize) -> (Json, String) {
        if entity.error.is_some() {
            return (Json::Null, oast_core::Status::Rejected.name().to_owned());
        }
        let value = self.answer.columns[feature].get(row);
        (json::to_json(value.as_ref()), self.answer.statuses[feature][row].name().to_owned())
    }

    fn event_times(&self, service: &Service, entity: &Entity, row: usize) -> BTreeMap<String, Option<String>> {
        if entity.error.is_some() {
            return BTreeMap::new();
        }
        let newest = |features: &Features| features.newest[row].map(|time| time.to_string());
        let views = service.views.iter().zip(&self.views);
        views.map(|(view, features)| (view.spec.name.clone(), newest(features))).collect()
    }
}
