//! The features of a view, from the buckets in which they were computed to the order of the spine.

use oast_core::{Batch, Blobs, Column, DataType, Field, Schema, Status, Values};
use oast_store::BATCH_ROWS;

use super::{
    buckets::{split, whole},
    storage::{Partitions, Parts, Storage},
};
use crate::{RuntimeError, fold::Features, view::View};

/// The most blocks of a dataset, so that what memory holds of each is enough to be written at once.
const BLOCKS_MAX: u64 = 4096;

/// How the rows of a dataset are cut into blocks that follow each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks {
    /// The rows of a block; the last may have fewer.
    pub(super) rows: usize,
    pub(super) count: usize,
    rows_all: u64,
}

impl Blocks {
    /// The blocks of a dataset of so many rows.
    pub(super) fn of(rows: u64) -> Self {
        let batches = rows.div_ceil(BATCH_ROWS as u64);
        let per_block = batches.div_ceil(BLOCKS_MAX).max(1) * BATCH_ROWS as u64;
        Self { rows: per_block as usize, count: rows.div_ceil(per_block) as usize, rows_all: rows }
    }
}

/// The features of a view that have been computed, by the block of the dataset that they belong to.
pub(super) struct Results<'s> {
    rows: Partitions<'s>,
    types: Vec<DataType>,
    blocks: Blocks,
}

impl<'s> Results<'s> {
    /// No features yet.
    pub(super) fn new(view: &View, blocks: Blocks, storage: &'s Storage) -> Self {
        let table = table_of(view).fields().iter().map(|field| field.data_type).collect();
        let types = view.features.iter().map(|field| field.data_type).collect();
        Self { rows: Partitions::new(storage, table, blocks.count.max(1)), types, blocks }
    }

    /// Adds the features of these rows of the spine.
    pub(super) fn add(&self, rows: &[u32], features: &Features) -> Result<(), RuntimeError> {
        self.add_table(&to_table(rows, features))
    }

    /// Adds rows of [`table_of`].
    pub(super) fn add_table(&self, table: &Batch) -> Result<(), RuntimeError> {
        let blocks: Vec<usize> = row_numbers(table).iter().map(|row| *row as usize / self.blocks.rows).collect();
        self.rows.append(split(table, &blocks, self.blocks.count.max(1)))
    }

    /// Whether these can be rows of [`table_of`] at all, since they come from a file.
    pub(super) fn fits(&self, table: &Batch) -> bool {
        let Some(Column { values: Values::Binary(statuses), .. }) = table.columns.last() else { return false };
        let is_known = |status: &u8| usize::from(*status) < Status::ALL.len();
        let rows = 0..self.blocks.rows_all as i64;
        row_numbers(table).iter().all(|row| rows.contains(row))
            && statuses.iter().all(|statuses| statuses.len() == self.types.len() && statuses.iter().all(is_known))
    }

    /// All rows as they are, in no particular order.
    pub(super) fn tables(&self) -> impl Iterator<Item = Result<Batch, RuntimeError>> {
        (0..self.blocks.count).flat_map(|block| -> Parts<'_> { self.rows.read(block) })
    }

    /// The features of all rows of a block in spine order. They are gone then.
    pub(super) fn take_block(&self, block: usize) -> Result<Features, RuntimeError> {
        let table = self.rows.take_all(block)?;
        let first = block * self.blocks.rows;
        let mut places = vec![u32::MAX; table.rows];
        row_numbers(&table).iter().zip(0..).for_each(|(row, at)| places[*row as usize - first] = at);
        assert!(!places.contains(&u32::MAX), "every row of the spine is in one bucket, and asked for once");
        let statuses = statuses_of(&table, &places, self.types.len());
        let columns = table.columns[1..=self.types.len()].iter().map(|column| column.take(&places)).collect();
        Ok(Features { columns, statuses, newest: Vec::new(), failed_rows: 0, audited_rows: 0 })
    }
}

/// Row, features, and the statuses of all of them, a byte each.
pub(super) fn table_of(view: &View) -> Schema {
    let features = view.features.iter().enumerate();
    let features = features.map(|(at, field)| Field::nullable(format!("feature_{at}"), field.data_type));
    let row = std::iter::once(Field::new("row", DataType::Int64));
    let statuses = std::iter::once(Field::new("statuses", DataType::Binary));
    Schema::new(row.chain(features).chain(statuses).collect()).expect("the names are numbered")
}

fn to_table(rows: &[u32], features: &Features) -> Batch {
    let number = |status: &Status| Status::ALL.iter().position(|each| each == status).unwrap_or_default() as u8;
    let numbers: Vec<Vec<u8>> =
        features.statuses.iter().map(|statuses| statuses.iter().map(number).collect()).collect();
    let of_row = |row: usize| numbers.iter().map(|numbers| numbers[row]).collect::<Vec<u8>>();
    let statuses: Blobs = (0..rows.len()).map(of_row).collect();
    let mut columns = vec![whole(Values::Int64(rows.iter().map(|row| i64::from(*row)).collect()))];
    columns.extend(features.columns.iter().cloned());
    columns.push(whole(Values::Binary(statuses)));
    Batch { rows: rows.len(), columns }
}

fn row_numbers(table: &Batch) -> &[i64] {
    match table.columns.first() {
        Some(Column { values: Values::Int64(rows), .. }) => rows,
        _ => unreachable!("the first column of results has the rows"),
    }
}

fn statuses_of(table: &Batch, places: &[u32], features: usize) -> Vec<Vec<Status>> {
    let Some(Column { values: Values::Binary(numbers), .. }) = table.columns.last() else {
        unreachable!("the last column of results has the statuses")
    };
    let status = |place: &u32, feature: usize| Status::ALL[numbers.get(*place as usize)[feature] as usize];
    (0..features).map(|feature| places.iter().map(|place| status(place, feature)).collect()).collect()
}
