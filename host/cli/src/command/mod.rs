//! One file a command: from arguments to one call of the runtime, and its answer to standard output.

mod apply;
mod catalog;
mod diff;
mod diff_html;
mod ingest;
mod lineage;
mod local;
mod log;
mod lookup;
mod manifest;
mod plugin;
mod quarantine;
mod replay;
mod serve;
mod verify;

pub(crate) use apply::apply;
pub(crate) use catalog::catalog;
pub(crate) use diff::diff;
pub(crate) use ingest::ingest;
pub(crate) use lineage::LineageSink;
pub(crate) use local::{create, open, serve_from};
pub(crate) use log::log;
pub(crate) use lookup::{lookup, shown};
pub(crate) use manifest::manifest;
pub(crate) use plugin::plugin;
pub(crate) use quarantine::quarantine;
pub(crate) use replay::replay;
pub(crate) use serve::serve;
pub(crate) use verify::verify;
