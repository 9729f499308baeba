//! The plugin `{{name}}`.

use oast_sdk::{Aggregate, MergeLaw, Row, State, aggregate};

/// The columns that come in.
#[derive(Row)]
pub struct Input {
    /// What is compared; nulls are passed over.
    pub value: Option<f64>,
}

/// The features that come out.
#[derive(Row)]
pub struct Output {
    /// How many values there were.
    pub count: i64,
    /// The largest of them.
    pub largest: Option<f64>,
}

/// The number of values, and the largest of them.
#[aggregate]
#[derive(Debug, Default, State)]
pub struct {{type}} {
    count: i64,
    largest: Option<f64>,
}

impl {{type}} {
    fn take(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.largest = Some(self.largest.map_or(value, |largest| largest.max(value)));
        }
    }
}

impl Aggregate for {{type}} {
    type Input<'a> = Input;
    type Output = Output;
    type Params = ();
    const MERGE_LAW: MergeLaw = MergeLaw::Exact;

    fn update(&mut self, row: Input, (): &()) {
        self.count += i64::from(row.value.is_some());
        self.take(row.value);
    }

    fn merge(&mut self, later: Self, (): &()) {
        self.count += later.count;
        self.take(later.largest);
    }

    fn finish(&self, (): &()) -> Output {
        Output { count: self.count, largest: self.largest }
    }
}

#[cfg(test)]
mod tests {
    use oast_sdk::Fold;

    use super::*;

    #[test]
    fn golden() {
        oast_sdk::testing::check_aggregate::<Fold<{{type}}>>(include_str!("../golden.json"));
    }
}
