//! The nouns of Oast: values and schemas, times and windows, hashes and the encodings under them, limits and outcomes,
//! definitions.
//!
//! Nothing here does I/O, reads a clock or an environment variable, spawns a thread or waits. Every function is a pure
//! function of its arguments, which is what lets the daemon and a replay share all of it.

mod blobs;
mod canonical;
mod column;
mod column_builder;
pub mod definition;
mod descriptor;
mod entity;
mod gather;
mod hash;
mod limits;
mod outcome;
mod schema;
mod time;
mod value;
mod window;

pub use blobs::Blobs;
pub use canonical::{Canonical, DatasetHasher};
pub use column::{Batch, Column, ColumnError, Values};
pub use column_builder::ColumnBuilder;
pub use descriptor::{Descriptor, MergeLaw};
pub use entity::{EntityKey, EntityKeyError};
pub use gather::Pick;
pub use hash::{
    ChainHash, ComponentHash, DatasetHash, EngineFingerprint, HashParseError, OutputHash, ReceiptHash, RequestDigest,
    SegmentHash, ServiceVersion, SpineHash, TransformHash, ViewVersion,
};
pub use limits::{Fuel, Limits};
pub use outcome::{Failure, Outcome, Rejection, Status};
pub use schema::{DataType, Field, Schema, SchemaError, TypeParseError};
pub use time::{TimeParseError, TimeSpan, Timestamp};
pub use value::Value;
pub use window::{Block, Window};
