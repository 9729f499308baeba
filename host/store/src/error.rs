use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use oast_core::{ColumnError, SchemaError};

/// What this crate's functions return.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why something could not be stored or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused a file operation.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried: open, read, write, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// Another process has the data directory.
    #[error("another oast process uses `{}`", path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// There is no data directory where one was expected.
    #[error("`{}` is not an oast data directory", path.display())]
    NoDataDir {
        /// The folder.
        path: PathBuf,
    },
    /// The data directory was written by a release with another layout.
    #[error("`{}` has format `{found}`; this release reads format `{expected}`", path.display())]
    FormatVersion {
        /// The data directory.
        path: PathBuf,
        /// The format found.
        found: String,
        /// The format of this release.
        expected: &'static str,
    },
    /// A file of the data directory is not as it was written.
    #[error("`{}` is damaged at byte {position}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage begins.
        position: u64,
        /// What is wrong.
        what: String,
    },
    /// A file that the log or the catalog refers to is gone.
    #[error("`{}` is missing", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file's bytes are not those that its hash stands for.
    #[error("`{}` was altered: its hash is {found} and not {expected}", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// The hash it was stored under.
        expected: String,
        /// The hash of its bytes.
        found: String,
    },
    /// Offsets that are in no file of the log.
    #[error("`{}` lacks the events from offset {from} up to {to}", path.display())]
    LostEvents {
        /// The log's folder.
        path: PathBuf,
        /// The first lost offset.
        from: u64,
        /// The offset after the last lost one.
        to: u64,
    },
    /// An earlier write to the log failed, so nothing more can be acknowledged.
    #[error("the event log takes no more events since a write failed")]
    LogFailed {
        /// The failure.
        source: Arc<StoreError>,
    },
    /// The thread that writes the log is gone.
    #[error("the event log is closed")]
    LogClosed,
    /// A name that cannot be part of a file name.
    #[error("`{0}` is not a name: expected up to 128 letters, digits, `_`, `-` and `.`, not starting with `.`")]
    Name(String),
    /// A column name that the log uses itself.
    #[error("column `{0}` of a source has a name that the log uses itself")]
    ReservedColumn(&'static str),
    /// An append whose ingest times are not one a row.
    #[error("{found} ingest times came for {rows} rows")]
    IngestTimes {
        /// The rows of the batch.
        rows: usize,
        /// The times that came.
        found: usize,
    },
    /// More than a frame of the log, or a column of Arrow, can hold.
    #[error("{what} has {bytes} bytes, more than {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// What is allowed.
        limit: u64,
    },
    /// Values that are not what their schema says.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// Columns that cannot stand together.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A table lacks a column.
    #[error("there is no column `{column}`; there are {available}")]
    MissingColumn {
        /// The column wanted.
        column: String,
        /// The columns there are, quoted.
        available: String,
    },
    /// A column has a type that cannot be read, or not as the type wanted.
    #[error("column `{column}` is of type {found} and cannot be read as {expected}")]
    ColumnType {
        /// The column.
        column: String,
        /// The type wanted, or `any type of oast`.
        expected: String,
        /// The type found, as Arrow calls it.
        found: String,
    },
    /// A text that does not stand for a value of its column.
    #[error("`{found}` in row {row}, column `{column}`, is not a value of type {expected}")]
    BadValue {
        /// The row, from 1, the header not counted.
        row: u64,
        /// The column.
        column: String,
        /// The type wanted.
        expected: String,
        /// The text found, shortened.
        found: String,
    },
    /// Receipts were given up, because too many waited that could not be written.
    #[error("{records} receipts of lookups are lost: they could not be written")]
    ReceiptsDropped {
        /// How many.
        records: u64,
        /// Why not, if it still is not possible.
        source: Option<Box<StoreError>>,
    },
    /// A line that is not a JSON object.
    #[error("line {line} is not a JSON object")]
    Json {
        /// The line, from 1.
        line: u64,
        /// What is wrong, if it is no JSON at all.
        source: Option<serde_json::Error>,
    },
    /// A table that could not be read or written; the source says why.
    #[error("in table `{}`", path.display())]
    Table {
        /// The file, or the name given to a stream.
        path: PathBuf,
        /// Why.
        source: Box<StoreError>,
    },
    /// A file name that tells no table format.
    #[error("`{}` has no extension of a table", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A folder or a pattern without files.
    #[error("there is no table in `{}`", path.display())]
    NoTables {
        /// The folder or pattern.
        path: PathBuf,
    },
    /// Files of one table in different formats.
    #[error("`{}` and `{}` are of different formats", path.display(), other.display())]
    MixedFormats {
        /// The first file.
        path: PathBuf,
        /// The first file of another format.
        other: PathBuf,
    },
    /// Files of one table whose `key=value` folders have different keys.
    #[error("`{}` and `{}` have different partition columns", path.display(), other.display())]
    UnevenPartitions {
        /// The first file.
        path: PathBuf,
        /// The first file with other keys.
        other: PathBuf,
    },
    /// A path with wildcards that make no pattern.
    #[error("`{pattern}` is not a pattern of paths")]
    Pattern {
        /// The path.
        pattern: String,
        /// What is wrong.
        source: glob::PatternError,
    },
    /// Arrow refused an array or a file.
    #[error("arrow refused the data")]
    Arrow(#[from] ::arrow::error::ArrowError),
    /// Parquet refused a file.
    #[error("parquet refused the data")]
    Parquet(#[from] ::parquet::errors::ParquetError),
    /// The state in sled failed.
    #[error("the state in `{}` failed", path.display())]
    State {
        /// The folder of the state.
        path: PathBuf,
        /// The failure.
        source: sled::Error,
    },
    /// Another record stands under the same hash.
    #[error("the catalog holds another {kind} under {hash}")]
    RecordConflict {
        /// The kind of the record.
        kind: String,
        /// Its hash.
        hash: String,
    },
    /// A hash that the catalog does not hold.
    #[error("the catalog holds no {kind} {hash}")]
    UnknownHash {
        /// The kind of the record.
        kind: String,
        /// The hash.
        hash: String,
    },
}

impl StoreError {
    /// What the user can do next, where something can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => io_hint(source.kind()).map(str::to_owned),
            Self::Locked { .. } => {
                Some("stop it, use --url to talk to it, or choose another directory with --data".to_owned())
            }
            Self::NoDataDir { .. } => {
                Some("name the right directory with --data, or start with `oast apply`".to_owned())
            }
            Self::FormatVersion { .. } => Some("use the release that wrote it, or choose another --data".to_owned()),
            Self::Damaged { .. } | Self::Missing { .. } | Self::Altered { .. } | Self::LostEvents { .. } => {
                Some("restore the file from a backup; nothing was changed".to_owned())
            }
            Self::ReceiptsDropped { source, .. } => source.as_ref().and_then(|source| source.hint()),
            Self::LogFailed { source } => Some(match source.hint() {
                Some(hint) => format!("{hint}, then restart the daemon"),
                None => "restart the daemon once the cause is gone".to_owned(),
            }),
            Self::UnknownFormat { .. } => Some("use .parquet, .csv, .arrow or .jsonl".to_owned()),
            Self::NoTables { .. } => {
                Some("files of a folder count unless their names begin with `.` or `_`; quote a pattern".to_owned())
            }
            Self::MixedFormats { .. } | Self::UnevenPartitions { .. } => {
                Some("choose the files that belong together by a pattern, for example `'data/*.parquet'`".to_owned())
            }
            Self::Pattern { .. } => Some("`*`, `?`, `[a-z]` and `**` between slashes are understood".to_owned()),
            Self::Table { source, .. } => source.hint(),
            _ => None,
        }
    }

    /// Whether a file is not what was written.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Missing { .. } | Self::Altered { .. } | Self::LostEvents { .. })
    }

    /// An I/O error of `action` on `path`, for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Damage at a byte of a file.
    pub(crate) fn damaged(path: &Path, position: u64, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), position, what: what.into() }
    }

    /// This error, with the name of the table it is about.
    pub(crate) fn in_table(self, path: &Path) -> Self {
        Self::Table { path: path.to_owned(), source: Box::new(self) }
    }
}

fn io_hint(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some("free some space"),
        ErrorKind::ReadOnlyFilesystem => Some("choose a directory on a writable disk"),
        ErrorKind::PermissionDenied => Some("check who owns it and who may write to it"),
        ErrorKind::NotFound => Some("check the path"),
        _ => None,
    }
}
