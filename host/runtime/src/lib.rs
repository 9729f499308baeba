//! The one runtime behind the daemon and the replay.
//!
//! A [`Runtime`] owns a data directory: its event log, its online state and its catalog. Definitions are published into it,
//! events ingested, features looked up, datasets replayed and proved. Whatever computes a feature goes through one step, the
//! module `fold`: the daemon drives it with events as they come, a replay with events from the log or from files, and
//! neither has a second way.

mod apply;
pub mod bench;
mod binding;
mod catalog;
mod error;
mod fold;
mod ingest;
mod inspect;
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
pub use ingest::{Arrival, Events, IngestReport, Quarantined};
pub use inspect::{InspectedDescriptor, Inspection, inspect};
pub use intake::arrow_stream;
pub use json::to_json as value_json;
pub use library::StandardPlugin;
pub use lock::LockFile;
pub use lookup::{LookupRequest, LookupResponse, LookupRow, Receipt, RowError};
pub use manifest::{
    ColumnEntry, DatasetEntry, EngineEntry, EventsEntry, FeatureEntry, LogEntry, Manifest, PluginEntry, ServiceEntry,
    SpineEntry, ViewEntry, manifest_path,
};
pub use oast_core::{
    Batch, Column, DataType, Field, Schema, Status, Timestamp, Value, Values,
    definition::{Definition, DefinitionErrors},
};
pub use oast_engine::{COMPILE_COMMAND, compile_in_this_process};
pub use oast_store::{Columns, Format, StoreError, TableReader, TableWriter};
pub use progress::Progress;
pub use replay::{ReplayOptions, Timing};
pub use runtime::{
    ClockMode, InstanceStatus, Options, RecoveryReport, Runtime, RuntimeStatus, ViewStatus, compile_apart,
};
pub use verify::{Check, Difference, Verification};
