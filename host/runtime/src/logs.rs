use std::collections::BTreeMap;

use oast_core::{ChainHash, SegmentHash};
use serde::{Deserialize, Serialize};

use crate::{Runtime, RuntimeError};

/// What the event log holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogReport {
    /// The offset that the next event gets.
    pub next_offset: u64,
    /// The hash that covers every sealed event.
    pub head: Option<ChainHash>,
    /// Events that are in write-ahead files only, in bytes.
    pub unsealed_bytes: u64,
    /// The segments of each source, in the order of the chain.
    pub sources: BTreeMap<String, Vec<LogSegment>>,
}

/// A sealed file of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSegment {
    /// Its name in the log's folder; any Parquet reader opens it.
    pub file: String,
    /// The offset of its first event.
    pub first_offset: u64,
    /// The offset of its last event.
    pub last_offset: u64,
    /// How many events it has.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// Its hash.
    pub hash: SegmentHash,
}

/// What came of going through the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogVerification {
    /// How many segments were read and compared with the chain.
    pub segments: u64,
    /// Their size.
    pub bytes: u64,
    /// The hash that covers every sealed event.
    pub head: Option<ChainHash>,
    /// The first thing that is wrong.
    pub damage: Option<String>,
}

impl Runtime {
    /// What the event log holds.
    pub fn log_report(&self) -> LogReport {
        let mut sources: BTreeMap<String, Vec<LogSegment>> =
            self.log.sources().into_iter().map(|source| (source, Vec::new())).collect();
        for segment in self.log.segments(None) {
            let file = segment.file_name();
            let oast_store::Segment { source, first_offset, last_offset, rows, bytes, hash, newest: _ } = segment;
            let segment = LogSegment { file, first_offset, last_offset, rows, bytes, hash };
            sources.entry(source).or_default().push(segment);
        }
        let (next_offset, head) = (self.log.next_offset(), self.log.chain_head());
        LogReport { next_offset, head, unsealed_bytes: self.log.size().wal_bytes, sources }
    }

    /// Reads every segment and compares it with the chain, whose links were checked when the log was opened.
    pub fn log_verify(&self) -> Result<LogVerification, RuntimeError> {
        let verified = self.log.verify();
        let size = self.log.size();
        let found = LogVerification {
            segments: self.log.segments(None).len() as u64,
            bytes: size.segment_bytes,
            head: self.log.chain_head(),
            damage: None,
        };
        match verified {
            Ok(_) => Ok(found),
            Err(error) if error.is_damage() => Ok(LogVerification { damage: Some(error.to_string()), ..found }),
            Err(error) => Err(error.into()),
        }
    }
}
