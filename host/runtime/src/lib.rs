//! The one runtime behind the daemon and the replay.
//!
//! A [`Runtime`] owns a data directory: its event log, its online state and its catalog. Definitions are published into it,
//! events ingested, features looked up, datasets replayed and proved. Whatever computes a feature goes through one step, the
//! module `fold`: the daemon drives it with events as they come, a replay with events from the log or from files, and
//! neither has a second way.

mod apply;
mod binding;
mod catalog;
mod error;
mod fold;
mod ingest;
mod intake;
mod json;
mod library;
mod lock;
mod lookup;
mod manifest;
mod online;
mod progress;
mod replay;
mod runtime;
mod service;
mod spec;
mod verify;
mod view;

pub use apply::{ApplyReport, Change, read_definition};
pub use catalog::CatalogEntry;
pub use error::{ErrorKind, RuntimeError};
pub use ingest::{Events, IngestReport, Quarantined};
pub use library::StandardPlugin;
pub use lock::LockFile;
pub use lookup::{LookupRequest, LookupResponse, LookupRow, Receipt};
pub use manifest::{Manifest, manifest_path};
pub use oast_core::{Status, Timestamp, definition::Definition};
pub use oast_store::Format;
pub use progress::Progress;
pub use replay::ReplayOptions;
pub use runtime::{ClockMode, Options, RecoveryReport, Runtime, RuntimeStatus};
pub use verify::{Check, Difference, Verification};

/// What the benches and the demo's speed lines need of the layers below.
pub mod bench {
    pub use oast_core::{Batch, Blobs, Column, DataType, Field, Limits, Schema, Values};
    pub use oast_engine::{Engine, Plugin};
}
