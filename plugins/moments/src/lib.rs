//! The standard plugin `moments`.

use oast_sdk::{Aggregate, Row, State, aggregate};

/// Count, sum, mean, smallest and largest value, and sample standard deviation of one column.
///
/// Nulls are skipped. Without a value the count is 0 and the rest is null; `stddev` is also null for a single value.
///
/// - `sum` is compensated: Neumaier, *Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen*, ZAMM 54
///   (1974). `mean` is `sum / count`.
/// - `stddev` is `sqrt(m2 / (count - 1))`, where `m2` is the sum of the squared distances from the mean: row by row after
///   Welford, *Note on a Method for Calculating Corrected Sums of Squares and Products*, Technometrics 4 (1962); merged
///   after Chan, Golub and LeVeque, *Updating Formulae and a Pairwise Algorithm for Computing Sample Variances* (1979).
/// - `min` and `max` ignore NaN, and are NaN when every value is; -0 is smaller than 0. A NaN makes `sum`, `mean` and
///   `stddev` NaN; an infinity makes `stddev` NaN, and the sum that of IEEE 754.
///
/// Rounding depends on how rows are grouped into states, which the definition of a window fixes.
#[aggregate]
#[derive(Debug, Clone, Default, PartialEq, State)]
pub struct Moments {
    count: i64,
    /// The sum as doubles add up, and what rounding took from it.
    sum: f64,
    lost: f64,
    /// Welford's running mean, and the sum of the squared distances from it.
    mean: f64,
    m2: f64,
    /// NaN while no value but NaN has come.
    min: f64,
    max: f64,
}

/// One value.
#[derive(Row)]
pub struct Input {
    /// The column; int64 is converted to the nearest double.
    pub value: Option<f64>,
}

/// The features.
#[derive(Debug, Row)]
pub struct Features {
    /// How many values there are.
    pub count: i64,
    /// Their sum.
    pub sum: Option<f64>,
    /// Their arithmetic mean.
    pub mean: Option<f64>,
    /// The smallest.
    pub min: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
    /// The sample standard deviation.
    pub stddev: Option<f64>,
}

impl Aggregate for Moments {
    type Input<'a> = Input;
    type Output = Features;
    type Params = ();

    fn update(&mut self, row: Input, _: &()) {
        let Some(value) = row.value else { return };
        self.bound(value, value);
        self.count += 1;
        self.add(value);
        let distance = value - self.mean;
        self.mean += distance / self.count as f64;
        self.m2 += distance * (value - self.mean);
    }

    fn merge(&mut self, later: Self, _: &()) {
        if self.count == 0 || later.count == 0 {
            if self.count == 0 {
                *self = later;
            }
            return;
        }
        self.bound(later.min, later.max);
        let (left, right) = (self.count as f64, later.count as f64);
        self.count += later.count;
        self.add(later.sum);
        self.lost += later.lost;
        let distance = later.mean - self.mean;
        self.mean += distance * (right / self.count as f64);
        self.m2 += later.m2 + distance * distance * (left * right / self.count as f64);
    }

    fn finish(&self, _: &()) -> Features {
        let sum = self.total();
        let some = |value| (self.count > 0).then_some(value);
        Features {
            count: self.count,
            sum: some(sum),
            mean: some(sum / self.count as f64),
            min: some(self.min),
            max: some(self.max),
            stddev: (self.count > 1).then(|| (self.m2 / (self.count - 1) as f64).sqrt()),
        }
    }
}

impl Moments {
    /// Adds to the compensated sum. An infinite sum has lost nothing: what rounding took would be NaN.
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        if sum.is_finite() {
            self.lost +=
                if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        }
        self.sum = sum;
    }

    fn total(&self) -> f64 {
        if self.sum.is_finite() { self.sum + self.lost } else { self.sum }
    }

    fn bound(&mut self, min: f64, max: f64) {
        if self.count == 0 {
            (self.min, self.max) = (min, max);
            return;
        }
        self.min = first(self.min, min, true);
        self.max = first(self.max, max, false);
    }
}

/// The smaller or the larger of two values, ignoring NaN, with -0 below 0. `f64::min` leaves open which zero it returns.
fn first(a: f64, b: f64, smaller: bool) -> f64 {
    if a.is_nan() {
        return b;
    }
    if b.is_nan() || (a.total_cmp(&b).is_lt() == smaller) {
        return a;
    }
    b
}

#[cfg(test)]
mod tests;
