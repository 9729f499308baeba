//! Columns of one table read apart from each other, on a thread each.

use std::{
    path::Path,
    sync::mpsc::{self, Receiver},
};

use oast_core::{Batch, Column, DataType, Field, Schema};

use super::{Columns, Format, TableReader};
use crate::{Result, StoreError};

/// How many batches of a share wait at most.
const BATCHES_WAITING: usize = 2;

impl TableReader {
    /// As [`Self::open`] with exactly these columns, which are decoded on so many threads. That is for Parquet, which keeps
    /// columns apart: of other formats each thread would read all of the file.
    pub fn open_apart(path: &Path, schema: &Schema, threads: usize) -> Result<Self> {
        let mut shares = shares(schema, threads).into_iter();
        let open = |share: &Vec<usize>| {
            let fields = share.iter().map(|at| schema.fields()[*at].clone()).collect();
            Self::open(path, Some(Format::Parquet), Columns::Exactly(Schema::new(fields)?))
        };
        let places = shares.next().unwrap_or_default();
        let first = open(&places)?;
        let others = shares.map(|places| Ok(Share { batches: read_aside(open(&places)?), places }));
        let apart = Apart { places, first, others: others.collect::<Result<_>>()?, columns: schema.len() };
        Ok(Self { path: path.to_owned(), schema: schema.clone(), batches: Some(Box::new(apart)), rows: 0 })
    }
}

/// Which columns each thread reads, in their order: about as much work for each. Text takes the longest.
fn shares(schema: &Schema, threads: usize) -> Vec<Vec<usize>> {
    let work = |field: &Field| match field.data_type {
        DataType::Utf8 | DataType::Binary => 3,
        DataType::Vector(width) => width as usize,
        _ => 1,
    };
    let mut shares = vec![(0, Vec::new()); threads.clamp(1, schema.len().max(1))];
    let mut heaviest_first: Vec<usize> = (0..schema.len()).collect();
    heaviest_first.sort_by_key(|at| std::cmp::Reverse(work(&schema.fields()[*at])));
    for at in heaviest_first {
        let (sum, share) = shares.iter_mut().min_by_key(|(sum, _)| *sum).expect("there is a share");
        *sum += work(&schema.fields()[at]);
        share.push(at);
    }
    shares.iter_mut().for_each(|(_, share)| share.sort_unstable());
    shares.into_iter().map(|(_, share)| share).collect()
}

/// Reads on a thread of its own, which ends when nobody waits for batches any more.
fn read_aside(mut reader: TableReader) -> Receiver<Result<Batch>> {
    let (sender, batches) = mpsc::sync_channel(BATCHES_WAITING);
    std::thread::spawn(move || reader.try_for_each(|batch| sender.send(batch)));
    batches
}

/// All shares of a table, batch by batch: those of one table are cut alike.
struct Apart {
    /// The columns that the thread reads which asks.
    places: Vec<usize>,
    first: TableReader,
    others: Vec<Share>,
    columns: usize,
}

/// The columns that another thread reads.
struct Share {
    places: Vec<usize>,
    batches: Receiver<Result<Batch>>,
}

impl Apart {
    fn join(&mut self, first: Batch) -> Result<Batch> {
        let rows = first.rows;
        let mut columns: Vec<Option<Column>> = vec![None; self.columns];
        let mut put = |places: &[usize], batch: Batch| {
            places.iter().zip(batch.columns).for_each(|(at, column)| columns[*at] = Some(column));
        };
        put(&self.places, first);
        for share in &self.others {
            let batch = share.batches.recv().map_err(|_| changed())??;
            if batch.rows != rows {
                return Err(changed());
            }
            put(&share.places, batch);
        }
        let column = |column: Option<Column>| column.expect("each column is in one share");
        Ok(Batch { rows, columns: columns.into_iter().map(column).collect() })
    }
}

/// Each share opened the file for itself.
fn changed() -> StoreError {
    ::parquet::errors::ParquetError::General("the file was changed while it was read".to_owned()).into()
}

impl Iterator for Apart {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.first.next() {
            Some(Ok(first)) => Some(self.join(first)),
            Some(Err(error)) => Some(Err(error)),
            None => self.others.iter().find_map(|share| match share.batches.recv().ok()? {
                Ok(_) => Some(Err(changed())),
                Err(error) => Some(Err(error)),
            }),
        }
    }
}
