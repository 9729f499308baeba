//! Events in fold order: sorted in memory as far as it goes, and merged from sorted runs in the file beyond.

use std::{cmp::Reverse, collections::BinaryHeap};

use oast_core::{Batch, DataType, Pick, Values};
use oast_store::SpilledRows;

use super::{in_parallel, storage::Storage};
use crate::RuntimeError;

/// A run is written, and read again, in batches of this many rows: when runs are merged, one of each is in memory.
const RUN_ROWS: usize = 1024;

/// How many rows come out at once.
const SORTED_ROWS: usize = 16_384;

/// By what rows are sorted. Those that are the same in this stay in the order in which they came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    /// The column of the event time. An event is visible from that time on…
    pub(super) event_time: usize,
    /// …or from the time in this column, when it became known, whichever is later.
    pub(super) known: usize,
    /// Whether events that become visible at once are in the order in which they became known: not those of the log, which
    /// come in the order of their offsets.
    pub(super) by_known: bool,
}

/// The time at which an event becomes visible, and what decides among those that do at the same.
type Key = (i64, i64);

/// A row and its key, which together no two rows have alike.
type Keyed = (Key, Pick);

impl Order {
    fn keys(&self, rows: &Batch) -> Vec<Key> {
        let (event_times, known) = (micros(rows, self.event_time), micros(rows, self.known));
        let key = |(event_time, known): (&i64, &i64)| (*event_time.max(known), if self.by_known { *known } else { 0 });
        event_times.iter().zip(known).map(key).collect()
    }

    /// The rows of the batch with this number, in order.
    fn sorted(&self, rows: &Batch, number: u32) -> Vec<Keyed> {
        let mut keyed: Vec<Keyed> =
            self.keys(rows).into_iter().zip(0..).map(|(key, row)| (key, (number, row))).collect();
        if !keyed.is_sorted() {
            keyed.sort_unstable();
        }
        keyed
    }
}

/// Rows that are in order within their batches, in the order of all. Files of events are nearly in order, so that a batch has to
/// be merged with little of what comes before it. If that is not so, sorting all is quicker.
fn picks(batches: Vec<Vec<Keyed>>) -> Vec<Pick> {
    let rows = batches.iter().map(Vec::len).sum();
    let mut all: Vec<Keyed> = Vec::with_capacity(rows);
    let mut merged = 0;
    for batch in batches {
        let Some(first) = batch.first() else { continue };
        let from = if merged > rows { all.len() } else { all.partition_point(|keyed| keyed < first) };
        merged += all.len() - from;
        let has_more = from < all.len();
        all.extend(batch);
        if has_more {
            // Two rising runs, of which the sort makes one.
            all[from..].sort();
        }
    }
    if merged > rows {
        all.sort_unstable();
    }
    all.into_iter().map(|(_, pick)| pick).collect()
}

/// A column of times.
pub(super) fn micros(rows: &Batch, column: usize) -> &[i64] {
    match &rows.columns[column].values {
        Values::Timestamp(times) => times,
        _ => unreachable!("the definition makes sure that times are timestamps"),
    }
}

/// Rows to be put in order.
pub(super) struct Sorter<'s> {
    storage: &'s Storage,
    types: Vec<DataType>,
    order: Order,
    batches: Vec<Batch>,
    /// Where the rows of each batch go, in order.
    sorted: Vec<Vec<Keyed>>,
    held: u64,
    runs: Vec<Vec<SpilledRows>>,
    rows: u64,
}

