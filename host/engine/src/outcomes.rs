use std::ops::Index;

use oast_core::{Failure, Outcome};

use crate::wire::WireVerdict;

static KEEP: Outcome = Outcome::Keep;
static DROP: Outcome = Outcome::Drop;

/// One outcome a row. Batches are large, and most of their rows are kept: those take no room while there are no others.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcomes {
    rows: usize,
    /// One a row, if not all rows are kept.
    verdicts: Vec<WireVerdict>,
    /// What is said of the rows that were rejected or failed, in their order.
    lost: Vec<(u32, Outcome)>,
}

impl Outcomes {
    pub(crate) fn all_kept(rows: usize) -> Self {
        Self { rows, ..Self::default() }
    }

    /// Takes what a guest said of its rows; `lost` has the row of each verdict that is neither to keep nor to drop.
    pub(crate) fn new(verdicts: Vec<WireVerdict>, lost: Vec<(u32, Outcome)>) -> Self {
        let rows = verdicts.len();
        if verdicts.iter().all(|verdict| *verdict == WireVerdict::Keep) {
            return Self::all_kept(rows);
        }
        Self { rows, verdicts, lost }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The outcome of a row, if there is such a row.
    pub fn get(&self, row: usize) -> Option<&Outcome> {
        if row >= self.rows {
            return None;
        }
        Some(match self.verdicts.get(row) {
            None | Some(WireVerdict::Keep) => &KEEP,
            Some(WireVerdict::Drop) => &DROP,
            Some(WireVerdict::Reject) => &self.lost[self.lost.partition_point(|(lost, _)| (*lost as usize) < row)].1,
        })
    }

    /// The outcomes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Outcome> {
        (0..self.rows).map(|row| &self[row])
    }

    /// The numbers of the rows that were kept.
    pub fn kept(&self) -> Vec<u32> {
        if self.verdicts.is_empty() {
            return (0..self.rows as u32).collect();
        }
        // Written without a branch, since nobody can tell which rows are kept.
        let (mut kept, mut count) = (vec![0; self.rows], 0);
        for (verdict, row) in self.verdicts.iter().zip(0..) {
            kept[count] = row;
            count += usize::from(*verdict == WireVerdict::Keep);
        }
        kept.truncate(count);
        kept
    }

    /// Whether the row was kept.
    pub(crate) fn is_kept(&self, row: usize) -> bool {
        self.verdicts.get(row).is_none_or(|verdict| *verdict == WireVerdict::Keep)
    }

    /// Fails a row that was kept.
    pub(crate) fn fail(&mut self, row: usize, failure: Failure) {
        self.spell_out();
        self.verdicts[row] = WireVerdict::Reject;
        let place = self.lost.partition_point(|(lost, _)| (*lost as usize) < row);
        self.lost.insert(place, (row as u32, failure.into()));
    }

    /// Adds the outcome of a row behind the others.
    pub(crate) fn push(&mut self, outcome: Outcome) {
        let verdict = match &outcome {
            Outcome::Keep => WireVerdict::Keep,
            Outcome::Drop => WireVerdict::Drop,
            Outcome::Reject(_) | Outcome::Fail(_) => WireVerdict::Reject,
        };
        let lost = if verdict == WireVerdict::Reject { vec![(0, outcome)] } else { Vec::new() };
        self.append(Self::new(vec![verdict], lost));
    }

    /// Adds rows behind the others.
    pub(crate) fn append(&mut self, mut other: Self) {
        if !(self.verdicts.is_empty() && other.verdicts.is_empty()) {
            self.spell_out();
            other.spell_out();
            self.verdicts.append(&mut other.verdicts);
            let first = self.rows as u32;
            self.lost.extend(other.lost.into_iter().map(|(row, outcome)| (first + row, outcome)));
        }
        self.rows += other.rows;
    }

    fn spell_out(&mut self) {
        self.verdicts.resize(self.rows, WireVerdict::Keep);
    }
}

impl Index<usize> for Outcomes {
    type Output = Outcome;

    fn index(&self, row: usize) -> &Outcome {
        self.get(row).expect("there is such a row")
    }
}

impl Extend<Outcome> for Outcomes {
    fn extend<T: IntoIterator<Item = Outcome>>(&mut self, outcomes: T) {
        outcomes.into_iter().for_each(|outcome| self.push(outcome));
    }
}

impl FromIterator<Outcome> for Outcomes {
    fn from_iter<T: IntoIterator<Item = Outcome>>(outcomes: T) -> Self {
        let mut all = Self::default();
        all.extend(outcomes);
        all
    }
}

#[cfg(test)]
mod tests {
    use oast_core::Rejection;
    use proptest::prelude::*;

    use super::*;

    fn outcome() -> impl Strategy<Value = Outcome> {
        let rejection = Rejection { code: "no".to_owned(), message: "no".to_owned() };
        prop_oneof![
            4 => Just(Outcome::Keep),
            1 => Just(Outcome::Drop),
            1 => Just(rejection.into()),
            1 => Just(Failure::OutOfFuel.into()),
        ]
    }

    proptest! {
        #[test]
        fn outcomes_are_what_was_put_in(left in prop::collection::vec(outcome(), 0..20), right in prop::collection::vec(outcome(), 0..20)) {
            let mut all: Outcomes = left.iter().cloned().collect();
            all.append(right.iter().cloned().collect());
            let expected: Vec<_> = left.into_iter().chain(right).collect();
            prop_assert_eq!(all.iter().cloned().collect::<Vec<_>>(), expected.clone());
            prop_assert_eq!(&all, &expected.iter().cloned().collect());
            let kept = (0..).zip(&expected).filter(|(_, outcome)| **outcome == Outcome::Keep);
            prop_assert_eq!(all.kept(), kept.map(|(row, _)| row).collect::<Vec<u32>>());
            prop_assert_eq!((all.len(), all.get(expected.len())), (expected.len(), None));
        }
    }

    #[test]
    fn a_row_that_was_kept_can_fail() {
        let mut outcomes = Outcomes::all_kept(3);
        outcomes.fail(1, Failure::OutOfFuel);
        assert_eq!(outcomes, [Outcome::Keep, Failure::OutOfFuel.into(), Outcome::Keep].into_iter().collect());
        assert!(outcomes.is_kept(0) && !outcomes.is_kept(1));
    }
}
