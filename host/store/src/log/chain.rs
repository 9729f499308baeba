//! The chain of seals: `chain.jsonl`, one line a seal, each covering the one before it.
//!
//! A line is the commit point of a seal: a segment without one does not count, and the write-ahead file is removed only once
//! its line is durable. The hash of a line is the [`ChainHash`] of the canonical encoding of: the previous hash (option of 32
//! bytes as bytes), the number of the seal, its first and last offset, its log time (option of i64), and the list of its
//! segments: source, first offset, last offset, rows, bytes (all u64), hash as bytes. Then, if a segment says how new its events
//! are or segments are retired, the list of the former (option of i64) and of the latter (hash as bytes).
//!
//! A seal may retire segments of earlier ones, all of whose events are older than their source keeps. So what is gone by
//! retention is in the chain, and what is gone otherwise is damage.

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use oast_core::{Canonical, ChainHash, SegmentHash, Timestamp};

use crate::{Result, StoreError, disk};

/// One immutable Parquet file: events of one source and one schema, in offset order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Segment {
    /// The source of the events.
    pub source: String,
    /// The offset of the first event.
    pub first_offset: u64,
    /// The offset of the last event. Those between need not all be of this source.
    pub last_offset: u64,
    /// How many events there are.
    pub rows: u64,
    /// The size of the file.
    pub bytes: u64,
    /// The hash of the file.
    pub hash: SegmentHash,
    /// The latest ingest time among the events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Timestamp>,
}

impl Segment {
    /// The name of the file in the log's folder.
    pub fn file_name(&self) -> String {
        format!("{}-{:020}-{}.parquet", self.source, self.first_offset, self.hash)
    }
}

/// A link of the chain: the segments that one write-ahead file became.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Seal {
    /// The number of the seal, from 0.
    pub seal: u64,
    /// The first offset it covers.
    pub first_offset: u64,
    /// The last offset it covers.
    pub through_offset: u64,
    /// The latest tick of the log's clock among all events up to here.
    pub log_time: Option<Timestamp>,
    /// The segments, by first offset.
    pub segments: Vec<Segment>,
    /// The segments of earlier seals that retention removes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<SegmentHash>,
    /// The hash of the seal before.
    pub previous: Option<ChainHash>,
    /// The hash of this seal, which covers all of the above.
    pub hash: ChainHash,
}

impl Seal {
    /// The seal of these segments on top of `previous`.
    pub(super) fn new(
        previous: Option<&Seal>,
        range: (u64, u64),
        time: Option<Timestamp>,
        segments: Vec<Segment>,
        retired: Vec<SegmentHash>,
    ) -> Self {
        let mut seal = Self {
            seal: previous.map_or(0, |previous| previous.seal + 1),
            first_offset: range.0,
            through_offset: range.1,
            log_time: time.max(previous.and_then(|previous| previous.log_time)),
            segments,
            retired,
            previous: previous.map(|previous| previous.hash),
            hash: ChainHash::of(b""),
        };
        seal.hash = seal.expected_hash();
        seal
    }

    fn expected_hash(&self) -> ChainHash {
        let mut canonical = Canonical::new();
        canonical.option(self.previous, |canonical, hash| {
            canonical.bytes(hash.as_bytes());
        });
        canonical.u64(self.seal).u64(self.first_offset).u64(self.through_offset);
        canonical.option(self.log_time, |canonical, time| {
            canonical.i64(time.as_micros());
        });
        canonical.list(&self.segments, |canonical, segment| {
            canonical.text(&segment.source).u64(segment.first_offset).u64(segment.last_offset);
            canonical.u64(segment.rows).u64(segment.bytes).bytes(segment.hash.as_bytes());
        });
        if !self.retired.is_empty() || self.segments.iter().any(|segment| segment.newest.is_some()) {
            canonical.list(&self.segments, |canonical, segment| {
                canonical.option(segment.newest, |canonical, newest| {
                    canonical.i64(newest.as_micros());
                });
            });
            canonical.list(&self.retired, |canonical, hash| {
                canonical.bytes(hash.as_bytes());
            });
        }
        ChainHash::of(canonical.as_bytes())
    }

    fn follows(&self, previous: Option<&Seal>) -> bool {
        let (number, first) = previous.map_or((0, 0), |previous| (previous.seal + 1, previous.through_offset + 1));
        self.hash == self.expected_hash()
            && self.previous == previous.map(|previous| previous.hash)
            && (self.seal, self.first_offset) == (number, first)
            && self.through_offset >= first
    }
}

/// A line that is not a seal.
pub(super) struct BadLine {
    pub(super) position: u64,
    pub(super) what: String,
}

/// The chain as it was read: its sound seals, and what is wrong with the last line if that is not one.
pub(super) struct Chain {
    path: PathBuf,
    pub(super) seals: Vec<Arc<Seal>>,
    /// How much of the file the sound seals take.
    sound_bytes: u64,
    /// What to report should the log turn out to need the last line.
    pub(super) damage: Option<BadLine>,
}

impl Chain {
    /// Reads the chain and checks its links. A last line that is not sound was perhaps torn by a crash, in which case the
    /// write-ahead file still has its events; the caller decides. Any other line that is not sound is an error.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("chain.jsonl");
        let text = disk::read_if_there(&path)?.unwrap_or_default();
        let mut chain = Self { path, seals: Vec::new(), sound_bytes: 0, damage: None };
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if let Some(BadLine { position, what }) = chain.damage {
                return Err(StoreError::damaged(&chain.path, position, what));
            }
            match serde_json::from_slice::<Seal>(line) {
                Ok(seal) if seal.follows(chain.seals.last().map(Arc::as_ref)) && line.ends_with(b"\n") => {
                    chain.sound_bytes += line.len() as u64;
                    chain.seals.push(Arc::new(seal));
                }
                _ => {
                    let what = format!("line {} is not the seal that was written", chain.seals.len() + 1);
                    chain.damage = Some(BadLine { position: chain.sound_bytes, what });
                }
            }
        }
        Ok(chain)
    }

    /// The offset after the last sealed one.
    pub(super) fn end_offset(&self) -> u64 {
        self.seals.last().map_or(0, |seal| seal.through_offset + 1)
    }

    /// Removes a last line that is not sound.
    pub(super) fn cut_torn_line(&self) -> Result<()> {
        let cut = || {
            let file = OpenOptions::new().write(true).open(&self.path)?;
            file.set_len(self.sound_bytes)?;
            file.sync_all()
        };
        if self.damage.is_some() { cut().map_err(StoreError::io("cut the torn line of", &self.path)) } else { Ok(()) }
    }

    /// The file, to add seals to.
    pub(super) fn into_file(self) -> ChainFile {
        ChainFile { path: self.path, length: self.sound_bytes }
    }
}

/// The file of the chain, to which seals are added.
pub(super) struct ChainFile {
    path: PathBuf,
    length: u64,
}

impl ChainFile {
    /// Adds a seal, durably. What a failed attempt left of a line is cut off first.
    pub(super) fn append(&mut self, seal: &Seal) -> Result<()> {
        let mut line = serde_json::to_vec(seal).expect("a seal is plain data");
        line.push(b'\n');
        let append = || {
            let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            file.set_len(self.length)?;
            file.write_all(&line)?;
            file.sync_all()
        };
        append().map_err(StoreError::io("write", &self.path))?;
        disk::sync_folder_of(&self.path)?;
        self.length += line.len() as u64;
        Ok(())
    }
}