impl<'s> Sorter<'s> {
    /// A sorter of rows with columns of these types.
    pub(super) fn new(storage: &'s Storage, types: Vec<DataType>, order: Order) -> Self {
        Self { storage, types, order, batches: Vec::new(), sorted: Vec::new(), held: 0, runs: Vec::new(), rows: 0 }
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes rows in.
    pub(super) fn push(&mut self, rows: Batch) -> Result<(), RuntimeError> {
        if rows.rows == 0 {
            return Ok(());
        }
        self.rows += rows.rows as u64;
        // Beside the rows, their places while they are sorted.
        let more = rows.held_bytes() + rows.rows as u64 * size_of::<Keyed>() as u64;
        self.held += more;
        self.sorted.push(self.order.sorted(&rows, self.batches.len() as u32));
        self.batches.push(rows);
        if self.storage.hold(more, self.held)? {
            self.write_run()?;
        }
        Ok(())
    }

    fn write_run(&mut self) -> Result<(), RuntimeError> {
        let picks = picks(std::mem::take(&mut self.sorted));
        let batches: Vec<&Batch> = self.batches.iter().collect();
        let run = picks.chunks(RUN_ROWS).map(|picks| self.storage.write(&Batch::gather(&batches, picks)));
        let run = run.collect::<Result<_, _>>()?;
        self.runs.push(run);
        self.batches.clear();
        self.storage.release(std::mem::take(&mut self.held));
        Ok(())
    }

    /// The rows in order.
    pub(super) fn finish(mut self) -> Result<Sorted<'s>, RuntimeError> {
        if self.runs.is_empty() {
            let mut picks = picks(std::mem::take(&mut self.sorted));
            picks.reverse();
            let mut left = vec![0; self.batches.len()];
            picks.iter().for_each(|(batch, _)| left[*batch as usize] += 1);
            let batches = std::mem::take(&mut self.batches);
            return Ok(Sorted::Memory { sorter: self, batches, picks, left });
        }
        if !self.batches.is_empty() {
            self.write_run()?;
        }
        let runs = std::mem::take(&mut self.runs);
        let cursors = runs.into_iter().map(|run| Cursor::open(&self, run)).collect::<Result<_, _>>()?;
        Ok(Sorted::Runs { sorter: self, cursors })
    }
}

impl Drop for Sorter<'_> {
    fn drop(&mut self) {
        self.storage.release(self.held);
    }
}

/// Rows in order, part by part.
pub(super) enum Sorted<'s> {
    /// The places of the rows that are still to come, the next one last, and how many of each batch that is.
    Memory { sorter: Sorter<'s>, batches: Vec<Batch>, picks: Vec<Pick>, left: Vec<usize> },
    /// What is left of each run.
    Runs { sorter: Sorter<'s>, cursors: Vec<Cursor> },
}

/// A run of sorted rows: the batch at hand, and what is still in the file.
pub(super) struct Cursor {
    rows: Batch,
    keys: Vec<Key>,
    next: usize,
    spilled: std::vec::IntoIter<SpilledRows>,
}

impl Cursor {
    fn open(sorter: &Sorter<'_>, run: Vec<SpilledRows>) -> Result<Self, RuntimeError> {
        let mut cursor = Self { rows: Batch::default(), keys: Vec::new(), next: 0, spilled: run.into_iter() };
        cursor.fill(sorter)?;
        Ok(cursor)
    }

    /// Reads the next batch once this one is used up.
    fn fill(&mut self, sorter: &Sorter<'_>) -> Result<(), RuntimeError> {
        if self.next < self.rows.rows {
            return Ok(());
        }
        if let Some(spilled) = self.spilled.next() {
            self.rows = sorter.storage.read(&spilled, &sorter.types)?;
            self.keys = sorter.order.keys(&self.rows);
            self.next = 0;
        }
        Ok(())
    }

    fn key(&self) -> Option<Key> {
        self.keys.get(self.next).copied()
    }
}

impl Sorted<'_> {
    /// The next rows in so many parts, fewer once there are no more; put together on so many threads.
    pub(super) fn next_parts(&mut self, parts: usize, threads: usize) -> Result<Vec<Batch>, RuntimeError> {
        match self {
            Self::Memory { sorter, batches, picks, left } => {
                let next = || {
                    let mut chosen = picks.split_off(picks.len().saturating_sub(SORTED_ROWS));
                    chosen.reverse();
                    (!chosen.is_empty()).then_some(chosen)
                };
                let chosen: Vec<Vec<Pick>> = std::iter::from_fn(next).take(parts).collect();
                let rows = in_parallel(threads, chosen.len(), &|part| Ok(gather(batches, &chosen[part])))?;
                chosen.iter().for_each(|chosen| release_used(sorter, batches, chosen, left));
                Ok(rows)
            }
            Self::Runs { sorter, cursors } => {
                std::iter::from_fn(|| merge(sorter, cursors).transpose()).take(parts).collect()
            }
        }
    }
}

/// Rows of a few of many batches.
fn gather(batches: &[Batch], chosen: &[Pick]) -> Batch {
    let mut used: Vec<u32> = chosen.iter().map(|(batch, _)| *batch).collect();
    used.sort_unstable();
    used.dedup();
    let renumbered = |(batch, row): &Pick| (used.partition_point(|each| each < batch) as u32, *row);
    let picks: Vec<Pick> = chosen.iter().map(renumbered).collect();
    Batch::gather(&used.iter().map(|batch| &batches[*batch as usize]).collect::<Vec<_>>(), &picks)
}

