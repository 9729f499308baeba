use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use arrow::{
    array::{ArrayRef, StringArray},
    csv, ipc,
};
use oast_core::{Batch, Schema};

use super::{
    Format, NarrowTypes, ParquetSink,
    cell::{is_written_as_text, text_of, to_json},
};
use crate::{
    Result, StoreError,
    arrow::{RecordBatch, to_record_batch},
    disk::{self, AsideFile},
};

/// What a finished table amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The rows.
    pub rows: u64,
    /// The size of the file.
    pub bytes: u64,
}

/// Writes a table. The file has its name only once [`Self::finish`] returns; a writer dropped before leaves nothing behind
/// and what was there untouched.
///
/// The bytes of Parquet do not depend on how the rows were cut into batches.
pub struct TableWriter {
    path: PathBuf,
    aside: AsideFile,
    sink: Sink,
    refusal: Refusal,
    schema: Schema,
    rows: u64,
}

enum Sink {
    Parquet(Box<ParquetSink<Output>>),
    Csv(Box<csv::Writer<BufWriter<Output>>>),
    Arrow(Box<ipc::writer::FileWriter<BufWriter<Output>>>, NarrowTypes),
    JsonLines(BufWriter<Output>),
}

/// What the system said when it refused to write, which the writers of some formats pass on as mere text.
type Refusal = Arc<Mutex<Option<io::Error>>>;

/// The file that a sink writes to.
struct Output {
    file: File,
    refusal: Refusal,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                let again = error.raw_os_error().map(io::Error::from_raw_os_error);
                *refusal(&self.refusal) = Some(again.unwrap_or_else(|| error.kind().into()));
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn refusal(refusal: &Refusal) -> MutexGuard<'_, Option<io::Error>> {
    refusal.lock().expect("no thread panics while it notes an error")
}

/// The error of a table that is being written.
fn failed(path: &Path, noted: &Refusal, error: StoreError) -> StoreError {
    match refusal(noted).take() {
        Some(refused) => StoreError::io("write", path)(refused),
        None => error.in_table(path),
    }
}

impl TableWriter {
    /// Begins a table that will be at `path`.
    pub fn create(path: &Path, format: Format, schema: &Schema) -> Result<Self> {
        Self::create_narrow(path, format, schema, NarrowTypes::default())
    }

    /// Begins a table in which some columns have fewer bits, where the format has types.
    pub fn create_narrow(path: &Path, format: Format, schema: &Schema, narrow: NarrowTypes) -> Result<Self> {
        let aside = AsideFile::create(path)?;
        let file = aside.file().try_clone().map_err(StoreError::io("write", path))?;
        let refusal = Refusal::default();
        let output = Output { file, refusal: refusal.clone() };
        let sink = Sink::new(output, format, schema, narrow.within(schema));
        let sink = sink.map_err(|error| failed(path, &refusal, error))?;
        let mut writer = Self { path: path.to_owned(), aside, sink, refusal, schema: schema.clone(), rows: 0 };
        if let Sink::Csv(_) = writer.sink {
            // So that a table without rows has its header.
            writer.write(&Batch::empty(schema))?;
        }
        Ok(writer)
    }

    /// Encodes on so many threads, where the format has columns of its own.
    #[must_use]
    pub fn on_threads(mut self, threads: usize) -> Self {
        if let Sink::Parquet(sink) = &mut self.sink {
            sink.use_threads(threads);
        }
        self
    }

    /// Adds rows, in canonical form.
    pub fn write(&mut self, batch: &Batch) -> Result<()> {
        let canonical = batch.clone().into_canonical(&self.schema).map_err(StoreError::from);
        let written = canonical.and_then(|batch| self.sink.write(&self.schema, &batch));
        written.map_err(|error| failed(&self.path, &self.refusal, error))?;
        self.rows += batch.rows as u64;
        Ok(())
    }

    /// Completes the file, makes it durable and gives it its name.
    pub fn finish(self) -> Result<Written> {
        self.sink.finish().map_err(|error| failed(&self.path, &self.refusal, error))?;
        let metadata = self.aside.file().metadata().map_err(StoreError::io("read", &self.path))?;
        self.aside.commit(&self.path)?;
        disk::sync_folder_of(&self.path)?;
        Ok(Written { rows: self.rows, bytes: metadata.len() })
    }
}

