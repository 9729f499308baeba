use std::path::PathBuf;

use oast_core::{ComponentHash, EntityKeyError, HashParseError};
use oast_engine::{Check, EngineError, Finding};
use oast_store::StoreError;

use crate::Conviction;

/// What sort of answer an error is, from which exit statuses and HTTP codes follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A check or a proof failed.
    Check,
    /// The caller asked for something that cannot be done as asked.
    Input,
    /// The caller named something that is not there.
    NotFound,
    /// It would work later.
    Unavailable,
    /// The machine failed: disk, memory, permissions.
    Environment,
}

/// What can go wrong in the runtime.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The definition files are wrong.
    #[error("{0}")]
    Definition(oast_core::definition::DefinitionErrors),
    /// A definition is well formed, but cannot be resolved.
    #[error("{location}: {message}")]
    Resolve {
        /// Where in the definition files.
        location: String,
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A plugin refused its parameters, columns or descriptor.
    #[error("{location}: plugin `{plugin}` cannot be used")]
    Plugin {
        /// Where in the definition files.
        location: String,
        /// The plugin as it was named.
        plugin: String,
        /// Why.
        #[source]
        source: EngineError,
    },
    /// The component at hand, which no definition names, is none or cannot be used.
    #[error(transparent)]
    Component(EngineError),
    /// A plugin breaks a law that features rest on.
    #[error("{location}: plugin `{plugin}`, {name}: the check \"{}\" failed{}", check.name, told(check))]
    Law {
        /// Where in the definition files.
        location: String,
        /// The plugin.
        plugin: String,
        /// The use or the sample in which it was found.
        name: String,
        /// What failed, with the rows that show it.
        check: Box<Check>,
    },
    /// A component may not run, because it gave different results for the same rows.
    #[error("component {component} is quarantined: {reason}")]
    Quarantined {
        /// The component.
        component: ComponentHash,
        /// Why.
        reason: String,
        /// The file that keeps it in quarantine.
        path: PathBuf,
    },
    /// A service of a running daemon whose plugins or views cannot be loaded.
    #[error("service `{service}` cannot be served: {reason}")]
    Unservable {
        /// The service.
        service: String,
        /// Why.
        reason: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A row that a replay ran again by itself came to something else.
    #[error("plugin `{plugin}`: a row has another result alone than among others:{}", finding_text(finding))]
    Audit {
        /// The plugin.
        plugin: String,
        /// Its component, which is now quarantined.
        component: ComponentHash,
        /// The row and both outputs.
        finding: Box<Finding>,
        /// The rows that it came with, which it is checked with again before it is let go.
        conviction: Box<Conviction>,
    },
    /// Something else is published under a name and version already.
    #[error("`{name}` {version} is published as another component, {published}")]
    Republished {
        /// The plugin's name.
        name: String,
        /// Its version.
        version: String,
        /// What is published.
        published: ComponentHash,
    },
    /// Whoever watched a replay stopped it.
    #[error("the replay was stopped")]
    Stopped,
    /// A file cannot be read or written.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file holds something else than it should.
    #[error("`{}` is not {expected}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// No such source, view, service, plugin or version.
    #[error("there is no {kind} `{name}`")]
    Unknown {
        /// What kind of thing.
        kind: &'static str,
        /// The name.
        name: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A request that makes no sense.
    #[error("{message}")]
    Request {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A record in the catalog does not say what its hash says.
    #[error("the catalog's {kind} `{name}` does not match its hash")]
    Catalog {
        /// What kind of record.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A stored checkpoint or record cannot be read.
    #[error("stored {what} cannot be read")]
    Stored {
        /// What it is.
        what: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// An entity key cannot be made.
    #[error(transparent)]
    EntityKey(#[from] EntityKeyError),
    /// A text is no hash.
    #[error(transparent)]
    Hash(#[from] HashParseError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RuntimeError {
    /// A short name for programs, in lower case with underscores.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Definition(_) | Self::Resolve { .. } => "bad_definition",
            Self::Plugin { .. } | Self::Component(_) => "bad_plugin",
            Self::Law { .. } => "broken_law",
            Self::Quarantined { .. } => "quarantined_component",
            Self::Unservable { .. } => "unservable_service",
            Self::Audit { .. } => "audit_failed",
            Self::Republished { .. } => "version_taken",
            Self::Stopped => "stopped",
            Self::File { .. } => "file_failed",
            Self::Malformed { .. } => "malformed_file",
            Self::Unknown { kind, .. } => match *kind {
                "source" => "unknown_source",
                "view" => "unknown_view",
                "service" => "unknown_service",
                "plugin" => "unknown_plugin",
                _ => "unknown_name",
            },
            Self::Request { .. } => "bad_request",
            Self::EntityKey(_) => "bad_entity",
            Self::Hash(_) => "bad_hash",
            Self::Catalog { .. } | Self::Stored { .. } => "damaged_data",
            Self::Engine(_) => "engine_failed",
            Self::Store(error) => store_code(error),
        }
    }

    /// What sort of answer it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Definition(_)
            | Self::Resolve { .. }
            | Self::Plugin { .. }
            | Self::Component(_)
            | Self::Malformed { .. }
            | Self::Republished { .. }
            | Self::Request { .. }
            | Self::EntityKey(_)
            | Self::Hash(_) => ErrorKind::Input,
            Self::Unknown { .. } => ErrorKind::NotFound,
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => ErrorKind::Input,
            Self::Catalog { .. }
            | Self::Stored { .. }
            | Self::Law { .. }
            | Self::Quarantined { .. }
            | Self::Audit { .. } => ErrorKind::Check,
            Self::Unservable { .. } => ErrorKind::Unavailable,
            Self::Stopped | Self::File { .. } | Self::Engine(_) => ErrorKind::Environment,
            Self::Store(error) => store_kind(error),
        }
    }

    /// What to do about it, if there is something to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Resolve { hint, .. }
            | Self::Unknown { hint, .. }
            | Self::Request { hint, .. }
            | Self::Unservable { hint, .. } => hint.clone(),
            Self::Plugin { source, .. } | Self::Component(source) | Self::Engine(source) => {
                source.hint().map(str::to_owned)
            }
            Self::Law { check, .. } => check.finding.as_ref().map(|finding| finding.hint.clone()),
            Self::Quarantined { path, .. } => Some(format!(
                "publish a mended plugin under a new version; if the machine was at fault, `oast plugin publish` of the same \
                 file checks it again and lets it out, and so does deleting `{}`",
                path.display()
            )),
            Self::Audit { finding, .. } => Some(finding.hint.clone()),
            Self::Stopped => {
                Some("run the same command again; features that were computed are kept beside the dataset".to_owned())
            }
            Self::Republished { .. } => {
                Some("raise the version that the plugin gives itself, and build it again".to_owned())
            }
            Self::Store(error) => error.hint(),
            Self::File { source, .. } => file_hint(source.kind()).map(str::to_owned),
            Self::Malformed { .. } => Some("restore the file from a copy, or make it again".to_owned()),
            Self::Catalog { .. } => {
                Some("the data directory was changed by hand or damaged; restore it from a copy".to_owned())
            }
            _ => None,
        }
    }

    /// A service that was asked for, and cannot be served because of another error.
    pub(crate) fn unservable(service: &str, error: &Self) -> Self {
        let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
        let reason = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        Self::Unservable { service: service.to_owned(), reason, hint: error.hint() }
    }

    /// A law that `check` found broken.
    pub(crate) fn law(location: impl Into<String>, plugin: &str, name: &str, check: &Check) -> Self {
        let (location, check) = (location.into(), Box::new(check.clone()));
        Self::Law { location, plugin: plugin.to_owned(), name: name.to_owned(), check }
    }

    pub(crate) fn request(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Request { message: message.into(), hint: Some(hint.into()) }
    }
}

fn told(check: &Check) -> String {
    check.finding.as_ref().map_or_else(String::new, |finding| format!(": {}", finding_text(finding).trim_start()))
}

/// A finding as lines that follow the first of an error.
fn finding_text(finding: &Finding) -> String {
    let mut text = format!(" {}", finding.meaning);
    for (number, row) in finding.rows.iter().enumerate() {
        text.push_str(&format!("\n  row {:<3} {row}", number + 1));
    }
    let width = finding.expected.run.chars().count().max(finding.found.run.chars().count());
    for shown in [&finding.expected, &finding.found] {
        text.push_str(&format!("\n  {:<width$}  {}", shown.run, shown.output));
    }
    text
}

fn file_hint(kind: std::io::ErrorKind) -> Option<&'static str> {
    match kind {
        std::io::ErrorKind::NotFound => Some("check the path"),
        std::io::ErrorKind::PermissionDenied => Some("check who may read it"),
        std::io::ErrorKind::IsADirectory => Some("name a file, not a folder"),
        _ => None,
    }
}

