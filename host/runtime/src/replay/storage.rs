//! What a replay holds between its stages: rows in partitions, in memory up to a limit, and beyond it in a file.
//!
//! Where rows lie decides nothing. Each partition gives its rows back in the order in which they came.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, OnceLock},
};

use oast_core::{Batch, DataType};
use oast_store::{SpillFile, SpilledRows};

use crate::RuntimeError;

/// Rows are kept in batches of at most this many bytes, give or take what is appended at once, so that they are given back,
/// and memory with them, in small parts.
const PART_BYTES: u64 = 1 << 20;

/// The memory of a replay, and the file for what is more.
pub(crate) struct Storage {
    bytes_max: u64,
    folder: PathBuf,
    file: OnceLock<SpillFile>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The bytes of all rows in memory, and of what others say they hold.
    held: u64,
    spilled: u64,
    shelves: BTreeMap<usize, Shelf>,
    next: usize,
}

/// The rows of one [`Partitions`].
struct Shelf {
    types: Vec<DataType>,
    held: u64,
    partitions: Vec<Vec<Part>>,
    /// How many rows each partition was given.
    rows: Vec<u64>,
}

/// Some rows of a partition.
enum Part {
    Memory(Batch),
    Disk(SpilledRows),
    Taken,
}

impl Storage {
    /// Memory for so many bytes; the file is made in the folder once it is needed.
    pub(crate) fn new(bytes_max: u64, folder: PathBuf) -> Self {
        Self { bytes_max, folder, file: OnceLock::new(), state: Mutex::default() }
    }

    /// How many bytes were put into the file.
    pub(super) fn spilled_bytes(&self) -> u64 {
        self.state().spilled
    }

    /// Counts memory that a caller holds by itself, and makes room for it. Returns whether there is too little: the caller
    /// then puts what it holds into the file.
    pub(crate) fn hold(&self, more: u64, own: u64) -> Result<bool, RuntimeError> {
        let mut state = self.state();
        state.held += more;
        self.make_room(&mut state, own)?;
        Ok(state.held > self.bytes_max)
    }

    /// Counts memory no more.
    pub(crate) fn release(&self, bytes: u64) {
        let mut state = self.state();
        state.held = state.held.saturating_sub(bytes);
    }

    /// Puts rows into the file.
    pub(crate) fn write(&self, rows: &Batch) -> Result<SpilledRows, RuntimeError> {
        self.write_counted(&mut self.state().spilled, rows)
    }

    /// Reads rows of these types from the file.
    pub(crate) fn read(&self, spilled: &SpilledRows, types: &[DataType]) -> Result<Batch, RuntimeError> {
        Ok(self.file()?.read(spilled, types)?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it keeps rows")
    }

    fn file(&self) -> Result<&SpillFile, RuntimeError> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let made = SpillFile::create(&self.folder)?;
        Ok(self.file.get_or_init(|| made))
    }

    fn write_counted(&self, spilled: &mut u64, rows: &Batch) -> Result<SpilledRows, RuntimeError> {
        let written = self.file()?.write(rows)?;
        *spilled += written.bytes();
        Ok(written)
    }

    /// Puts rows into the file, of those first that hold most, until the rest fits or nobody holds more than `own`.
    fn make_room(&self, state: &mut State, own: u64) -> Result<(), RuntimeError> {
        while state.held > self.bytes_max {
            let largest = state.shelves.iter().max_by_key(|(_, shelf)| shelf.held);
            let Some((number, _)) = largest.filter(|(_, shelf)| shelf.held > own) else { return Ok(()) };
            self.spill(state, *number)?;
        }
        Ok(())
    }

    fn spill(&self, state: &mut State, number: usize) -> Result<(), RuntimeError> {
        let State { held, spilled, shelves, .. } = state;
        let Some(shelf) = shelves.get_mut(&number) else { return Ok(()) };
        for part in shelf.partitions.iter_mut().flatten() {
            let Part::Memory(rows) = part else { continue };
            let freed = rows.held_bytes();
            *part = Part::Disk(self.write_counted(spilled, rows)?);
            shelf.held -= freed;
            *held -= freed;
        }
        Ok(())
    }
}

/// Rows of one schema, each in one of some partitions.
pub(crate) struct Partitions<'s> {
    storage: &'s Storage,
    number: usize,
    types: Vec<DataType>,
}

impl<'s> Partitions<'s> {
    /// So many partitions without rows.
    pub(crate) fn new(storage: &'s Storage, types: Vec<DataType>, count: usize) -> Self {
        let mut state = storage.state();
        let number = state.next;
        state.next += 1;
        let partitions = std::iter::repeat_with(Vec::new).take(count).collect();
        state.shelves.insert(number, Shelf { types: types.clone(), held: 0, partitions, rows: vec![0; count] });
        Self { storage, number, types }
    }