impl Sink {
    fn new(output: Output, format: Format, schema: &Schema, narrow: NarrowTypes) -> Result<Self> {
        Ok(match format {
            Format::Parquet => Self::Parquet(Box::new(ParquetSink::new(output, schema, narrow)?)),
            Format::Csv => Self::Csv(Box::new(csv::Writer::new(BufWriter::new(output)))),
            Format::Arrow => {
                let output = BufWriter::new(output);
                Self::Arrow(Box::new(ipc::writer::FileWriter::try_new(output, &narrow.schema(schema))?), narrow)
            }
            Format::JsonLines => Self::JsonLines(BufWriter::new(output)),
        })
    }

    fn write(&mut self, schema: &Schema, batch: &Batch) -> Result<()> {
        match self {
            Self::Parquet(sink) => sink.write(batch)?,
            Self::Csv(writer) => writer.write(&with_texts(schema, batch)?)?,
            Self::Arrow(writer, narrow) => writer.write(&narrow.record(schema, batch)?)?,
            Self::JsonLines(output) => write_json(output, schema, batch).map_err(arrow::error::ArrowError::from)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        let flush = |mut output: BufWriter<Output>| output.flush().map_err(arrow::error::ArrowError::from);
        match self {
            Self::Parquet(sink) => sink.finish()?,
            Self::Csv(writer) => flush(writer.into_inner())?,
            Self::Arrow(mut writer, _) => {
                writer.finish()?;
                flush(writer.into_inner()?)?;
            }
            Self::JsonLines(output) => flush(output)?,
        }
        Ok(())
    }
}

/// A record batch in which arrow-csv finds no type that it cannot write.
fn with_texts(schema: &Schema, batch: &Batch) -> Result<RecordBatch> {
    let record = to_record_batch(schema, batch)?;
    let column = |at: usize| {
        let column = &batch.columns[at];
        let array: ArrayRef = if is_written_as_text(column) {
            Arc::new((0..batch.rows).map(|row| text_of(column, row)).collect::<StringArray>())
        } else {
            Arc::clone(record.column(at))
        };
        (schema.fields()[at].name.as_str(), array, true)
    };
    let columns = (0..schema.len()).map(column);
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

/// The names stand in the order of the schema.
fn write_json(output: &mut impl Write, schema: &Schema, batch: &Batch) -> std::io::Result<()> {
    for row in 0..batch.rows {
        let mut separator = "{";
        for (field, column) in schema.fields().iter().zip(&batch.columns) {
            output.write_all(separator.as_bytes())?;
            serde_json::to_writer(&mut *output, &field.name)?;
            output.write_all(b":")?;
            serde_json::to_writer(&mut *output, &to_json(column.get(row).as_ref()))?;
            separator = ",";
        }
        output.write_all(if schema.is_empty() { b"{}\n" } else { b"}\n" })?;
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use oast_core::{Column, DataType, Field, Values};

    use super::*;

    #[test]
    fn a_full_disk_is_told_as_such_whatever_the_format() {
        let schema = Schema::new(vec![Field::new("x", DataType::Float64)]).unwrap();
        let rows = Batch { rows: 3, columns: vec![Column { values: Values::Float64(vec![1.5; 3]), validity: None }] };
        let path = Path::new("full");
        for format in [Format::Parquet, Format::Csv, Format::Arrow, Format::JsonLines] {
            let file = File::options().write(true).open("/dev/full").unwrap();
            let refusal = Refusal::default();
            let output = Output { file, refusal: refusal.clone() };
            let written = Sink::new(output, format, &schema, NarrowTypes::default()).and_then(|mut sink| {
                sink.write(&schema, &rows)?;
                sink.finish()
            });
            let error = failed(path, &refusal, written.unwrap_err());
            assert!(
                matches!(&error, StoreError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull),
                "{error:?}"
            );
            assert_eq!(error.hint().as_deref(), Some("free some space"));
        }
    }
}
