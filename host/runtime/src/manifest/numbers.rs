//! The numbers of features in rising order: sorted in memory as far as it goes, and merged from sorted runs beyond.

use std::{cmp::Reverse, collections::BinaryHeap};

use oast_core::{Batch, Column, DataType, Values};
use oast_store::{BATCH_ROWS, SpilledRows};

use crate::{RuntimeError, replay::Storage};

/// Numbers, in memory and in sorted runs in a file.
#[derive(Default)]
pub(super) struct Numbers {
    recent: Vec<f64>,
    runs: Vec<Vec<SpilledRows>>,
}

impl Numbers {
    /// Takes numbers in; returns how many more bytes of memory it takes.
    pub(super) fn extend(&mut self, numbers: impl Iterator<Item = f64>) -> u64 {
        let before = self.recent.capacity();
        self.recent.extend(numbers);
        ((self.recent.capacity() - before) * size_of::<f64>()) as u64
    }

    /// Puts what is in memory into the file.
    pub(super) fn spill(&mut self, storage: &Storage) -> Result<(), RuntimeError> {
        let mut numbers = std::mem::take(&mut self.recent);
        numbers.sort_unstable_by(f64::total_cmp);
        let part = |numbers: &[f64]| {
            let column = Column { values: Values::Float64(numbers.to_vec()), validity: None };
            storage.write(&Batch { rows: numbers.len(), columns: vec![column] })
        };
        self.runs.push(numbers.chunks(BATCH_ROWS).map(part).collect::<Result<_, _>>()?);
        Ok(())
    }

    /// Hands out all numbers in rising order.
    pub(super) fn in_order(mut self, storage: &Storage, mut each: impl FnMut(f64)) -> Result<(), RuntimeError> {
        self.recent.sort_unstable_by(f64::total_cmp);
        if self.runs.is_empty() {
            self.recent.into_iter().for_each(each);
            return Ok(());
        }
        let mut runs = vec![Run { numbers: self.recent.into_iter(), spilled: Vec::new().into_iter() }];
        let empty = || Vec::new().into_iter();
        runs.extend(self.runs.into_iter().map(|run| Run { numbers: empty(), spilled: run.into_iter() }));
        let mut heads = BinaryHeap::new();
        for (at, run) in runs.iter_mut().enumerate() {
            heads.extend(run.next(storage)?.map(|number| Reverse((Rank::of(number), at))));
        }
        while let Some(Reverse((rank, at))) = heads.pop() {
            each(rank.number());
            heads.extend(runs[at].next(storage)?.map(|number| Reverse((Rank::of(number), at))));
        }
        Ok(())
    }
}

/// What is left of a sorted run.
struct Run {
    numbers: std::vec::IntoIter<f64>,
    spilled: std::vec::IntoIter<SpilledRows>,
}

impl Run {
    fn next(&mut self, storage: &Storage) -> Result<Option<f64>, RuntimeError> {
        if let Some(number) = self.numbers.next() {
            return Ok(Some(number));
        }
        let Some(spilled) = self.spilled.next() else { return Ok(None) };
        let rows = storage.read(&spilled, &[DataType::Float64])?;
        if let Some(Column { values: Values::Float64(numbers), .. }) = rows.columns.into_iter().next() {
            self.numbers = numbers.into_iter();
        }
        Ok(self.numbers.next())
    }
}

/// A number as an integer in the order of [`f64::total_cmp`].
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank(i64);

impl Rank {
    fn of(number: f64) -> Self {
        let bits = number.to_bits() as i64;
        Self(bits ^ (((bits >> 63) as u64) >> 1) as i64)
    }

    fn number(&self) -> f64 {
        f64::from_bits((self.0 ^ (((self.0 >> 63) as u64) >> 1) as i64) as u64)
    }
}
