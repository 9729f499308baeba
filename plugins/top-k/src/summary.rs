//! The summary of Misra and Gries.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use oast_sdk::State;

/// Counts of the more frequent values.
#[derive(Debug, Clone, Default, PartialEq, State)]
pub struct Summary {
    /// None of them is 0.
    counts: BTreeMap<Vec<u8>, u64>,
    /// By how much a count may be too low.
    error: u64,
}

impl Summary {
    /// Counts a value.
    pub fn insert(&mut self, value: &[u8], capacity: usize) {
        if let Some(count) = self.counts.get_mut(value) {
            *count = count.saturating_add(1);
        } else if self.counts.len() < capacity {
            self.counts.insert(value.to_vec(), 1);
        } else {
            self.take_from_all(1);
        }
    }

    /// Takes in another summary: counts are added, and what no longer has room goes as the smallest of the rest
    /// demands.
    pub fn merge(&mut self, other: Self, capacity: usize) {
        self.error = self.error.saturating_add(other.error);
        for (value, more) in other.counts {
            let count = self.counts.entry(value).or_default();
            *count = count.saturating_add(more);
        }
        if self.counts.len() > capacity {
            let mut counts: Vec<Reverse<u64>> = self.counts.values().map(|count| Reverse(*count)).collect();
            let (_, Reverse(first_without_room), _) = counts.select_nth_unstable(capacity);
            let first_without_room = *first_without_room;
            self.take_from_all(first_without_room);
        }
    }

    /// The most frequent values.
    pub fn top(&self, k: usize) -> Vec<(&[u8], u64)> {
        let mut top: Vec<(&[u8], u64)> = self.counts.iter().map(|(value, count)| (value.as_slice(), *count)).collect();
        // The sort keeps the order of equal counts, which is that of the bytes.
        top.sort_by_key(|(_, count)| Reverse(*count));
        top.truncate(k);
        top
    }

    /// By how much a count may be too low.
    pub fn error(&self) -> u64 {
        self.error
    }

    fn take_from_all(&mut self, less: u64) {
        self.error = self.error.saturating_add(less);
        self.counts.retain(|_, count| {
            *count = count.saturating_sub(less);
            *count > 0
        });
    }
}
