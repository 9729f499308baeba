//! What users declare in `oast.toml`: sources, views and services, parsed and checked but not yet resolved to components.

mod aggregate;
mod document;
mod error;
mod field;
mod names;
mod params;
mod plugin;
mod reader;
mod scalar;
mod service;
mod source;
mod view;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

pub use document::Include;
pub use error::{DefinitionError, DefinitionErrors};
pub use names::{list, nearest, suggest};

use crate::{Schema, TimeSpan, Value, Window};

/// Where in the definition files something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file, as it was named.
    pub file: Arc<PathBuf>,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// Everything that one `oast.toml`, with what it includes, declares. Names in it are checked against each other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Definition {
    /// The sources by name.
    pub sources: BTreeMap<String, Source>,
    /// The views by name.
    pub views: BTreeMap<String, View>,
    /// The services by name.
    pub services: BTreeMap<String, Service>,
}

impl Definition {
    /// Every plugin that is named, as often as it is.
    pub fn plugins(&self) -> impl Iterator<Item = &PluginRef> {
        let derives = self.services.values().flat_map(|service| &service.derives);
        self.views.values().flat_map(View::plugins).chain(derives).map(|plugin| &plugin.plugin)
    }
}

impl View {
    fn plugins(&self) -> impl Iterator<Item = &PluginUse> {
        let aggregates = match &self.features {
            ViewFeatures::Aggregates(aggregates) => &aggregates[..],
            ViewFeatures::Latest(_) => &[],
        };
        self.transforms.iter().chain(aggregates.iter().map(|aggregate| &aggregate.plugin))
    }
}

/// A raw stream of events.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The source's name.
    pub name: String,
    /// Where it is declared.
    pub location: Location,
    /// Every column of an event, sorted by name: join keys, times, idempotency key and fields.
    pub schema: Schema,
    /// The names of the columns that can be join keys, sorted.
    pub keys: Vec<String>,
    /// The timestamp column that says when an event happened.
    pub event_time: String,
    /// The timestamp column that says when imported history became known, if there is one.
    pub available_time: Option<String>,
    /// The column by which an event is recognised when it is sent again, if there is one.
    pub idempotency_key: Option<String>,
    /// How long the log keeps the source's events; for ever if nothing is said.
    pub retention: Option<TimeSpan>,
    /// How far ahead of the log's clock an event time may lie before the event is quarantined.
    pub max_future: TimeSpan,
    /// The gates that an event passes before it is logged.
    pub checks: Vec<Check>,
}

/// A gate on one column of a source; a null passes, since the schema says what may be null.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The column.
    pub field: String,
    /// The smallest value that passes.
    pub min: Option<Value>,
    /// The largest value that passes.
    pub max: Option<Value>,
    /// The only values that pass.
    pub one_of: Option<Vec<Value>>,
}

/// A plugin as a definition names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PluginRef {
    /// By name: the newest version in reach, pinned in `oast.lock`.
    Name(String),
    /// By name and exact version.
    Version {
        /// The plugin's name.
        name: String,
        /// The semantic version.
        version: String,
    },
    /// By the hash of the component.
    Hash(crate::ComponentHash),
}

impl fmt::Display for PluginRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Version { name, version } => write!(f, "{name}@{version}"),
            Self::Hash(hash) => hash.fmt(f),
        }
    }
}

/// One use of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginUse {
    /// Where it stands.
    pub location: Location,
    /// The plugin.
    pub plugin: PluginRef,
    /// The parameters as canonical JSON: keys sorted, no white space.
    pub params: String,
    /// The columns or feature references bound by position; by name if nothing is said.
    pub input: Option<Vec<String>>,
    /// New names for the columns that come back, by position.
    pub output: Option<Vec<String>>,
}

/// Features computed from one source by one definition.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The view's name.
    pub name: String,
    /// Where it is declared.
    pub location: Location,
    /// The source it reads.
    pub source: String,
    /// The names of its join keys, in the order they were given.
    pub entity: Vec<String>,
    /// The row transforms, in order.
    pub transforms: Vec<PluginUse>,
    /// How old the last event of an entity may be before its values expire.
    pub ttl: Option<TimeSpan>,
    /// What is computed.
    pub features: ViewFeatures,
}

/// What a view ends in.
#[derive(Debug, Clone, PartialEq)]
pub enum ViewFeatures {
    /// Aggregates over windows.
    Aggregates(Vec<Aggregate>),
    /// These columns of the last row of each entity.
    Latest(Vec<String>),
}

/// An aggregate over one or more windows.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// The plugin; its `input` is given, and its `output` is not.
    pub plugin: PluginUse,
    /// The first part of its features' names: `<name>_<output>_<window>`.
    pub name: String,
    /// The windows with their hops, in the order they were given, each with its text as written (`24h`).
    pub windows: Vec<(String, Window)>,
    /// The outputs that become features; all if nothing is said.
    pub outputs: Option<Vec<String>>,
}

impl Aggregate {
    /// The name of the feature that one of the plugin's outputs becomes over a window, whose text is as written.
    pub fn feature_name(&self, output: &str, window: &str) -> String {
        format!("{}_{output}_{window}", self.name)
    }
}

/// The features that one model reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// The service's name.
    pub name: String,
    /// Where it is declared.
    pub location: Location,
    /// The features, in order.
    pub features: Vec<FeatureRef>,
    /// The fields that the caller sends, sorted by name.
    pub request: Schema,
    /// The transforms derived at request time, in order; their `input` and `output` are given.
    pub derives: Vec<PluginUse>,
}

/// A feature reference, `view:feature`, or `view:*` for all of a view's features in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeatureRef {
    /// The view.
    pub view: String,
    /// The feature, or none for all.
    pub feature: Option<String>,
}

impl fmt::Display for FeatureRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.view, self.feature.as_deref().unwrap_or("*"))
    }
}