/// Lets go of batches whose rows are all out.
fn release_used(sorter: &mut Sorter<'_>, batches: &mut [Batch], chosen: &[Pick], left: &mut [usize]) {
    for (batch, _) in chosen {
        let batch = *batch as usize;
        left[batch] -= 1;
        if left[batch] == 0 {
            let freed = std::mem::take(&mut batches[batch]).held_bytes();
            sorter.held -= freed;
            sorter.storage.release(freed);
        }
    }
}

/// The next rows of all runs, until there are enough or one of the batches at hand is used up.
fn merge(sorter: &Sorter<'_>, cursors: &mut [Cursor]) -> Result<Option<Batch>, RuntimeError> {
    cursors.iter_mut().try_for_each(|cursor| cursor.fill(sorter))?;
    let heads = cursors.iter().enumerate().filter_map(|(run, cursor)| Some(Reverse((cursor.key()?, run))));
    let mut heads: BinaryHeap<_> = heads.collect();
    let mut picks: Vec<Pick> = Vec::new();
    while picks.len() < SORTED_ROWS {
        let Some(Reverse((_, run))) = heads.pop() else { break };
        let cursor = &mut cursors[run];
        picks.push((run as u32, cursor.next as u32));
        cursor.next += 1;
        match cursor.key() {
            Some(key) => heads.push(Reverse((key, run))),
            None => break,
        }
    }
    if picks.is_empty() {
        return Ok(None);
    }
    let batches: Vec<&Batch> = cursors.iter().map(|cursor| &cursor.rows).collect();
    Ok(Some(Batch::gather(&batches, &picks)))
}

#[cfg(test)]
mod tests {
    use oast_core::{Column, Values};
    use proptest::prelude::*;

    use super::*;

    fn batch(rows: &[(i64, i64, i64)]) -> Batch {
        let column = |value: fn(&(i64, i64, i64)) -> i64| rows.iter().map(value).collect::<Vec<_>>();
        let columns = [
            Values::Timestamp(column(|row| row.0)),
            Values::Timestamp(column(|row| row.1)),
            Values::Int64(column(|row| row.2)),
        ];
        let columns = columns.map(|values| Column { values, validity: None });
        Batch { rows: rows.len(), columns: columns.into() }
    }

    fn sorted(times: &[(i64, i64)], part: usize, bytes_max: u64, by_known: bool) -> (Vec<i64>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::new(bytes_max, folder.path().to_owned());
        let types = vec![DataType::Timestamp, DataType::Timestamp, DataType::Int64];
        let mut sorter = Sorter::new(&storage, types, Order { event_time: 0, known: 1, by_known });
        let rows: Vec<_> = times.iter().zip(0..).map(|((event, known), place)| (*event, *known, place)).collect();
        rows.chunks(part).for_each(|rows| sorter.push(batch(rows)).unwrap());
        let places = |batch: &Batch| match &batch.columns[2].values {
            Values::Int64(places) => places.clone(),
            other => panic!("places were put in: {other:?}"),
        };
        let mut sorted = sorter.finish().unwrap();
        let mut found = Vec::new();
        loop {
            let batches = sorted.next_parts(2, 2).unwrap();
            if batches.is_empty() {
                return (found, storage.spilled_bytes());
            }
            found.extend(batches.iter().flat_map(&places));
        }
    }

    proptest! {
        #[test]
        fn runs_merge_to_what_memory_sorts(
            times in proptest::collection::vec((0_i64..50, 0_i64..50), 1..3000),
            part in 1_usize..500,
            bytes_max in 0_u64..100_000,
            by_known: bool,
        ) {
            let mut expect: Vec<usize> = (0..times.len()).collect();
            expect.sort_by_key(|at| {
                let (event, known) = times[*at];
                (event.max(known), if by_known { known } else { 0 })
            });
            let expect: Vec<i64> = expect.into_iter().map(|at| at as i64).collect();
            prop_assert_eq!(&sorted(&times, part, bytes_max, by_known).0, &expect);
            prop_assert_eq!(&sorted(&times, part, u64::MAX, by_known).0, &expect);
        }
    }

    #[test]
    fn many_rows_come_out_in_order_from_memory_and_from_the_file() {
        let times: Vec<(i64, i64)> = (0..50_000).map(|at| ((at * 7919) % 10_007, (at * 31) % 977)).collect();
        let (in_memory, none) = sorted(&times, 8192, u64::MAX, true);
        let (from_file, spilled) = sorted(&times, 8192, 300_000, true);
        assert_eq!(in_memory, from_file);
        assert!(none == 0 && spilled > 0);
    }
}
