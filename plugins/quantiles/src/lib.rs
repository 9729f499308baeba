//! The standard plugin `quantiles`.

use std::ops::Range;

use oast_sdk::row::{bind, widen};
use oast_sdk::{
    Batch, BatchAggregate, Buffer, Column, DataType, Error, Field, Json, MergeLaw, Param, Params, Row, Schemas,
    batch_aggregate,
};

mod kll;

pub use kll::Kll;

/// Percentiles of a column, about: a KLL sketch whose coins come from its content.
///
/// `p50` is the median, `p99_9` the percentile 99.9: the smallest value that at least 99.9 % of the values do not
/// exceed, which is the inverse of the empirical distribution function (`method="inverted_cdf"` of NumPy). They are
/// exact for up to `k` values, and `p0` and `p100` always. Beyond that the rank of the answer is within about 1.7 % of
/// the true one for k = 200, in 99 of 100 cases, and twice as near for twice the k.
///
/// The sketch: Karnin, Lang and Liberty, *Optimal Quantile Approximation in Streams* (FOCS 2016). Whenever it is full,
/// it sorts one of its levels and keeps every other value with twice the weight, those at the odd or at the even
/// places. A coin decides; here it is a hash of the level's values and not chance, so the same rows in the same order
/// give the same bits. Another order, or another split into states, gives another answer within the same error.
///
/// Nulls and NaN are skipped; without a value everything is null. The state takes 8 bytes for each of at
/// most about 3 k + 100 values: 6 KB by default, 50 KB at most.
#[batch_aggregate]
#[derive(Debug)]
pub struct Quantiles {
    percentiles: Vec<f64>,
    k: usize,
}

/// The parameters of [`Quantiles`].
#[derive(Debug, Params)]
pub struct Settings {
    /// Which percentiles.
    percentiles: Percentiles,
    /// Larger is more exact and takes more room.
    #[param(default = 200, range = 8..=2000, example = 200)]
    k: u32,
}

/// Percentiles and the names of their columns.
#[derive(Debug)]
pub struct Percentiles(Vec<(f64, String)>);

impl Param for Percentiles {
    const EXPECTED: &'static str = "a list of 1 to 100 different numbers from 0 to 100";
    const EXAMPLE: &'static str = "[50, 99.9]";

    fn from_json(json: &Json) -> Option<Self> {
        let percentile = |json: &Json| {
            let percentile = json.as_f64().filter(|percentile| (0.0..=100.0).contains(percentile))?;
            Some((percentile, format!("p{}", percentile.abs()).replace('.', "_")))
        };
        let percentiles: Vec<(f64, String)> = json.as_array()?.iter().map(percentile).collect::<Option<_>>()?;
        let different = (1..percentiles.len()).all(|at| !percentiles[..at].contains(&percentiles[at]));
        (different && (1..=100).contains(&percentiles.len())).then_some(Self(percentiles))
    }
}

/// A number.
#[derive(Row)]
pub struct Input {
    /// The column; int64 is converted to the nearest double.
    pub value: Option<f64>,
}

impl BatchAggregate for Quantiles {
    type Params = Settings;
    type State = Kll;
    type Rows<'a> = <Input as Row<'a>>::Reader;
    const ORDER_SENSITIVE: bool = true;
    const MERGE_LAW: MergeLaw = MergeLaw::Approximate;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let (percentiles, names): (Vec<f64>, Vec<String>) = settings.percentiles.0.into_iter().unzip();
        let output = names.into_iter().map(|name| Field::new(name, DataType::Float64).nullable()).collect();
        let schemas = Schemas { input: bind::<Input>(offered)?, output };
        Ok((Self { percentiles, k: settings.k as usize }, schemas))
    }

    fn rows<'a>(&self, batch: &'a mut Batch) -> Result<Self::Rows<'a>, Error> {
        widen(batch, Input::FIELDS);
        Input::reader(batch)
    }

    fn update(&self, sketch: &mut Kll, rows: &Self::Rows<'_>, run: Range<usize>) -> Result<(), Error> {
        let count = run.len();
        let rows = Input::part(rows, run);
        for value in (0..count).filter_map(|row| Input::read(&rows, row).value).filter(|value| !value.is_nan()) {
            sketch.insert(value, self.k);
        }
        Ok(())
    }

    fn merge(&self, earlier: &mut Kll, later: Kll) -> Result<(), Error> {
        earlier.merge(later, self.k);
        Ok(())
    }

    fn finish(&self, states: &[Kll]) -> Result<Vec<Column>, Error> {
        let rows: Vec<Option<Vec<f64>>> = states.iter().map(|state| state.percentiles(&self.percentiles)).collect();
        let empty = rows.iter().any(Option::is_none);
        let validity = empty.then(|| rows.iter().map(|row| u8::from(row.is_some())).collect::<Vec<u8>>());
        let column = |at: usize| Column {
            buffer: Buffer::Float64s(rows.iter().map(|row| row.as_ref().map_or(0.0, |row| row[at])).collect()),
            validity: validity.clone(),
        };
        Ok((0..self.percentiles.len()).map(column).collect())
    }
}

#[cfg(test)]
mod tests;
