//! The one runtime behind the daemon and the replay.
//!
//! A [`Runtime`] owns a data directory: its event log, its online state and its catalog. Definitions are published into it,
//! events ingested, features looked up, datasets replayed and proved. Whatever computes a feature goes through one step, the
//! module `fold`: the daemon drives it with events as they come, a replay with events from the log or from files, and
//! neither has a second way.

mod apply;
mod audit;
pub mod bench;
mod binding;
mod catalog;
mod checks;
mod diff;
mod error;
mod explain;
mod fold;
mod golden;
mod ingest;
mod inspect;
mod intake;
mod json;
mod library;
mod live;
mod lock;
mod logs;
mod lookup;
mod manifest;
mod online;
mod past;
mod progress;
mod publish;
mod quarantine;
mod receipt;
mod receipts;
mod replay;
mod retention;
mod runtime;
mod samples;
mod sent;
mod service;
mod spec;
mod trial;
mod verify;
mod view;

pub use apply::{ApplyReport, Change, read_definition};
pub use audit::Conviction;
pub use catalog::CatalogEntry;
pub use checks::{check_plugin, examine_plugin};
pub use diff::{
    Bin, DiffOptions, DiffReport, DiffSubject, DifferingRow, Distribution, FeatureDiff, FeatureOfRow, VersionEntry,
};
pub use error::{ErrorKind, RuntimeError};
pub use explain::{ExplainedBlock, ExplainedEvents, ExplainedValue, ExplainedWindow, Explanation};
pub use golden::{GoldenCase, GoldenDifference, GoldenReport, load_component, run_golden};
pub use ingest::{Arrival, Events, IngestReport, Quarantined};
pub use inspect::{InspectedDescriptor, Inspection, PluginUse, inspect};
pub use intake::arrow_stream;
pub use json::to_json as value_json;
pub use library::StandardPlugin;
pub use lock::LockFile;
pub use logs::{LogReport, LogSegment, LogVerification};
pub use lookup::{LookupAnswer, LookupRequest, LookupResponse, LookupRow, RowError};
pub use manifest::{
    ColumnEntry, DatasetEntry, EngineEntry, EventsEntry, FeatureEntry, Histogram, LogEntry, Manifest, PluginEntry,
    ServiceEntry, SpineEntry, ViewEntry, manifest_path,
};
pub use oast_core::{
    Batch, Column, ComponentHash, DataType, Field, Schema, Status, TimeSpan, Timestamp, Value, Values,
    definition::{Definition, DefinitionErrors, nearest},
};
pub use oast_engine::{COMPILE_COMMAND, Measured, compile_in_this_process};
pub use oast_engine::{Check as LawCheck, CheckReport, CheckedUse, Finding};
pub use oast_store::{Columns, Format, StoreError, TableReader, TableWriter, write_whole};
pub use progress::Progress;
pub use publish::PluginPublication;
pub use quarantine::{Correction, QuarantineEntry, QuarantinedEvent, RetryReport};
pub use receipt::{Receipt, ReceiptPolicy};
pub use receipts::{ReceiptFailure, ReceiptRecord, ReceiptsVerification, ServedDifference, read_receipts};
pub use replay::{ColumnNames, ReplayOptions, Resources, Timing};
pub use runtime::{
    ClockMode, InstanceStatus, Options, RecoveryReport, Runtime, RuntimeStatus, ViewStatus, compile_apart,
};
pub use samples::{SAMPLES_SECTION, attach_samples, has_samples};
pub use sent::{SentDefinition, SentReport};
pub use trial::{Trial, TrialFeatures, TrialRow, try_plugin};
pub use verify::{Check, Difference, Share, Verification, VerifyOptions};
