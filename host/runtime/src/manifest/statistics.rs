use std::sync::{Mutex, PoisonError};

use oast_core::{Batch, Column, Field, Values};
use serde::{Deserialize, Serialize};

use super::numbers::Numbers;
use crate::{
    RuntimeError,
    replay::{Storage, in_parallel},
};

/// How many bins a histogram has.
const BINS: usize = 20;

/// Statistics of one feature: what later values of it are compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureEntry {
    /// The column.
    pub name: String,
    /// Rows with a value.
    pub count: u64,
    /// Rows without.
    pub nulls: u64,
    /// The mean, for numbers; here as below, of those that are finite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// The smallest, for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest, for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// For numbers, the deciles: eleven values, from the smallest to the largest, each the value at rank
    /// `floor(k (n - 1) / 10)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deciles: Vec<f64>,
    /// For numbers, how they are spread between the smallest and the largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Histogram>,
}

/// Bins of one width, from the smallest value to the largest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// How wide a bin is; 0 where all values are the same.
    pub width: f64,
    /// How many values each bin holds: from its lower edge, inclusive, to the next, and the last bin all that is left.
    pub counts: Vec<u64>,
}

/// The statistics of every feature of a dataset, whose rows come part by part in spine order.
pub(crate) struct Statistics<'s> {
    storage: &'s Storage,
    features: Vec<FeatureStatistics>,
    /// The bytes of memory that the numbers take.
    held: u64,
}

impl<'s> Statistics<'s> {
    /// No rows yet; the features are the last columns of each.
    pub(crate) fn new(features: &[Field], storage: &'s Storage) -> Self {
        Self { storage, features: features.iter().map(FeatureStatistics::new).collect(), held: 0 }
    }

    /// Takes rows in.
    pub(crate) fn take_in(&mut self, rows: &Batch) -> Result<(), RuntimeError> {
        let first = rows.columns.len() - self.features.len();
        let features = self.features.iter_mut().zip(&rows.columns[first..]);
        let more: u64 = features.map(|(feature, column)| feature.take_in(column)).sum();
        self.held += more;
        if self.storage.hold(more, self.held)? {
            self.features.iter_mut().try_for_each(|feature| feature.numbers.spill(self.storage))?;
            self.storage.release(std::mem::take(&mut self.held));
        }
        Ok(())
    }

    /// The statistics of all rows.
    pub(crate) fn finish(mut self, threads: usize) -> Result<Vec<FeatureEntry>, RuntimeError> {
        let seen: Vec<_> = self.features.drain(..).map(|feature| Mutex::new(Some(feature))).collect();
        in_parallel(threads, seen.len(), &|at| {
            let feature = seen[at].lock().unwrap_or_else(PoisonError::into_inner).take();
            feature.expect("each feature is finished once").finish(self.storage)
        })
    }
}

impl Drop for Statistics<'_> {
    fn drop(&mut self) {
        self.storage.release(self.held);
    }
}

/// What has been seen of one feature.
struct FeatureStatistics {
    name: String,
    count: u64,
    nulls: u64,
    /// Of the finite numbers; -0 where there is none, as the sum of nothing.
    sum: f64,
    finite: u64,
    min: Option<f64>,
    max: Option<f64>,
    numbers: Numbers,
}

impl FeatureStatistics {
    fn new(field: &Field) -> Self {
        Self {
            name: field.name.clone(),
            count: 0,
            nulls: 0,
            sum: -0.0,
            finite: 0,
            min: None,
            max: None,
            numbers: Numbers::default(),
        }
    }

    fn take_in(&mut self, column: &Column) -> u64 {
        let nulls = column.null_count() as u64;
        self.nulls += nulls;
        self.count += column.len() as u64 - nulls;
        let Self { sum, finite, min, max, numbers, .. } = self;
        numbers.extend(finite_numbers(column).inspect(|number| {
            *sum += number;
            *finite += 1;
            *min = Some(min.map_or(*number, |min| if number.total_cmp(&min).is_lt() { *number } else { min }));
            *max = Some(max.map_or(*number, |max| if number.total_cmp(&max).is_gt() { *number } else { max }));
        }))
    }

    fn finish(self, storage: &Storage) -> Result<FeatureEntry, RuntimeError> {
        let Self { name, count, nulls, sum, finite, min, max, numbers } = self;
        let mut deciles = Deciles::new(finite);
        let mut bins = min.zip(max).map(|(min, max)| Bins::new(min, max));
        numbers.in_order(storage, |number| {
            deciles.take_in(number);
            bins.iter_mut().for_each(|bins| bins.take_in(number));
        })?;
        Ok(FeatureEntry {
            name,
            count,
            nulls,
            mean: (finite > 0).then(|| sum / finite as f64),
            min,
            max,
            deciles: deciles.found,
            histogram: bins.map(Bins::finish),
        })
    }
}