/// A short name for an error of the store.
fn store_code(error: &StoreError) -> &'static str {
    match error {
        StoreError::Locked { .. } => "data_locked",
        StoreError::NoDataDir { .. } | StoreError::FormatVersion { .. } => "bad_data_directory",
        StoreError::Damaged { .. }
        | StoreError::Missing { .. }
        | StoreError::Altered { .. }
        | StoreError::LostEvents { .. } => "damaged_data",
        StoreError::LogFailed { .. } | StoreError::LogClosed => "log_failed",
        StoreError::Io { .. } => "file_failed",
        StoreError::Table { source, .. } if store_kind(source) != ErrorKind::Input => store_code(source),
        error if store_kind(error) == ErrorKind::Input => "bad_table",
        _ => "store_failed",
    }
}

/// Whether the store failed, or was given something that it cannot read.
fn store_kind(error: &StoreError) -> ErrorKind {
    match error {
        StoreError::Damaged { .. }
        | StoreError::Missing { .. }
        | StoreError::Altered { .. }
        | StoreError::LostEvents { .. } => ErrorKind::Check,
        StoreError::LogFailed { .. } | StoreError::LogClosed => ErrorKind::Unavailable,
        StoreError::Table { source, .. } => store_kind(source),
        StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => ErrorKind::Input,
        StoreError::NoDataDir { .. }
        | StoreError::Name(_)
        | StoreError::ReservedColumn(_)
        | StoreError::TooLarge { .. }
        | StoreError::Column(_)
        | StoreError::Schema(_)
        | StoreError::MissingColumn { .. }
        | StoreError::ColumnType { .. }
        | StoreError::BadValue { .. }
        | StoreError::Json { .. }
        | StoreError::UnknownFormat { .. }
        | StoreError::NoTables { .. }
        | StoreError::MixedFormats { .. }
        | StoreError::UnevenPartitions { .. }
        | StoreError::Pattern { .. }
        | StoreError::Arrow(_)
        | StoreError::Parquet(_) => ErrorKind::Input,
        _ => ErrorKind::Environment,
    }
}
