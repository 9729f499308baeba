//! The standard plugin `top-k`.

use std::ops::Range;

use oast_sdk::schema::only;
use oast_sdk::{
    AnyBuilder, AnyColumn, Batch, BatchAggregate, Buffer, Column, DataType, Error, Field, MergeLaw, Params, Schemas,
    batch_aggregate,
};

mod summary;

pub use summary::Summary;

/// The longest value that is told from others, in bytes.
const VALUE_BYTES_MAX: usize = 200;

/// The most frequent values of a column and how often they occur, about: a Misra-Gries summary.
///
/// `top_1` is the most frequent value and `count_1` its count, `top_2` the next, and so on; of equal counts the value
/// with the smaller bytes comes first, and both are null where there are fewer values. The column may have any type but
/// vector; nulls are skipped, 0 and -0 are one value, and so are all NaN. Texts and binary values are told apart by
/// their first 200 bytes.
///
/// Everything is exact for up to `capacity` different values. Beyond that a count is too low by `error` at most, which
/// is at most the number of all values divided by `capacity + 1`, and a value that occurs more often than that is never
/// missed: Misra and Gries, *Finding Repeated Elements*, Science of Computer Programming 2 (1982); merged after Agarwal
/// and others, *Mergeable Summaries* (PODS 2012), who show that the bound holds however states are split and merged.
///
/// Beyond `capacity` the order of the rows and the split decide within that error. The state takes 12 bytes and the
/// value for each of `capacity` values: 21 KB at most by default, 64 KB in any case.
#[batch_aggregate]
#[derive(Debug)]
pub struct TopK {
    data_type: DataType,
    k: usize,
    capacity: usize,
}

/// The parameters of [`TopK`].
#[derive(Debug, Params)]
pub struct Settings {
    /// How many values.
    #[param(default = 3, range = 1..=32, example = 3)]
    k: u32,
    /// How many values are counted at a time; at least `k`.
    #[param(default = 100, range = 1..=300, example = 100)]
    capacity: u32,
}

impl BatchAggregate for TopK {
    type Params = Settings;
    type State = Summary;
    type Rows<'a> = AnyColumn<'a>;
    const ORDER_SENSITIVE: bool = true;
    const MERGE_LAW: MergeLaw = MergeLaw::Approximate;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let Settings { k, capacity } = settings;
        if capacity < k {
            return Err(Error::new(format!(
                "parameter `capacity`: expected an integer from {k} to 300, for example `100`, got `{capacity}`"
            )));
        }
        let field = only(offered)?;
        if let DataType::Vector(_) = field.data_type {
            return Err(Error::new(format!("expected a column of another type than vector, got {field}")));
        }
        let mut output = Vec::new();
        for place in 1..=k {
            output.push(Field::new(format!("top_{place}"), field.data_type).nullable());
            output.push(Field::new(format!("count_{place}"), DataType::Int64).nullable());
        }
        output.push(Field::new("error", DataType::Int64));
        let input = vec![Field::new("value", field.data_type).nullable()];
        let top = Self { data_type: field.data_type, k: k as usize, capacity: capacity as usize };
        Ok((top, Schemas { input, output }))
    }

    fn rows<'a>(&self, batch: &'a mut Batch) -> Result<AnyColumn<'a>, Error> {
        AnyColumn::new(batch.column(0)?, self.data_type)
    }

    fn update(&self, summary: &mut Summary, values: &AnyColumn<'_>, run: Range<usize>) -> Result<(), Error> {
        for row in run {
            values.value(row, |bytes| summary.insert(self.known(bytes), self.capacity));
        }
        Ok(())
    }

    fn merge(&self, earlier: &mut Summary, later: Summary) -> Result<(), Error> {
        earlier.merge(later, self.capacity);
        Ok(())
    }

    fn finish(&self, states: &[Summary]) -> Result<Vec<Column>, Error> {
        let tops: Vec<Vec<(&[u8], u64)>> = states.iter().map(|state| state.top(self.k)).collect();
        let mut columns = Vec::new();
        for place in 0..self.k {
            let (mut values, mut counts) = (AnyBuilder::new(self.data_type), AnyBuilder::new(DataType::Int64));
            for top in &tops {
                let entry = top.get(place);
                values.push(entry.map(|(value, _)| *value))?;
                counts.push(entry.map(|(_, count)| count.to_le_bytes()).as_ref().map(|bytes| &bytes[..]))?;
            }
            columns.extend([values.finish(), counts.finish()]);
        }
        let errors = states.iter().map(|state| state.error() as i64).collect();
        columns.push(Column { buffer: Buffer::Int64s(errors), validity: None });
        Ok(columns)
    }
}

impl TopK {
    /// What a value is known by: the beginning of a long text, in whole characters, and 0 for both zeros.
    fn known<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        const ZERO: [u8; 8] = 0.0_f64.to_le_bytes();
        const MINUS_ZERO: [u8; 8] = (-0.0_f64).to_le_bytes();
        match self.data_type {
            DataType::Float64 if bytes == MINUS_ZERO => &ZERO,
            DataType::Utf8 | DataType::Binary if bytes.len() > VALUE_BYTES_MAX => {
                let is_inside = |at: &usize| self.data_type == DataType::Utf8 && bytes[*at] & 0xc0 == 0x80;
                let end = (0..=VALUE_BYTES_MAX).rev().find(|at| !is_inside(at)).unwrap_or(0);
                &bytes[..end]
            }
            _ => bytes,
        }
    }
}

#[cfg(test)]
mod tests;