    /// Adds rows to partitions.
    pub(crate) fn append(&self, rows: impl IntoIterator<Item = (usize, Batch)>) -> Result<(), RuntimeError> {
        let mut state = self.storage.state();
        let Some(shelf) = state.shelves.get_mut(&self.number) else { return Ok(()) };
        let before = shelf.held;
        rows.into_iter().for_each(|(partition, rows)| shelf.push(partition, rows));
        let grown = shelf.held - before;
        state.held += grown;
        self.storage.make_room(&mut state, 0)
    }

    /// How many rows a partition was given.
    pub(super) fn rows(&self, partition: usize) -> u64 {
        self.storage.state().shelves.get(&self.number).map_or(0, |shelf| shelf.rows[partition])
    }

    /// The rows of a partition in parts; it gives them away.
    pub(super) fn take(&self, partition: usize) -> Parts<'_> {
        Parts { of: self, partition, next: 0, gives_away: true }
    }

    /// The rows of a partition in parts; it keeps them.
    pub(crate) fn read(&self, partition: usize) -> Parts<'_> {
        Parts { of: self, partition, next: 0, gives_away: false }
    }

    /// All rows of a partition, which gives them away.
    pub(super) fn take_all(&self, partition: usize) -> Result<Batch, RuntimeError> {
        let mut parts = self.take(partition);
        let mut rows = parts.next().transpose()?.unwrap_or_else(|| self.no_rows());
        for part in parts {
            rows.append(&part?);
        }
        Ok(rows)
    }

    /// A batch without rows.
    pub(crate) fn no_rows(&self) -> Batch {
        Shelf::no_rows(&self.types)
    }
}

impl Drop for Partitions<'_> {
    fn drop(&mut self) {
        let mut state = self.storage.state();
        if let Some(shelf) = state.shelves.remove(&self.number) {
            state.held -= shelf.held;
        }
    }
}

impl Shelf {
    fn no_rows(types: &[DataType]) -> Batch {
        let empty = |data_type: &DataType| oast_core::ColumnBuilder::new(*data_type).finish();
        Batch { rows: 0, columns: types.iter().map(empty).collect() }
    }

    fn push(&mut self, partition: usize, rows: Batch) {
        if rows.rows == 0 {
            return;
        }
        debug_assert!(rows.columns.iter().map(oast_core::Column::data_type).eq(self.types.iter().copied()));
        self.rows[partition] += rows.rows as u64;
        let parts = &mut self.partitions[partition];
        match parts.last_mut() {
            Some(Part::Memory(last)) if last.held_bytes() < PART_BYTES => {
                let before = last.held_bytes();
                last.append(&rows);
                self.held += last.held_bytes() - before;
            }
            _ => {
                self.held += rows.held_bytes();
                parts.push(Part::Memory(rows));
            }
        }
    }
}

/// The rows of a partition, in parts.
pub(crate) struct Parts<'p> {
    of: &'p Partitions<'p>,
    partition: usize,
    next: usize,
    gives_away: bool,
}

impl Parts<'_> {
    fn part(&self) -> Result<Option<Batch>, RuntimeError> {
        let storage = self.of.storage;
        let mut state = storage.state();
        let Some(shelf) = state.shelves.get_mut(&self.of.number) else { return Ok(None) };
        let Some(part) = shelf.partitions[self.partition].get_mut(self.next) else { return Ok(None) };
        let found = if self.gives_away { std::mem::replace(part, Part::Taken) } else { part.copied() };
        match found {
            Part::Memory(rows) if self.gives_away => {
                let freed = rows.held_bytes();
                shelf.held -= freed;
                state.held -= freed;
                Ok(Some(rows))
            }
            Part::Memory(rows) => Ok(Some(rows)),
            Part::Disk(spilled) => {
                drop(state);
                storage.read(&spilled, &self.of.types).map(Some)
            }
            Part::Taken => Ok(Some(self.of.no_rows())),
        }
    }
}

impl Part {
    fn copied(&self) -> Self {
        match self {
            Self::Memory(rows) => Self::Memory(rows.clone()),
            Self::Disk(spilled) => Self::Disk(*spilled),
            Self::Taken => Self::Taken,
        }
    }
}

impl Iterator for Parts<'_> {
    type Item = Result<Batch, RuntimeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let part = self.part().transpose();
        self.next += 1;
        part
    }
}

/// Rows cut anew: every batch but the last has `rows` rows.
pub(super) struct Cut<I> {
    parts: I,
    pending: Batch,
    rows: usize,
}

