//! Parquet with pinned properties: the bytes depend on the schema and the rows, not on how the rows were cut into batches.

use std::{fs::File, io::Write, sync::Arc};

use oast_core::{Batch, Schema};
use parquet::{
    arrow::{
        ArrowWriter, ProjectionMask,
        arrow_reader::{ArrowReaderBuilder, ParquetRecordBatchReaderBuilder},
    },
    basic::{Compression, ZstdLevel},
    file::{
        properties::{WriterProperties, WriterVersion},
        reader::ChunkReader,
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
    writer: ArrowWriter<W>,
    pending: Batch,
}

impl<W: Write + Send> ParquetSink<W> {
    /// A file of this schema without rows.
    pub(crate) fn new(output: W, schema: &Schema, narrow: NarrowTypes) -> Result<Self> {
        let writer = ArrowWriter::try_new(output, Arc::new(narrow.schema(schema)), Some(properties()))?;
        Ok(Self { schema: schema.clone(), narrow, writer, pending: Batch::empty(schema) })
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
        self.writer.write(&self.narrow.record(&self.schema, batch)?)?;
        Ok(())
    }

    fn put_pending(&mut self) -> Result<()> {
        let pending = std::mem::replace(&mut self.pending, Batch::empty(&self.schema));
        self.put(&pending)
    }

    /// Writes what is left and the footer.
    pub(crate) fn finish(mut self) -> Result<()> {
        if self.pending.rows > 0 {
            self.put_pending()?;
        }
        self.writer.close()?;
        Ok(())
    }
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
