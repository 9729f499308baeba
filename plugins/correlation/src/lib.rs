//! The standard plugin `correlation`.

use oast_sdk::{Aggregate, MergeLaw, Row, State, aggregate};

/// How two columns vary together: sample covariance, Pearson's correlation, and the line of least squares through the
/// second one, y, over the first, x.
///
/// - `covariance = c / (count - 1)`, where c is the sum of `(x - mean x) * (y - mean y)`
/// - `correlation = c / sqrt(m2x * m2y)`, where `m2` is the sum of the squared distances from the mean, within -1 and 1
/// - `slope = c / m2x` and `intercept = mean y - slope * mean x`
///
/// The sums are updated row by row after Welford (1962) and merged after Chan, Golub and LeVeque, *Updating Formulae
/// and a Pairwise Algorithm for Computing Sample Variances* (1979), as Bennett and others generalise them in
/// *Numerically Stable, Single-Pass, Parallel Statistics Algorithms* (2009).
///
/// Rows in which either is null are skipped, and `count` is how many are left. With fewer than two everything else is
/// null, as the correlation is when a column does not vary, and the line when x does not. A NaN or an infinity makes
/// everything but `count` NaN. The order of the rows and how they are split matter by no more than rounding. The state
/// takes 48 bytes.
#[aggregate]
#[derive(Debug, Default, State)]
pub struct Correlation {
    count: i64,
    mean_x: f64,
    mean_y: f64,
    /// The sums of the squared distances from the means, and of their products.
    m2_x: f64,
    m2_y: f64,
    c: f64,
}

/// A pair of numbers.
#[derive(Row)]
pub struct Input {
    /// The first column; int64 is converted to the nearest double.
    pub x: Option<f64>,
    /// The second one.
    pub y: Option<f64>,
}

/// The features.
#[derive(Debug, Row)]
pub struct Features {
    /// How many pairs there are.
    pub count: i64,
    /// Their sample covariance.
    pub covariance: Option<f64>,
    /// Pearson's correlation coefficient.
    pub correlation: Option<f64>,
    /// By how much y grows with x.
    pub slope: Option<f64>,
    /// Where the line meets x = 0.
    pub intercept: Option<f64>,
}

impl Aggregate for Correlation {
    type Input<'a> = Input;
    type Output = Features;
    type Params = ();
    const MERGE_LAW: MergeLaw = MergeLaw::Rounded;

    fn update(&mut self, row: Input, _: &()) {
        let (Some(x), Some(y)) = (row.x, row.y) else { return };
        self.count += 1;
        let (from_x, from_y) = (x - self.mean_x, y - self.mean_y);
        self.mean_x += from_x / self.count as f64;
        self.mean_y += from_y / self.count as f64;
        self.m2_x += from_x * (x - self.mean_x);
        self.m2_y += from_y * (y - self.mean_y);
        self.c += from_x * (y - self.mean_y);
    }

    fn merge(&mut self, later: Self, _: &()) {
        if self.count == 0 || later.count == 0 {
            if self.count == 0 {
                *self = later;
            }
            return;
        }
        let (left, right) = (self.count as f64, later.count as f64);
        self.count = self.count.saturating_add(later.count);
        let count = self.count as f64;
        let (from_x, from_y) = (later.mean_x - self.mean_x, later.mean_y - self.mean_y);
        let weight = left * right / count;
        self.mean_x += from_x * (right / count);
        self.mean_y += from_y * (right / count);
        self.m2_x += later.m2_x + from_x * from_x * weight;
        self.m2_y += later.m2_y + from_y * from_y * weight;
        self.c += later.c + from_x * from_y * weight;
    }

    fn finish(&self, _: &()) -> Features {
        let several = self.count > 1;
        let slope = (several && self.m2_x != 0.0).then(|| self.c / self.m2_x);
        let varies = several && self.m2_x != 0.0 && self.m2_y != 0.0;
        Features {
            count: self.count,
            covariance: several.then(|| self.c / (self.count - 1) as f64),
            correlation: varies.then(|| (self.c / (self.m2_x.sqrt() * self.m2_y.sqrt())).clamp(-1.0, 1.0)),
            slope,
            intercept: slope.map(|slope| self.mean_y - slope * self.mean_x),
        }
    }
}

#[cfg(test)]
mod tests;
