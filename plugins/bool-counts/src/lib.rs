//! The standard plugin `bool-counts`.

use oast_sdk::{Aggregate, MergeLaw, Row, State, aggregate};

/// How often a column of bools is true, false and null, and the share of true ones.
///
/// `true_share = true_count / (true_count + false_count)`, which is null when there is neither. Neither the order of
/// the rows nor how they are split matters. The state takes 24 bytes.
#[aggregate]
#[derive(Debug, Default, State)]
pub struct BoolCounts {
    true_count: i64,
    false_count: i64,
    null_count: i64,
}

/// One value.
#[derive(Row)]
pub struct Input {
    /// The column.
    pub value: Option<bool>,
}

/// The features.
#[derive(Debug, Row)]
pub struct Features {
    /// How many values are true.
    pub true_count: i64,
    /// How many are false.
    pub false_count: i64,
    /// How many are null.
    pub null_count: i64,
    /// The share of true ones among those that are not null.
    pub true_share: Option<f64>,
}

impl Aggregate for BoolCounts {
    type Input<'a> = Input;
    type Output = Features;
    type Params = ();
    const MERGE_LAW: MergeLaw = MergeLaw::Exact;

    fn update(&mut self, row: Input, _: &()) {
        match row.value {
            Some(true) => self.true_count += 1,
            Some(false) => self.false_count += 1,
            None => self.null_count += 1,
        }
    }

    fn merge(&mut self, later: Self, _: &()) {
        self.true_count = self.true_count.saturating_add(later.true_count);
        self.false_count = self.false_count.saturating_add(later.false_count);
        self.null_count = self.null_count.saturating_add(later.null_count);
    }

    fn finish(&self, _: &()) -> Features {
        let Self { true_count, false_count, null_count } = *self;
        let count = true_count.saturating_add(false_count);
        let true_share = (count > 0).then(|| true_count as f64 / count as f64);
        Features { true_count, false_count, null_count, true_share }
    }
}

#[cfg(test)]
mod tests;
