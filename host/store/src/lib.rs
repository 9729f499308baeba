//! The event log, its segments, the state in sled and the catalog's files.
//!
//! This crate is the only user of sled and of files, and knows nothing of components, views, services or requests. It keeps
//! seven things, all but the last two in one data directory, of which the first is the source of truth:
//!
//! - the [`EventLog`]: raw events in one sequence of offsets, durable once acknowledged, sealed into Parquet segments whose
//!   hashes are chained;
//! - the [`State`]: what was derived from the log, in sled. It can be deleted at any time and is then derived again;
//! - the [`Catalog`]: components and definitions by hash, and the history of the names that point at them;
//! - the [`Quarantine`]: events that were not logged, for people to mend;
//! - the [`Receipts`] of lookups, to be proved later;
//! - tables: spines, datasets and snapshots that users bring or take away, read by [`TableReader`] and written by
//!   [`TableWriter`];
//! - a [`SpillFile`] with what a replay cannot keep in memory, gone with the process.
//!
//! Every call blocks. Whatever is written replaces what was there in one step: it is written aside, synced and renamed, so a
//! crash leaves the old file or the new one.

mod error;

pub mod arrow;
mod catalog;
mod clock;
mod data_dir;
mod disk;
mod log;
mod memory;
mod quarantine;
mod receipts;
mod spill;
mod state;
mod table;

pub use catalog::{Catalog, Publication, Record};
pub use clock::LogClock;
pub use data_dir::DataDir;
pub use disk::write_whole;
pub use error::{Result, StoreError};
pub use log::{
    AppendRequest, Appended, EventBatch, EventLog, INGEST_TIME_COLUMN, IngestTimes, LogOptions, LogSize, OFFSET_COLUMN,
    Recovery, Scan, Seal, Segment, Submitted, Verified,
};
pub use memory::memory_of_machine;
pub use quarantine::Quarantine;
pub use receipts::Receipts;
pub use spill::{SpillFile, SpilledRows};
pub use state::{Entries, Op, State, StateRecovery};
pub use table::{Columns, Format, NarrowTypes, TableFiles, TableReader, TableWriter, Written};

/// The most rows that a batch read from the log or from a table has.
pub const BATCH_ROWS: usize = 8192;

/// The most events of one append that become known at one moment.
pub const EVENTS_PER_TICK: usize = 1024;
