//! The standard plugin `distinct`.

use std::ops::Range;

use oast_sdk::schema::only;
use oast_sdk::{
    AnyColumn, Batch, BatchAggregate, Buffer, Column, DataType, Error, Field, MergeLaw, Params, Schemas,
    batch_aggregate, hash,
};

mod sketch;

pub use sketch::Sketch;

/// How many different values a column has, about: HyperLogLog++ with Ertl's estimator.
///
/// Nulls are skipped; 0 and -0 are one value, and so are all NaN. The count is nearly exact up to about 768 values (for the
/// default precision); beyond that its standard error is `1.04 / sqrt(2^precision)`, or 1.6 % by default.
///
/// - The sketch: Heule, Nunkesser and Hall, *HyperLogLog in Practice* (EDBT 2013): a 64-bit hash, and a sparse form of
///   precision 25 for as long as it is the smaller one.
/// - The estimator: Ertl, *New cardinality estimation algorithms for HyperLogLog sketches* (2017, arXiv:1702.01284),
///   algorithm 6. It replaces the empirical bias tables of HyperLogLog++ and serves both forms.
///
/// The state depends on the set of values alone, not on their order or on how they were merged.
#[batch_aggregate]
#[derive(Debug)]
pub struct Distinct {
    data_type: DataType,
    precision: u32,
}

/// The parameters of [`Distinct`].
#[derive(Debug, Params)]
pub struct Settings {
    /// The sketch has 2^precision registers and takes 3/4 byte each.
    #[param(default = 12, range = 4..=18, example = 12)]
    precision: u32,
}

impl BatchAggregate for Distinct {
    type Params = Settings;
    type State = Sketch;
    type Rows<'a> = AnyColumn<'a>;
    const MERGE_LAW: MergeLaw = MergeLaw::Exact;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let precision = settings.precision;
        let field = only(offered)?;
        let schemas = Schemas {
            input: vec![Field::new("value", field.data_type).nullable()],
            output: vec![Field::new("distinct", DataType::Int64)],
        };
        let distinct = Self { data_type: field.data_type, precision };
        Ok((distinct, schemas))
    }

    fn rows<'a>(&self, batch: &'a mut Batch) -> Result<AnyColumn<'a>, Error> {
        AnyColumn::new(batch.column(0)?, self.data_type)
    }

    fn update(&self, sketch: &mut Sketch, values: &AnyColumn<'_>, run: Range<usize>) -> Result<(), Error> {
        let hashes = run.filter_map(|row| values.value(row, |bytes| self.hash(bytes)));
        sketch.insert(hashes, self.precision)
    }

    fn merge(&self, earlier: &mut Sketch, later: Sketch) -> Result<(), Error> {
        earlier.merge(later, self.precision)
    }

    fn finish(&self, sketches: &[Sketch]) -> Result<Vec<Column>, Error> {
        let counts = sketches.iter().map(|sketch| sketch.count(self.precision));
        Ok(vec![Column { buffer: Buffer::Int64s(counts.collect::<Result<_, _>>()?), validity: None }])
    }
}

impl Distinct {
    fn hash(&self, bytes: &[u8]) -> u64 {
        const MINUS_ZERO: [u8; 8] = (-0.0_f64).to_le_bytes();
        if self.data_type == DataType::Float64 && bytes == MINUS_ZERO {
            return hash(&0.0_f64.to_le_bytes());
        }
        hash(bytes)
    }
}

#[cfg(test)]
mod tests;
