//! Columns of fewer bits than ours, which a dataset keeps as its spine had them.

use std::{collections::BTreeMap, fs::File, path::Path, sync::Arc};

use arrow::{
    compute::cast,
    datatypes::{DataType as ArrowType, Schema as ArrowSchema},
};
use oast_core::{DataType, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{Format, TableFiles, input};
use crate::{
    Result, StoreError,
    arrow::{RecordBatch, to_arrow_schema, to_record_batch},
};

/// The columns of a table whose integers or floats have fewer than 64 bits, by name. Values are always read with 64; a table
/// that is written with these types holds the same values in the types that they came in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NarrowTypes(BTreeMap<String, ArrowType>);

impl NarrowTypes {
    /// Those of a file, a folder or a pattern: the columns that have one narrow type in all files. Text has none.
    pub fn of(named: &Path) -> Result<Self> {
        let found = TableFiles::find(named)?;
        let format = found.format()?;
        let mut narrow: Option<BTreeMap<String, ArrowType>> = None;
        for path in found.paths() {
            let Some(schema) = arrow_schema(path, format).map_err(|error| error.in_table(path))? else { break };
            let of_file = schema.fields().iter().filter(|field| wide(field.data_type()).is_some());
            let of_file: BTreeMap<_, _> =
                of_file.map(|field| (field.name().clone(), field.data_type().clone())).collect();
            match &mut narrow {
                None => narrow = Some(of_file),
                Some(narrow) => narrow.retain(|name, narrow| of_file.get(name) == Some(narrow)),
            }
        }
        Ok(Self(narrow.unwrap_or_default()))
    }

    /// The same columns under other names.
    pub fn renamed(self, name: impl Fn(String) -> String) -> Self {
        Self(self.0.into_iter().map(|(column, narrow)| (name(column), narrow)).collect())
    }

    /// Goes on with the columns of a schema that have their narrow type's values.
    #[must_use]
    pub fn within(mut self, schema: &Schema) -> Self {
        self.0.retain(|name, narrow| schema.field(name).map(|field| field.data_type) == wide(narrow));
        self
    }

    /// The Arrow schema of a table with these columns.
    pub(super) fn schema(&self, schema: &Schema) -> ArrowSchema {
        let whole = to_arrow_schema(schema);
        let fields = whole.fields().iter().map(|field| match self.0.get(field.name()) {
            Some(narrow) => Arc::new(field.as_ref().clone().with_data_type(narrow.clone())),
            None => Arc::clone(field),
        });
        ArrowSchema::new(fields.collect::<Vec<_>>())
    }

    /// Rows as a record batch with these columns.
    pub(super) fn record(&self, schema: &Schema, batch: &oast_core::Batch) -> Result<RecordBatch> {
        let record = to_record_batch(schema, batch)?;
        if self.0.is_empty() {
            return Ok(record);
        }
        let narrowed = |(field, array): (&oast_core::Field, &arrow::array::ArrayRef)| match self.0.get(&field.name) {
            Some(narrow) => cast(array, narrow),
            None => Ok(Arc::clone(array)),
        };
        let columns = schema.fields().iter().zip(record.columns()).map(narrowed).collect::<Result<_, _>>()?;
        Ok(RecordBatch::try_new(Arc::new(self.schema(schema)), columns)?)
    }
}

/// The type whose values a narrow type has some of.
fn wide(narrow: &ArrowType) -> Option<DataType> {
    match narrow {
        ArrowType::Int8 | ArrowType::Int16 | ArrowType::Int32 => Some(DataType::Int64),
        ArrowType::UInt8 | ArrowType::UInt16 | ArrowType::UInt32 => Some(DataType::Int64),
        ArrowType::Float32 => Some(DataType::Float64),
        _ => None,
    }
}

/// The schema that a file carries, if its format has one.
fn arrow_schema(path: &Path, format: Format) -> Result<Option<Arc<ArrowSchema>>> {
    Ok(match format {
        Format::Parquet => {
            let file = File::open(path).map_err(StoreError::io("open", path))?;
            Some(Arc::clone(ParquetRecordBatchReaderBuilder::try_new(file)?.schema()))
        }
        Format::Arrow => Some(input::arrow_schema(path)?),
        Format::Csv | Format::JsonLines => None,
    })
}
