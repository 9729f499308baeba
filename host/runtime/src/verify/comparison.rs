use std::path::PathBuf;

use oast_core::{Batch, DatasetHash, DatasetHasher, Schema};
use oast_store::{Columns, TableReader};

use super::{Difference, Share};
use crate::{
    RuntimeError, json,
    replay::{Sink, Spine},
};

/// How many differences are shown.
const DIFFERENCES_MAX: usize = 10;

/// Compares a dataset as it is derived with its file, bit for bit.
pub(super) struct Comparison {
    path: PathBuf,
    /// The rows of the file that are compared; all if nothing is said.
    sample: Option<(Share, DatasetHash)>,
    file: Option<StoredRows>,
    /// The row of the file that comes next.
    place: u64,
    differences: Vec<Difference>,
    differing: u64,
}

/// What came of it.
pub(super) struct Compared {
    /// The hash of the file's rows.
    pub(super) stored: DatasetHash,
    /// How many there are.
    pub(super) rows: u64,
    /// The first values that differ.
    pub(super) differences: Vec<Difference>,
    /// How many differ.
    pub(super) differing: u64,
}

impl Comparison {
    /// A comparison with the file at `path`, of all rows or of a sample.
    pub(super) fn new(path: PathBuf, sample: Option<(Share, DatasetHash)>) -> Self {
        Self { path, sample, file: None, place: 0, differences: Vec::new(), differing: 0 }
    }

    /// Reads the rest of the file.
    pub(super) fn finish(self) -> Result<Compared, RuntimeError> {
        let mut file = self.file.expect("a dataset was begun before it is finished");
        while file.read()? {}
        Ok(Compared {
            rows: file.first + file.rows.rows as u64,
            stored: file.hasher.finish(),
            differences: self.differences,
            differing: self.differing,
        })
    }

    /// The place in the file of the next row that is derived.
    fn next_place(&mut self) -> u64 {
        if let Some((share, dataset)) = self.sample {
            while !share.chooses(dataset, self.place) {
                self.place += 1;
            }
        }
        self.place += 1;
        self.place - 1
    }
}

impl Sink for Comparison {
    fn phase(&self) -> &'static str {
        "comparing"
    }

    fn begin(&mut self, schema: &Schema, _spine: &Spine) -> Result<(), RuntimeError> {
        self.file = Some(StoredRows::open(&self.path, schema)?);
        Ok(())
    }

    fn take_in(&mut self, derived: &Batch) -> Result<(), RuntimeError> {
        for row in 0..derived.rows {
            let place = self.next_place();
            let file = self.file.as_mut().expect("a dataset was begun before it has rows");
            let Some(stored) = file.at(place)? else { continue };
            for (at, mine) in derived.columns.iter().enumerate() {
                let theirs = &file.rows.columns[at];
                if mine.same_bits(row, theirs, stored) {
                    continue;
                }
                self.differing += 1;
                if self.differences.len() < DIFFERENCES_MAX {
                    self.differences.push(Difference {
                        row: place + 1,
                        column: file.schema.fields()[at].name.clone(),
                        stored: json::to_json(theirs.get(stored).as_ref()),
                        derived: json::to_json(mine.get(row).as_ref()),
                    });
                }
            }
        }
        Ok(())
    }
}

/// The rows of a dataset's file, some at a time.
struct StoredRows {
    reader: TableReader,
    schema: Schema,
    hasher: DatasetHasher,
    rows: Batch,
    /// The place of the first of them.
    first: u64,
}

impl StoredRows {
    /// Opens a dataset's file in the schema that was derived.
    fn open(path: &std::path::Path, schema: &Schema) -> Result<Self, RuntimeError> {
        let reader = TableReader::open(path, None, Columns::Exactly(schema.clone()))?;
        Ok(Self {
            reader,
            schema: schema.clone(),
            hasher: DatasetHasher::new(schema),
            rows: Batch::empty(schema),
            first: 0,
        })
    }

    /// Goes on to the next rows; false if there are none.
    fn read(&mut self) -> Result<bool, RuntimeError> {
        let Some(rows) = self.reader.next().transpose()? else { return Ok(false) };
        self.first += self.rows.rows as u64;
        self.rows = rows;
        self.hasher.update(&self.rows);
        Ok(true)
    }

    /// Where in the rows at hand the row of this place is, if the file has so many. Places only rise.
    fn at(&mut self, place: u64) -> Result<Option<usize>, RuntimeError> {
        while place >= self.first + self.rows.rows as u64 {
            if !self.read()? {
                return Ok(None);
            }
        }
        Ok(Some((place - self.first) as usize))
    }
}
