//! The standard plugin `moments`.

use oast_sdk::{Aggregate, Row, State, aggregate};

/// Count, sum, mean, smallest and largest value, sample standard deviation, skewness and excess kurtosis of one column.
///
/// Nulls are skipped. Without a value the count is 0 and the rest is null; `stddev` is also null for a single value,
/// `skew` for fewer than three and `kurtosis` for fewer than four, and both when all values are equal.
///
/// - `sum` is compensated: Neumaier, *Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen*, ZAMM 54
///   (1974). `mean` is `sum / count`.
/// - `stddev` is `sqrt(m2 / (count - 1))`, where `m2` is the sum of the squared distances from the mean: row by row
///   after Welford, *Note on a Method for Calculating Corrected Sums of Squares and Products*, Technometrics 4 (1962);
///   merged after Chan, Golub and LeVeque, *Updating Formulae and a Pairwise Algorithm for Computing Sample Variances*
///   (1979).
/// - `skew` is `n sqrt(n - 1) / (n - 2) * m3 / m2^1.5` and `kurtosis` is `(n - 1) / ((n - 2) (n - 3)) * (n (n + 1) m4 /
///   m2^2 - 3 (n - 1))`, the unbiased G1 and G2 of Joanes and Gill, *Comparing Measures of Sample Skewness and
///   Kurtosis*, The Statistician 47 (1998), which pandas computes too. `m3` and `m4` are the sums of the cubed
///   distances from the mean and of their fourth powers, by the formulas of Pébay, *Formulas for Robust, One-Pass
///   Parallel Computation of Covariances and Arbitrary-Order Statistical Moments* (2008). They lose digits sooner than
///   `stddev` does where the mean is large beside the deviation.
/// - `min` and `max` ignore NaN, and are NaN when every value is; -0 is smaller than 0. A NaN makes `sum`, `mean`,
///   `stddev`, `skew` and `kurtosis` NaN; an infinity makes the last three NaN, and the sum that of IEEE 754.
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
    /// The sums of the cubed distances from the mean, and of their fourth powers.
    m3: f64,
    m4: f64,
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
    /// How much longer the tail on the right is.
    pub skew: Option<f64>,
    /// How much heavier the tails are than a normal distribution's.
    pub kurtosis: Option<f64>,
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
        self.lean(distance);
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
        self.lean_with(&later, distance, left, right);
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
            skew: self.skew(),
            kurtosis: self.kurtosis(),
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

    /// Updates the third and fourth moment for a value at this distance from the mean, which has not moved yet.
    fn lean(&mut self, distance: f64) {
        let n = self.count as f64;
        let step = distance / n;
        let term = distance * step * (n - 1.0);
        self.m4 += term * step * step * (n * n - 3.0 * n + 3.0) + 6.0 * step * step * self.m2 - 4.0 * step * self.m3;
        self.m3 += term * step * (n - 2.0) - 3.0 * step * self.m2;
    }

    /// The same for the moments of so many values, whose mean is at this distance.
    fn lean_with(&mut self, later: &Self, distance: f64, left: f64, right: f64) {
        let n = left + right;
        let step = distance / n;
        let squares = step * step;
        let product = left * right;
        self.m4 += later.m4
            + distance * step * squares * product * (left * left - product + right * right)
            + 6.0 * squares * (left * left * later.m2 + right * right * self.m2)
            + 4.0 * step * (left * later.m3 - right * self.m3);
        self.m3 +=
            later.m3 + distance * squares * product * (left - right) + 3.0 * step * (left * later.m2 - right * self.m2);
    }

    fn skew(&self) -> Option<f64> {
        let n = self.count as f64;
        (self.count > 2 && self.m2 != 0.0)
            .then(|| n * (n - 1.0).sqrt() / (n - 2.0) * (self.m3 / (self.m2 * self.m2.sqrt())))
    }

    fn kurtosis(&self) -> Option<f64> {
        let n = self.count as f64;
        (self.count > 3 && self.m2 != 0.0).then(|| {
            let ratio = n * (n + 1.0) * (self.m4 / (self.m2 * self.m2)) - 3.0 * (n - 1.0);
            ratio * (n - 1.0) / ((n - 2.0) * (n - 3.0))
        })
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

/// The smaller or the larger of two values, ignoring NaN, with -0 below 0. `f64::min` leaves open which zero it
/// returns.
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