fn finite_numbers(column: &Column) -> impl Iterator<Item = f64> {
    let number = |row: usize| match &column.values {
        Values::Float64(values) => Some(values[row]),
        Values::Int64(values) => Some(values[row] as f64),
        _ => None,
    };
    let valid = (0..column.len()).filter(|row| column.is_valid(*row));
    valid.filter_map(number).filter(|value| value.is_finite())
}

/// The deciles of numbers that come in rising order.
struct Deciles {
    last: Option<u64>,
    next: u64,
    found: Vec<f64>,
}

impl Deciles {
    fn new(numbers: u64) -> Self {
        Self { last: numbers.checked_sub(1), next: 0, found: Vec::new() }
    }

    fn take_in(&mut self, number: f64) {
        while self.found.len() <= 10 && self.last.map(|last| self.found.len() as u64 * last / 10) == Some(self.next) {
            self.found.push(number);
        }
        self.next += 1;
    }
}

/// The histogram of numbers that come in rising order.
struct Bins {
    min: f64,
    width: f64,
    /// How many numbers are below the upper edge of each bin but the last.
    below: Vec<u64>,
    numbers: u64,
}

impl Bins {
    fn new(min: f64, max: f64) -> Self {
        // The difference of two finite numbers may not be.
        Self { min, width: max / BINS as f64 - min / BINS as f64, below: Vec::new(), numbers: 0 }
    }

    fn take_in(&mut self, number: f64) {
        while self.below.len() < BINS - 1 && number >= self.min + self.width * (self.below.len() + 1) as f64 {
            self.below.push(self.numbers);
        }
        self.numbers += 1;
    }

    fn finish(mut self) -> Histogram {
        if self.width <= 0.0 {
            return Histogram { width: 0.0, counts: vec![self.numbers] };
        }
        self.below.resize(BINS, self.numbers);
        let counts = (0..BINS).map(|bin| self.below[bin] - bin.checked_sub(1).map_or(0, |before| self.below[before]));
        Histogram { width: self.width, counts: counts.collect() }
    }
}

#[cfg(test)]
mod tests {
    use oast_core::DataType;
    use proptest::prelude::*;

    use super::*;

    /// The statistics of a feature whose values come in parts, with memory for so many bytes.
    fn within(values: &[f64], part: usize, bytes_max: u64) -> FeatureEntry {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::new(bytes_max, folder.path().to_owned());
        let mut statistics = Statistics::new(&[Field::nullable("x", DataType::Float64)], &storage);
        for values in values.chunks(part) {
            let column = Column { values: Values::Float64(values.to_vec()), validity: None };
            statistics.take_in(&Batch { rows: values.len(), columns: vec![column] }).unwrap();
        }
        statistics.finish(2).unwrap().pop().unwrap()
    }

    fn of(values: &[f64]) -> FeatureEntry {
        within(values, 1000, u64::MAX)
    }

    proptest! {
        #[test]
        fn they_are_the_same_whatever_the_memory(
            values in proptest::collection::vec(any::<f64>(), 0..2000),
            part in 1_usize..700,
            bytes_max in 0_u64..20_000,
        ) {
            prop_assert_eq!(within(&values, part, bytes_max), of(&values));
        }

        #[test]
        fn they_are_those_of_the_sorted_numbers(values in proptest::collection::vec(-9.0..9.0, 1..500)) {
            let found = of(&values);
            let mut sorted = values.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            let (first, last) = (sorted[0], sorted[sorted.len() - 1]);
            prop_assert_eq!((found.min, found.max), (Some(first), Some(last)));
            prop_assert_eq!(found.mean, Some(values.iter().sum::<f64>() / values.len() as f64));
            let deciles: Vec<f64> = (0..=10).map(|k| sorted[k * (sorted.len() - 1) / 10]).collect();
            prop_assert_eq!(found.deciles, deciles);
            let width = last / 20.0 - first / 20.0;
            if width > 0.0 {
                let below = |bin: usize| sorted.partition_point(|number| *number < first + width * bin as f64) as u64;
                let mut counts: Vec<u64> = (0..20).map(|bin| below(bin + 1) - below(bin)).collect();
                counts[19] = sorted.len() as u64 - counts[..19].iter().sum::<u64>();
                prop_assert_eq!(found.histogram, Some(Histogram { width, counts }));
            }
        }
    }

    #[test]
    fn deciles_and_bins_are_exact() {
        let values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        let found = of(&values);
        assert_eq!(found.deciles, [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0]);
        let histogram = found.histogram.expect("numbers have one");
        assert_eq!((histogram.width, histogram.counts[0], histogram.counts[19]), (5.0, 5, 6));
        assert_eq!(histogram.counts.iter().sum::<u64>(), 101);
    }

    #[test]
    fn odd_columns_have_statistics_too() {
        assert_eq!((of(&[]).deciles.len(), of(&[]).histogram), (0, None));
        assert_eq!(of(&[7.0, 7.0]).histogram, Some(Histogram { width: 0.0, counts: vec![2] }));
        let wide = of(&[f64::MIN, 0.0, f64::MAX, f64::INFINITY, f64::NAN]);
        assert_eq!(wide.histogram.expect("three are finite").counts.iter().sum::<u64>(), 3);
    }
}
