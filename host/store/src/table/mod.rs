//! Tables that users bring or take away: spines, datasets, snapshots of events.
//!
//! Parquet and Arrow carry types. CSV and JSON lines carry text, which is read as:
//!
//! | type | text |
//! |---|---|
//! | bool | `true` or `false`, in any case |
//! | int64, float64 | as usual; JSON floats also as the strings `NaN`, `Infinity`, `-Infinity` |
//! | timestamp | RFC 3339, a date, or microseconds since the epoch |
//! | binary | hexadecimal digits |
//! | vector | a JSON array of numbers |
//! | null | nothing at all in CSV, where a `utf8` that cannot be null is then empty; `null` or no such name in JSON |

mod apart;
mod cell;
mod csv;
mod files;
mod input;
mod json;
mod narrow;
mod parquet;
mod parts;
mod writer;

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use arrow::datatypes::Schema as ArrowSchema;
use oast_core::{Batch, ColumnError, Field, Schema};

pub use self::files::TableFiles;
pub use self::narrow::NarrowTypes;
pub(crate) use self::parquet::ParquetSink;
pub use self::writer::{TableWriter, Written};

use self::input::Input;
use crate::{
    BATCH_ROWS, Result, StoreError,
    arrow::{RecordBatch, check_readable, from_arrow_schema, from_record_batch, missing_column},
};

/// A format of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values with a header.
    Csv,
    /// Arrow IPC, file or stream when read, file when written.
    Arrow,
    /// One JSON object a line.
    JsonLines,
}

impl Format {
    /// The format that the extension of a file stands for.
    pub fn of_path(path: &Path) -> Result<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
        match extension.as_deref() {
            Some("parquet" | "pq") => Ok(Self::Parquet),
            Some("csv") => Ok(Self::Csv),
            Some("arrow" | "arrows" | "feather" | "ipc") => Ok(Self::Arrow),
            Some("jsonl" | "ndjson" | "json") => Ok(Self::JsonLines),
            _ => Err(StoreError::UnknownFormat { path: path.to_owned() }),
        }
    }
}

/// Which columns of a table are read, and as what.
#[derive(Debug, Clone)]
pub enum Columns {
    /// All columns, in the types that the table has or its text suggests.
    AsFound,
    /// These columns, in this order and these types; others are skipped.
    Exactly(Schema),
    /// All columns in the table's order, and these among them in these types.
    AtLeast(Schema),
}

impl Columns {
    /// The schema in which a table of typed columns is read.
    fn resolve(&self, found: &ArrowSchema) -> Result<Schema> {
        let names = || found.fields().iter().map(|field| field.name().as_str());
        for field in self.wanted().map_or(&[][..], Schema::fields) {
            let column = found.field_with_name(&field.name).map_err(|_| missing_column(&field.name, names()))?;
            check_readable(column.data_type(), field)?;
        }
        match self {
            Self::Exactly(wanted) => Ok(wanted.clone()),
            Self::AsFound => from_arrow_schema(found),
            Self::AtLeast(wanted) => {
                let others = found.fields().iter().filter(|field| wanted.field(field.name()).is_none()).cloned();
                let others = from_arrow_schema(&ArrowSchema::new(others.collect::<Vec<_>>()))?;
                Ok(self.merge(names().filter_map(|name| wanted.field(name).or(others.field(name)))))
            }
        }
    }

    fn merge<'a>(&self, fields: impl Iterator<Item = &'a Field>) -> Schema {
        Schema::new(fields.cloned().collect()).expect("the columns of a table have different names")
    }

    fn wanted(&self) -> Option<&Schema> {
        match self {
            Self::AsFound => None,
            Self::Exactly(schema) | Self::AtLeast(schema) => Some(schema),
        }
    }
}

type Batches = Box<dyn Iterator<Item = Result<Batch>> + Send>;