impl<I: Iterator<Item = Result<Batch, RuntimeError>>> Cut<I> {
    /// Cuts what comes into batches of so many rows.
    pub(super) fn new(parts: I, rows: usize) -> Self {
        Self { parts, pending: Batch::default(), rows }
    }
}

impl<I: Iterator<Item = Result<Batch, RuntimeError>>> Iterator for Cut<I> {
    type Item = Result<Batch, RuntimeError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.pending.rows < self.rows {
            match self.parts.next() {
                Some(Ok(part)) if self.pending.rows == 0 => self.pending = part,
                Some(Ok(part)) => self.pending.append(&part),
                Some(Err(error)) => return Some(Err(error)),
                None => break,
            }
        }
        let whole = std::mem::take(&mut self.pending);
        if whole.rows <= self.rows {
            return (whole.rows > 0).then_some(Ok(whole));
        }
        self.pending = whole.slice(self.rows, whole.rows);
        Some(Ok(whole.slice(0, self.rows)))
    }
}

#[cfg(test)]
mod tests {
    use oast_core::{Column, Values};

    use super::*;

    fn rows(numbers: std::ops::Range<i64>) -> Batch {
        let column = Column { values: Values::Int64(numbers.clone().collect()), validity: None };
        Batch { rows: numbers.count(), columns: vec![column] }
    }

    fn numbers(batch: &Batch) -> Vec<i64> {
        match &batch.columns[0].values {
            Values::Int64(values) => values.clone(),
            other => panic!("numbers were put in: {other:?}"),
        }
    }

    #[test]
    fn partitions_give_back_what_they_got_in_its_order_whatever_the_memory() {
        let folder = tempfile::tempdir().unwrap();
        for bytes_max in [0, 1_000, 20_000, u64::MAX] {
            let storage = Storage::new(bytes_max, folder.path().to_owned());
            let (one, other) = (
                Partitions::new(&storage, vec![DataType::Int64], 3),
                Partitions::new(&storage, vec![DataType::Int64], 1),
            );
            for at in 0..40 {
                one.append([(0, rows(at * 10..at * 10 + 10)), (2, rows(at..at + 1))]).unwrap();
                other.append([(0, rows(at * 100..at * 100 + 100))]).unwrap();
            }
            let cut: Vec<Batch> = Cut::new(other.read(0), 150).map(Result::unwrap).collect();
            assert_eq!(cut.iter().map(|batch| batch.rows).max(), Some(150));
            assert_eq!(cut.iter().flat_map(numbers).collect::<Vec<_>>(), (0..4000).collect::<Vec<_>>());
            assert_eq!(numbers(&other.take_all(0).unwrap()), (0..4000).collect::<Vec<_>>());
            assert_eq!(numbers(&one.take_all(0).unwrap()), (0..400).collect::<Vec<_>>());
            assert_eq!(one.take_all(1).unwrap().rows, 0);
            assert_eq!(numbers(&one.take_all(2).unwrap()), (0..40).collect::<Vec<_>>());
            assert_eq!(storage.spilled_bytes() > 0, bytes_max < 30_000, "{bytes_max}");
            drop((one, other));
            assert_eq!(storage.state().held, 0);
        }
    }

    /// One thread of a replay may still put rows in after another has found the disk full.
    #[test]
    fn rows_that_cannot_be_written_stay_where_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::new(0, folder.path().join("missing"));
        let partitions = Partitions::new(&storage, vec![DataType::Int64], 2);
        for at in 0..3 {
            let appended = partitions.append([(0, rows(at..at + 1)), (1, rows(at..at + 1))]);
            assert!(matches!(appended, Err(RuntimeError::Store(_))), "{appended:?}");
        }
        assert_eq!(numbers(&partitions.take_all(1).unwrap()), [0, 1, 2]);
        assert_eq!(numbers(&partitions.take_all(0).unwrap()), [0, 1, 2]);
        assert_eq!(storage.state().held, 0);
    }

    #[test]
    fn who_holds_most_goes_to_the_file_first() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::new(10_000, folder.path().to_owned());
        let large = Partitions::new(&storage, vec![DataType::Int64], 1);
        large.append([(0, rows(0..1000))]).unwrap();
        assert!(!storage.hold(1_000, 1_000).unwrap());
        assert_eq!(storage.spilled_bytes(), 0);
        assert!(!storage.hold(4_000, 5_000).unwrap(), "the rows went to the file");
        assert!(storage.spilled_bytes() > 8_000);
        assert!(storage.hold(6_000, 11_000).unwrap(), "there is nothing else to put there");
        storage.release(11_000);
        assert_eq!(numbers(&large.take_all(0).unwrap()), (0..1000).collect::<Vec<_>>());
    }
}
