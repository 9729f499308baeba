//! The standard plugin `histogram`.

use std::ops::Range;

use oast_sdk::row::{bind, widen};
use oast_sdk::state::corrupt;
use oast_sdk::{
    Batch, BatchAggregate, Buffer, Column, DataType, Error, Field, Json, MergeLaw, Param, Params, Row, Schemas, State,
    batch_aggregate,
};

/// How many values fall into each bucket between given edges.
///
/// `bucket_0` counts the values below the first edge, `bucket_i` those with `edges[i - 1] <= value < edges[i]`, and the
/// last one those from the last edge up; the plugin `bucketize` puts a value into the same bucket. With `shares` they
/// are float64, divided by how many values there are, and null when there are none. Nulls and NaN are skipped. It is
/// `numpy.histogram` with open ends.
///
/// Neither the order of the rows nor how they are split matters. The state takes 8 bytes a bucket.
#[batch_aggregate]
#[derive(Debug)]
pub struct Histogram {
    settings: Settings,
}

/// The parameters of [`Histogram`].
#[derive(Debug, Params)]
pub struct Settings {
    /// The edges between the buckets.
    edges: Edges,
    /// Whether to give shares instead of counts.
    #[param(default = false)]
    shares: bool,
}

/// Numbers in ascending order, none twice.
#[derive(Debug)]
pub struct Edges(Vec<f64>);

impl Param for Edges {
    const EXPECTED: &'static str = "a list of 1 to 255 ascending numbers";
    const EXAMPLE: &'static str = "[0.0, 15.0, 60.0]";

    fn from_json(json: &Json) -> Option<Self> {
        let edges: Vec<f64> = json.as_array()?.iter().map(Json::as_f64).collect::<Option<_>>()?;
        let ascending = edges.is_sorted_by(|left, right| left < right);
        (ascending && (1..=255).contains(&edges.len())).then_some(Self(edges))
    }
}

/// A number.
#[derive(Row)]
pub struct Input {
    /// The column; int64 is converted to the nearest double.
    pub value: Option<f64>,
}

/// One count a bucket, or none before the first row.
#[derive(Debug, Default, State)]
pub struct Counts {
    counts: Vec<u64>,
}

impl BatchAggregate for Histogram {
    type Params = Settings;
    type State = Counts;
    type Rows<'a> = <Input as Row<'a>>::Reader;
    const MERGE_LAW: MergeLaw = MergeLaw::Exact;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let output = |bucket: usize| {
            let name = format!("bucket_{bucket}");
            if settings.shares {
                Field::new(name, DataType::Float64).nullable()
            } else {
                Field::new(name, DataType::Int64)
            }
        };
        let output = (0..=settings.edges.0.len()).map(output).collect();
        let schemas = Schemas { input: bind::<Input>(offered)?, output };
        Ok((Self { settings }, schemas))
    }

    fn rows<'a>(&self, batch: &'a mut Batch) -> Result<Self::Rows<'a>, Error> {
        widen(batch, Input::FIELDS);
        Input::reader(batch)
    }

    fn update(&self, counts: &mut Counts, rows: &Self::Rows<'_>, run: Range<usize>) -> Result<(), Error> {
        let edges = &self.settings.edges.0;
        self.open(counts)?;
        let count = run.len();
        let rows = Input::part(rows, run);
        for value in (0..count).filter_map(|row| Input::read(&rows, row).value).filter(|value| !value.is_nan()) {
            counts.counts[edges.partition_point(|edge| *edge <= value)] += 1;
        }
        Ok(())
    }

    fn merge(&self, earlier: &mut Counts, mut later: Counts) -> Result<(), Error> {
        self.open(earlier)?;
        self.open(&mut later)?;
        for (count, more) in earlier.counts.iter_mut().zip(later.counts) {
            *count = count.saturating_add(more);
        }
        Ok(())
    }

    fn finish(&self, states: &[Counts]) -> Result<Vec<Column>, Error> {
        let buckets = self.settings.edges.0.len() + 1;
        if states.iter().any(|state| !state.counts.is_empty() && state.counts.len() != buckets) {
            return Err(corrupt("it has another number of buckets"));
        }
        let counts = |bucket: usize| states.iter().map(move |state| state.counts.get(bucket).copied().unwrap_or(0));
        if !self.settings.shares {
            let column = |bucket| Buffer::Int64s(counts(bucket).map(|count| count as i64).collect());
            return Ok((0..buckets).map(|bucket| Column { buffer: column(bucket), validity: None }).collect());
        }
        let totals: Vec<u64> = states
            .iter()
            .map(|state| state.counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count)))
            .collect();
        let validity =
            totals.contains(&0).then(|| totals.iter().map(|total| u8::from(*total > 0)).collect::<Vec<u8>>());
        let share = |(count, total): (u64, &u64)| if *total == 0 { 0.0 } else { count as f64 / *total as f64 };
        let column = |bucket| Column {
            buffer: Buffer::Float64s(counts(bucket).zip(&totals).map(share).collect()),
            validity: validity.clone(),
        };
        Ok((0..buckets).map(column).collect())
    }
}

impl Histogram {
    /// Gives a state that no row has touched its buckets.
    fn open(&self, counts: &mut Counts) -> Result<(), Error> {
        let buckets = self.settings.edges.0.len() + 1;
        if counts.counts.is_empty() {
            counts.counts = vec![0; buckets];
        }
        if counts.counts.len() == buckets { Ok(()) } else { Err(corrupt("it has another number of buckets")) }
    }
}

#[cfg(test)]
mod tests;
