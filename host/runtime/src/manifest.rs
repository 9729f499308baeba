mod numbers;
mod statistics;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use oast_core::{
    ChainHash, ComponentHash, DatasetHash, EngineFingerprint, Fuel, ServiceVersion, SpineHash, Status, TransformHash,
    ViewVersion,
};
use oast_store::Segment;
use serde::{Deserialize, Serialize};

use crate::{
    ColumnNames, ReplayOptions, Runtime, RuntimeError,
    binding::Bound,
    replay::{Derived, History, Origin, Timing},
    spec::{FieldSpec, PluginSpec, field_specs},
};

pub(crate) use statistics::Statistics;
pub use statistics::{FeatureEntry, Histogram};

/// The format of the file; raised when a reader of this version could not read it.
const FORMAT: u32 = 1;

/// What a dataset was made from and what came of it: enough to derive it again and compare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of this file.
    pub format: u32,
    /// The dataset.
    pub dataset: DatasetEntry,
    /// The service.
    pub service: ServiceEntry,
    /// The engine.
    pub engine: EngineEntry,
    /// The spine.
    pub spine: SpineEntry,
    /// The events, by source.
    pub events: Vec<EventsEntry>,
    /// How many values have each status.
    pub outcomes: BTreeMap<Status, u64>,
    /// How many events a plugin rejected or failed on before or while they were folded; they were left out.
    pub failed_events: u64,
    /// How many rows were run again, each alone, and came to the same bits.
    #[serde(default)]
    pub audited_rows: u64,
    /// Statistics of each feature.
    pub features: Vec<FeatureEntry>,
    /// What the caller wanted remembered of the training run.
    pub metadata: BTreeMap<String, String>,
    /// How long it took. Decides nothing.
    pub timing: Timing,
}

/// The dataset of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetEntry {
    /// The file, relative to the manifest.
    pub file: PathBuf,
    /// The dataset hash.
    pub hash: DatasetHash,
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// The columns.
    pub schema: Vec<ColumnEntry>,
}

/// A column of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnEntry {
    /// The name.
    pub name: String,
    /// The type, with `?` when there may be nulls.
    #[serde(rename = "type")]
    pub data_type: String,
}

/// The service of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceEntry {
    /// The name.
    pub name: String,
    /// The version.
    pub version: ServiceVersion,
    /// The view versions it pins.
    pub views: Vec<ViewEntry>,
    /// The transforms derived at request time.
    pub derives: Vec<PluginEntry>,
}

/// A view version of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewEntry {
    /// The name.
    pub name: String,
    /// The version.
    pub version: ViewVersion,
    /// The transforms and aggregates, in order.
    pub plugins: Vec<PluginEntry>,
}

/// A use of a plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginEntry {
    /// The plugin as the definition named it.
    pub plugin: String,
    /// The semantic version it calls itself.
    pub version: String,
    /// The component.
    pub component: ComponentHash,
    /// Component, parameters, schemas and limits.
    pub transform: TransformHash,
    /// The parameters, as canonical JSON.
    pub params: String,
    /// The fuel budget of a row.
    pub budget_fuel: Fuel,
}

/// The engine of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineEntry {
    /// All that could make two hosts disagree.
    pub fingerprint: EngineFingerprint,
    /// The version of Oast that wrote the manifest.
    pub oast: String,
}

/// The spine of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpineEntry {
    /// The file as it was given.
    pub file: PathBuf,
    /// The hash of its schema and values.
    pub hash: SpineHash,
    /// Rows.
    pub rows: u64,
    /// The column with the time of each row.
    pub time_column: String,
    /// What columns are called in the file, where it is not the name that the dataset has for them.
    #[serde(default, skip_serializing_if = "ColumnNames::is_empty")]
    pub columns: ColumnNames,
}

/// The events of one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventsEntry {
    /// The source.
    pub source: String,
    /// The hash of the events in fold order; the same from the log and from a snapshot of it.
    pub hash: DatasetHash,
    /// Events.
    pub rows: u64,
    /// Rows of a snapshot that were there twice.
    pub duplicates: u64,
    /// Rows of a snapshot that did not pass the gates.
    pub quarantined: u64,
    /// The snapshot file, if that is where the events came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// What columns are called in that file, where it is not the name that the source has for them.
    #[serde(default, skip_serializing_if = "ColumnNames::is_empty")]
    pub columns: ColumnNames,
    /// The part of the log, if that is where they came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogEntry>,
}

/// A part of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The events below this offset.
    pub end_offset: u64,
    /// The sealed segments they are in.
    pub segments: Vec<Segment>,
    /// The last link of the chain over all segments.
    pub chain: Option<ChainHash>,
}

/// Where the manifest of a dataset is: beside it.
pub fn manifest_path(dataset: &Path) -> PathBuf {
    let mut name = dataset.as_os_str().to_owned();
    name.push(".manifest.json");
    name.into()
}

