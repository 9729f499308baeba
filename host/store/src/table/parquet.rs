//! Parquet with pinned properties: the bytes depend on the schema and the rows, not on how the rows were cut into batches.

use std::{
    fs::File,
    io::Write,
    sync::{Arc, Mutex},
};

use oast_core::{Batch, Schema};
use parquet::{
    arrow::{
        ArrowWriter, ProjectionMask,
        arrow_reader::{ArrowReaderBuilder, ParquetRecordBatchReaderBuilder},
        arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves},
    },
    basic::{Compression, ZstdLevel},
    file::{
        properties::{WriterProperties, WriterVersion},
        reader::ChunkReader,
        writer::SerializedFileWriter,
    },
};

use super::{Batches, Columns, Input, NarrowTypes, typed};
use crate::{BATCH_ROWS, Result, StoreError};

/// A multiple of what is written at once, so that no write is ever split.
const ROW_GROUP_ROWS: usize = 16 * BATCH_ROWS;

fn properties() -> WriterProperties {
    let level = ZstdLevel::try_new(3).expect("3 is a level of zstd");
    WriterProperties::builder()
        .set_created_by("oast-store 1".to_owned())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(BATCH_ROWS)
        .set_write_batch_size(1024)
        .build()
}

/// Writes Parquet in batches of exactly [`BATCH_ROWS`] rows, whatever comes in.
pub(crate) struct ParquetSink<W: Write + Send> {
    schema: Schema,
    narrow: NarrowTypes,
    file: SerializedFileWriter<W>,
    columns: ArrowRowGroupWriterFactory,
    /// The columns of the row group under way, none before it has rows.
    group: Vec<ArrowColumnWriter>,
    group_rows: usize,
    pending: Batch,
    /// How many threads encode columns.
    threads: usize,
}

impl<W: Write + Send> ParquetSink<W> {
    /// A file of this schema without rows.
    pub(crate) fn new(output: W, schema: &Schema, narrow: NarrowTypes) -> Result<Self> {
        let writer = ArrowWriter::try_new(output, Arc::new(narrow.schema(schema)), Some(properties()))?;
        let (file, columns) = writer.into_serialized_writer()?;
        let pending = Batch::empty(schema);
        Ok(Self {
            schema: schema.clone(),
            narrow,
            file,
            columns,
            group: Vec::new(),
            group_rows: 0,
            pending,
            threads: 1,
        })
    }

    /// Encodes columns on so many threads.
    pub(crate) fn use_threads(&mut self, threads: usize) {
        self.threads = threads;
    }

    /// Adds rows.
    pub(crate) fn write(&mut self, batch: &Batch) -> Result<()> {
        if self.pending.rows == 0 && batch.rows == BATCH_ROWS {
            return self.put(batch);
        }
        let mut from = 0;
        while from < batch.rows {
            let to = batch.rows.min(from + BATCH_ROWS - self.pending.rows);
            match (from, to) {
                (0, to) if to == batch.rows => self.pending.append(batch),
                (from, to) => self.pending.append(&batch.slice(from, to)),
            }
            from = to;
            if self.pending.rows == BATCH_ROWS {
                self.put_pending()?;
            }
        }
        Ok(())
    }

    fn put(&mut self, batch: &Batch) -> Result<()> {
        let record = self.narrow.record(&self.schema, batch)?;
        if self.group.is_empty() {
            self.group = self.columns.create_column_writers(self.file.flushed_row_groups().len())?;
        }
        let schema = record.schema();
        // Each of our types is one column of Parquet.
        let columns = self.group.iter_mut().zip(schema.fields().iter().zip(record.columns()));
        on_threads(self.threads, columns, |(writer, (field, column))| {
            compute_leaves(field, column)?.iter().try_for_each(|leaf| writer.write(leaf))
        })?;
        self.group_rows += batch.rows;
        if self.group_rows == ROW_GROUP_ROWS { self.end_group() } else { Ok(()) }
    }

    fn put_pending(&mut self) -> Result<()> {
        let pending = std::mem::replace(&mut self.pending, Batch::empty(&self.schema));
        self.put(&pending)
    }

    fn end_group(&mut self) -> Result<()> {
        self.group_rows = 0;
        let chunks = on_threads(self.threads, self.group.drain(..), ArrowColumnWriter::close)?;
        let mut group = self.file.next_row_group()?;
        chunks.into_iter().try_for_each(|chunk| chunk.append_to_row_group(&mut group))?;
        group.close()?;
        Ok(())
    }

    /// Writes what is left and the footer.
    pub(crate) fn finish(mut self) -> Result<()> {
        if self.pending.rows > 0 {
            self.put_pending()?;
        }
        if self.group_rows > 0 {
            self.end_group()?;
        }
        self.file.close()?;
        Ok(())
    }
}

/// Works on items, each on the next thread that is free, and returns what they came to in their order.
fn on_threads<I: Send, T: Send>(
    threads: usize,
    items: impl Iterator<Item = I> + Send,
    work: impl Fn(I) -> parquet::errors::Result<T> + Sync,
) -> Result<Vec<T>> {
    if threads < 2 {
        return Ok(items.map(work).collect::<Result<_, _>>()?);
    }
    let items = Mutex::new(items.enumerate());
    let next = || items.lock().expect("no thread panics while it takes an item").next();
    let run = || std::iter::from_fn(next).map(|(at, item)| Ok((at, work(item)?))).collect::<Result<Vec<_>, _>>();
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().expect("columns are encoded without panics")).collect()
    });
    let done: parquet::errors::Result<Vec<Vec<(usize, T)>>> = done;
    let mut done: Vec<_> = done?.into_iter().flatten().collect();
    done.sort_unstable_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// Reads Parquet; columns that are not wanted are not decoded.
pub(super) fn read(input: Input, columns: &Columns) -> Result<(Schema, Batches)> {
    match input {
        Input::File(path) => {
            let file = File::open(&path).map_err(StoreError::io("open", &path))?;
            batches(ParquetRecordBatchReaderBuilder::try_new(file)?, columns)
        }
        Input::Memory(_, bytes) => batches(ParquetRecordBatchReaderBuilder::try_new(bytes)?, columns),
        Input::Stream(path, _) => panic!("`{}` was to be taken into memory", path.display()),
    }
}

fn batches<T: ChunkReader + 'static>(
    builder: ArrowReaderBuilder<parquet::arrow::arrow_reader::SyncReader<T>>,
    columns: &Columns,
) -> Result<(Schema, Batches)> {
    let schema = columns.resolve(builder.schema())?;
    let wanted = builder.schema().fields().iter().enumerate();
    let roots: Vec<_> = wanted.filter(|(_, field)| schema.field(field.name()).is_some()).map(|(at, _)| at).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    let records = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build()?;
    Ok((schema.clone(), typed(records, schema)))
}
