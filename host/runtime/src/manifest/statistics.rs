use oast_core::{Column, Values};
use serde::{Deserialize, Serialize};

use crate::replay::Derived;

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

/// The statistics of every feature of a dataset.
pub(super) fn statistics(derived: &Derived) -> Vec<FeatureEntry> {
    let first = derived.spine.schema.len();
    let fields = &derived.schema.fields()[first..];
    fields
        .iter()
        .zip(&derived.rows.columns[first..])
        .map(|(field, column)| statistics_of(&field.name, column))
        .collect()
}

fn statistics_of(name: &str, column: &Column) -> FeatureEntry {
    let nulls = column.null_count() as u64;
    let mut numbers = finite_numbers(column);
    let mean = (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64);
    numbers.sort_unstable_by(f64::total_cmp);
    FeatureEntry {
        name: name.to_owned(),
        count: column.len() as u64 - nulls,
        nulls,
        mean,
        min: numbers.first().copied(),
        max: numbers.last().copied(),
        deciles: deciles(&numbers),
        histogram: histogram(&numbers),
    }
}

fn finite_numbers(column: &Column) -> Vec<f64> {
    let number = |row: usize| match &column.values {
        Values::Float64(values) => Some(values[row]),
        Values::Int64(values) => Some(values[row] as f64),
        _ => None,
    };
    let valid = (0..column.len()).filter(|row| column.is_valid(*row));
    valid.filter_map(number).filter(|value| value.is_finite()).collect()
}

fn deciles(sorted: &[f64]) -> Vec<f64> {
    let Some(last) = sorted.len().checked_sub(1) else { return Vec::new() };
    (0..=10).map(|k| sorted[k * last / 10]).collect()
}

fn histogram(sorted: &[f64]) -> Option<Histogram> {
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    // The difference of two finite numbers may not be.
    let width = last / BINS as f64 - first / BINS as f64;
    if width <= 0.0 {
        return Some(Histogram { width: 0.0, counts: vec![sorted.len() as u64] });
    }
    let below = |bin: usize| sorted.partition_point(|number| *number < first + width * bin as f64) as u64;
    let mut counts: Vec<u64> = (0..BINS).map(|bin| below(bin + 1) - below(bin)).collect();
    let counted: u64 = counts[..BINS - 1].iter().sum();
    counts[BINS - 1] = sorted.len() as u64 - counted;
    Some(Histogram { width, counts })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> FeatureEntry {
        statistics_of("x", &Column { values: Values::Float64(values.to_vec()), validity: None })
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
