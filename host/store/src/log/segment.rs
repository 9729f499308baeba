//! Segments on disk: Parquet, with the columns `oast_offset` and `oast_ingest_time` before those of the source.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use oast_core::{Batch, Column, DataType, Field, Schema, SegmentHash, Timestamp, Values};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{EventBatch, Segment};
use crate::{
    BATCH_ROWS, Result, StoreError,
    arrow::{from_arrow_schema, from_record_batch},
    disk::AsideFile,
    table::{NarrowTypes, ParquetSink},
};

/// The column of a segment that holds the offsets.
pub const OFFSET_COLUMN: &str = "oast_offset";
/// The column of a segment that holds the ingest times.
pub const INGEST_TIME_COLUMN: &str = "oast_ingest_time";

/// A segment in the making.
pub(super) struct SegmentWriter {
    aside: AsideFile,
    sink: ParquetSink<File>,
    source: Arc<str>,
    first_offset: u64,
    last_offset: u64,
    rows: u64,
    newest: Option<Timestamp>,
}

impl SegmentWriter {
    pub(super) fn create(folder: &Path, source: &Arc<str>, schema: &Schema) -> Result<Self> {
        let aside = AsideFile::create(&folder.join(format!("{source}.parquet")))?;
        let file = aside.file().try_clone().map_err(StoreError::io("write", aside.path()))?;
        let own = [Field::new(OFFSET_COLUMN, DataType::Int64), Field::new(INGEST_TIME_COLUMN, DataType::Timestamp)];
        let schema = Schema::new(own.into_iter().chain(schema.fields().iter().cloned()).collect())?;
        let sink =
            ParquetSink::new(file, &schema, NarrowTypes::default()).map_err(|error| error.in_table(aside.path()))?;
        Ok(Self { aside, sink, source: Arc::clone(source), first_offset: 0, last_offset: 0, rows: 0, newest: None })
    }

    /// Adds events, which come after all events so far.
    pub(super) fn write(&mut self, events: EventBatch) -> Result<()> {
        let (Some(first), Some(last)) = (events.offsets.first(), events.offsets.last()) else { return Ok(()) };
        if self.rows == 0 {
            self.first_offset = *first;
        }
        self.last_offset = *last;
        self.rows += events.offsets.len() as u64;
        self.newest = self.newest.max(events.ingest_times.iter().max().copied());
        let offsets = events.offsets.iter().map(|offset| *offset as i64).collect();
        let times = events.ingest_times.iter().map(|time| time.as_micros()).collect();
        let own = [Values::Int64(offsets), Values::Timestamp(times)].map(|values| Column { values, validity: None });
        let columns = own.into_iter().chain(events.rows.columns).collect();
        let batch = Batch { rows: events.offsets.len(), columns };
        self.sink.write(&batch).map_err(|error| error.in_table(self.aside.path()))
    }

    /// Gives the file its name. The caller syncs the folder.
    pub(super) fn finish(self, folder: &Path) -> Result<Segment> {
        self.sink.finish().map_err(|error| error.in_table(self.aside.path()))?;
        let (hash, bytes) = hash_file(self.aside.path())?;
        let segment = Segment {
            source: self.source.to_string(),
            first_offset: self.first_offset,
            last_offset: self.last_offset,
            rows: self.rows,
            bytes,
            hash,
            newest: self.newest,
        };
        self.aside.commit(&folder.join(segment.file_name()))?;
        Ok(segment)
    }
}

/// The hash and the size of a file.
fn hash_file(path: &Path) -> Result<(SegmentHash, u64)> {
    let mut file = open(path)?;
    let mut hasher = SegmentHash::hasher();
    let (mut buffer, mut bytes) = (vec![0; 1 << 20], 0);
    loop {
        match file.read(&mut buffer).map_err(StoreError::io("read", path))? {
            0 => return Ok((SegmentHash::finish(&hasher), bytes)),
            read => {
                hasher.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => StoreError::Missing { path: path.to_owned() },
        _ => StoreError::io("open", path)(error),
    })
}

/// Checks that a segment's file is there, with the bytes that were sealed.
pub(super) fn verify(folder: &Path, segment: &Segment) -> Result<()> {
    let path = folder.join(segment.file_name());
    let (hash, _) = hash_file(&path)?;
    if hash == segment.hash {
        return Ok(());
    }
    Err(StoreError::Altered { path, expected: segment.hash.to_string(), found: hash.to_string() })
}

/// The events of a segment, in order.
pub(super) struct SegmentReader {
    path: PathBuf,
    source: Arc<str>,
    stored: Schema,
    schema: Arc<Schema>,
    records: ParquetRecordBatchReader,
}

impl SegmentReader {
    pub(super) fn open(folder: &Path, segment: &Segment) -> Result<Self> {
        let path = folder.join(segment.file_name());
        let file = open(&path)?;
        let read = || {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
            let stored = from_arrow_schema(builder.schema())?;
            let schema = Schema::new(stored.fields().get(2..).unwrap_or_default().to_vec())?;
            let records = builder.with_batch_size(BATCH_ROWS).build()?;
            Ok((stored, schema, records))
        };
        let (stored, schema, records) = read().map_err(|error: StoreError| error.in_table(&path))?;
        let source = segment.source.as_str().into();
        Ok(Self { path, source, stored, schema: Arc::new(schema), records })
    }

    /// The next events, or nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<EventBatch>> {
        let Some(record) = self.records.next() else { return Ok(None) };
        let rows = record.map_err(StoreError::from).and_then(|record| from_record_batch(&record, &self.stored));
        let rows = rows.map_err(|error| error.in_table(&self.path))?;
        self.events(rows).map(Some)
    }

    fn events(&self, mut rows: Batch) -> Result<EventBatch> {
        let foreign = || StoreError::damaged(&self.path, 0, "it has no columns of offsets and ingest times");
        let own: Vec<_> = rows.columns.drain(..2.min(rows.columns.len())).map(|column| column.values).collect();
        let [Values::Int64(offsets), Values::Timestamp(times)] = own.as_slice() else { return Err(foreign()) };
        Ok(EventBatch {
            source: Arc::clone(&self.source),
            schema: Arc::clone(&self.schema),
            offsets: offsets.iter().map(|offset| *offset as u64).collect(),
            ingest_times: times.iter().map(|micros| Timestamp::from_micros(*micros)).collect(),
            rows,
        })
    }
}
