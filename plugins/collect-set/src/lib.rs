//! The standard plugin `collect-set`.

use std::ops::Range;

use oast_sdk::schema::only;
use oast_sdk::{
    Batch, BatchAggregate, Blobs, Buffer, Column, DataType, Error, Field, MergeLaw, Params, Schemas, batch_aggregate,
};

mod values;

pub use values::{Collected, Value};

/// The different values of a column, as a list in JSON, in ascending order and no more than `limit`.
///
/// `values` is a text such as `["AA","UA"]` or `[1,2]`; `count` is how many it lists, and `complete` whether it lists
/// all, whole. When there are more than `limit`, the smallest stay. The column may hold utf8 (ordered by its bytes; of
/// long texts the first 200 bytes are kept, in whole characters), int64, timestamp (as microseconds), float64 (all NaN
/// are one, above everything; -0 is below 0) or bool. Nulls are skipped.
///
/// Neither the order of the rows nor how they are split matters. The state takes up to 205 bytes a value: 10 KB by
/// default, 62 KB at most.
#[batch_aggregate]
#[derive(Debug)]
pub struct CollectSet {
    data_type: DataType,
    limit: usize,
}

/// The parameters of [`CollectSet`].
#[derive(Debug, Params)]
pub struct Settings {
    /// How many values at most.
    #[param(default = 50, range = 1..=300, example = 50)]
    limit: u32,
}

impl BatchAggregate for CollectSet {
    type Params = Settings;
    type State = Collected;
    type Rows<'a> = &'a Column;
    const MERGE_LAW: MergeLaw = MergeLaw::Exact;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let Settings { limit } = settings;
        let field = only(offered)?;
        if matches!(field.data_type, DataType::Binary | DataType::Vector(_)) {
            return Err(Error::new(format!(
                "expected a column of utf8, int64, float64, timestamp or bool, got {field}"
            )));
        }
        let schemas = Schemas {
            input: vec![Field::new("value", field.data_type).nullable()],
            output: vec![
                Field::new("values", DataType::Utf8),
                Field::new("count", DataType::Int64),
                Field::new("complete", DataType::Bool),
            ],
        };
        Ok((Self { data_type: field.data_type, limit: limit as usize }, schemas))
    }

    fn rows<'a>(&self, batch: &'a mut Batch) -> Result<&'a Column, Error> {
        let column = batch.column(0)?;
        let found = column.buffer.data_type();
        if found == self.data_type {
            Ok(column)
        } else {
            Err(Error::new(format!("a column of {found} was not agreed")))
        }
    }

    fn update(&self, collected: &mut Collected, column: &&Column, run: Range<usize>) -> Result<(), Error> {
        for row in run.filter(|row| !column.is_null(*row)) {
            let (value, whole) = Value::read(&column.buffer, row)?;
            collected.insert(value, whole, self.limit);
        }
        Ok(())
    }

    fn merge(&self, earlier: &mut Collected, later: Collected) -> Result<(), Error> {
        earlier.merge(later, self.limit);
        Ok(())
    }

    fn finish(&self, states: &[Collected]) -> Result<Vec<Column>, Error> {
        let mut lists = Blobs::with_capacity(states.len());
        for state in states {
            lists.push(state.json(self.data_type).as_bytes());
        }
        let counts = states.iter().map(|state| state.len() as i64).collect();
        let complete = states.iter().map(|state| state.is_complete().into()).collect();
        let buffers = [Buffer::Utf8(lists), Buffer::Int64s(counts), Buffer::Bools(complete)];
        Ok(buffers.map(|buffer| Column { buffer, validity: None }).into())
    }
}

#[cfg(test)]
mod tests;