impl Manifest {
    /// How long the replay took, in microseconds.
    pub fn duration_us(&self) -> u64 {
        self.timing.read_us + self.timing.compute_us + self.timing.write_us
    }

    /// Reads a manifest.
    pub fn read(path: &Path) -> Result<Self, RuntimeError> {
        let text = std::fs::read(path).map_err(|source| RuntimeError::File {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        let malformed = |source| RuntimeError::Malformed { path: path.to_owned(), expected: "a manifest", source };
        let manifest: Self = serde_json::from_slice(&text).map_err(malformed)?;
        if manifest.format != FORMAT {
            return Err(RuntimeError::request(
                format!("`{}` has manifest format {}, and this oast reads {FORMAT}", path.display(), manifest.format),
                "verify it with the version of oast that wrote it",
            ));
        }
        Ok(manifest)
    }

    /// Columns that have other names in the files, as a replay is told of them.
    pub(crate) fn map(&self) -> Vec<(String, String)> {
        let of_spine = self.spine.columns.pairs().map(|(name, column)| (name.to_owned(), column.to_owned()));
        let of_events = self.events.iter().flat_map(|events| {
            let source = &events.source;
            events.columns.pairs().map(move |(name, column)| (format!("{source}.{name}"), column.to_owned()))
        });
        of_spine.chain(of_events).collect()
    }

    /// Takes over what only all rows together can tell, for a manifest of some rows of the same dataset.
    pub(crate) fn take_totals(&mut self, whole: &Self) {
        self.dataset.rows = whole.dataset.rows;
        self.spine.rows = whole.spine.rows;
        self.outcomes.clone_from(&whole.outcomes);
        self.failed_events = whole.failed_events;
        self.features.clone_from(&whole.features);
    }

    /// Writes the manifest aside and puts it in place.
    pub(crate) fn write(&self, path: &Path) -> Result<(), RuntimeError> {
        let mut text = serde_json::to_string_pretty(self).expect("a manifest is JSON");
        text.push('\n');
        Ok(oast_store::write_whole(path, text.as_bytes())?)
    }
}

/// The manifest of a derived dataset.
pub(crate) fn describe(runtime: &Runtime, derived: &Derived, options: &ReplayOptions, bytes: u64) -> Manifest {
    let service = &derived.service;
    let views = service.views.iter().map(|view| ViewEntry {
        name: view.spec.name.clone(),
        version: view.version,
        plugins: view.plugins().into_iter().map(plugin_entry).collect(),
    });
    Manifest {
        format: FORMAT,
        dataset: DatasetEntry {
            file: options.out.file_name().map(PathBuf::from).unwrap_or_default(),
            hash: derived.hash,
            rows: derived.spine.rows,
            bytes,
            schema: field_specs(&derived.schema).into_iter().map(ColumnEntry::from).collect(),
        },
        service: ServiceEntry {
            name: service.spec.name.clone(),
            version: service.version,
            views: views.collect(),
            derives: service.plugins().map(plugin_entry).collect(),
        },
        engine: EngineEntry { fingerprint: runtime.fingerprint(), oast: env!("CARGO_PKG_VERSION").to_owned() },
        spine: SpineEntry {
            file: options.spine.clone(),
            hash: derived.spine.hash,
            rows: derived.spine.rows,
            time_column: derived.spine.time_column.clone(),
            columns: derived.spine.names.clone(),
        },
        events: derived.histories.iter().map(|(name, history)| events_entry(runtime, name, history)).collect(),
        outcomes: derived.outcomes.clone(),
        failed_events: derived.failed_rows,
        audited_rows: derived.audited_rows,
        features: derived.features.clone(),
        metadata: options.metadata.clone(),
        timing: derived.timing,
    }
}

impl From<FieldSpec> for ColumnEntry {
    fn from(spec: FieldSpec) -> Self {
        Self { name: spec.name, data_type: spec.data_type }
    }
}

pub(crate) fn plugin_entry((spec, bound): (&PluginSpec, &Bound)) -> PluginEntry {
    PluginEntry {
        plugin: spec.plugin.clone(),
        version: bound.plugin.descriptor().version.clone(),
        component: spec.component,
        transform: bound.hash(),
        params: spec.params.clone(),
        budget_fuel: spec.limits.budget_fuel,
    }
}

fn events_entry(runtime: &Runtime, source: &str, history: &History) -> EventsEntry {
    let (file, log) = match &history.origin {
        Origin::File(path) => (Some(path.clone()), None),
        Origin::Log { end, segments } => {
            let chain = runtime.log.chain_head();
            (None, Some(LogEntry { end_offset: *end, segments: segments.clone(), chain }))
        }
    };
    EventsEntry {
        source: source.to_owned(),
        hash: history.hash,
        rows: history.rows,
        duplicates: history.duplicates,
        quarantined: history.quarantined,
        file,
        columns: history.names.clone(),
        log,
    }
}