/// Reads a table batch by batch, at most [`BATCH_ROWS`] rows at once. Errors name the file, and where they can the row and
/// the column; after one there are no more batches.
pub struct TableReader {
    path: PathBuf,
    schema: Schema,
    batches: Option<Batches>,
    rows: u64,
}

impl TableReader {
    /// Opens a file, the files of a folder, or those that a pattern fits ([`TableFiles`]), of the format that their
    /// extension says unless another is given.
    pub fn open(path: &Path, format: Option<Format>, columns: Columns) -> Result<Self> {
        let found = TableFiles::find(path)?;
        let format = format.map_or_else(|| found.format(), Ok)?;
        if found.is_single {
            return Self::start(path, format, Input::file(path)?, &columns);
        }
        let (schema, batches) = parts::read(found, format, &columns)?;
        Ok(Self { path: path.to_owned(), schema, batches: Some(batches), rows: 0 })
    }

    /// Reads from anything, under a name for errors. JSON lines and CSV whose columns are given are read as they come, all
    /// else is first taken into memory.
    pub fn from_read(name: &str, format: Format, input: impl Read + Send + 'static, columns: Columns) -> Result<Self> {
        let path = Path::new(name);
        let streams =
            matches!((format, &columns), (Format::JsonLines | Format::Csv, Columns::Exactly(_)) | (Format::Arrow, _));
        let input = if streams { Input::stream(path, input) } else { Input::memory(path, input)? };
        Self::start(path, format, input, &columns)
    }

    fn start(path: &Path, format: Format, input: Input, columns: &Columns) -> Result<Self> {
        let opened = match format {
            Format::Parquet => parquet::read(input, columns),
            Format::Csv => csv::read(input, columns),
            Format::Arrow => input::read_arrow(input, columns),
            Format::JsonLines => json::read(input, columns),
        };
        let (schema, batches) = opened.map_err(|error| error.in_table(path))?;
        Ok(Self { path: path.to_owned(), schema, batches: Some(batches), rows: 0 })
    }

    /// The schema of the batches.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }
}

impl Iterator for TableReader {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.batches.as_mut()?.find(|batch| batch.as_ref().map_or(true, |batch| batch.rows > 0))?;
        Some(match next {
            Ok(batch) => {
                self.rows += batch.rows as u64;
                Ok(batch)
            }
            Err(error) => {
                self.batches = None;
                // An error of one file among many has its name and row already.
                let is_named = matches!(error, StoreError::Table { .. });
                Err(if is_named { error } else { in_row(error, self.rows).in_table(&self.path) })
            }
        })
    }
}

/// Turns a row of a batch into a row of the table, which has had `before` rows so far.
fn in_row(error: StoreError, before: u64) -> StoreError {
    match error {
        StoreError::Column(ColumnError::Null { column, row }) => {
            ColumnError::Null { column, row: row + before as usize }.into()
        }
        StoreError::BadValue { row, column, expected, found } => {
            StoreError::BadValue { row: row + before, column, expected, found }
        }
        error => error,
    }
}

/// Record batches as batches of a schema, cut to [`BATCH_ROWS`].
fn typed<E: Into<StoreError>>(
    records: impl Iterator<Item = Result<RecordBatch, E>> + Send + 'static,
    schema: Schema,
) -> Batches {
    let cut = |record: Result<RecordBatch, E>| match record {
        Err(error) => vec![Err(error.into())],
        Ok(record) => cut(&record).into_iter().map(Ok).collect(),
    };
    Box::new(records.flat_map(cut).map(move |record| from_record_batch(&record?, &schema)))
}

/// Slices share memory, so this copies nothing.
fn cut(record: &RecordBatch) -> Vec<RecordBatch> {
    let rows = record.num_rows();
    (0..rows).step_by(BATCH_ROWS).map(|from| record.slice(from, BATCH_ROWS.min(rows - from))).collect()
}

#[cfg(test)]
mod tests;
