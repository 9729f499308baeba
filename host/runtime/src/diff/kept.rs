use oast_core::{Batch, Column, Field, Schema};

use crate::{
    RuntimeError,
    replay::{Derived, Partitions, Sink, Spine, Storage},
};

/// The dataset of one version. Its rows are kept column by column, so that only those that are compared need be in memory.
pub(super) struct Dataset<'s> {
    pub(super) derived: Derived,
    pub(super) columns: Columns<'s>,
}

/// The columns of a dataset that is being derived, or was.
pub(super) struct Columns<'s> {
    storage: &'s Storage,
    columns: Vec<Partitions<'s>>,
}

impl<'s> Columns<'s> {
    /// No columns yet.
    pub(super) fn new(storage: &'s Storage) -> Self {
        Self { storage, columns: Vec::new() }
    }

    /// All rows of a column.
    pub(super) fn read(&self, column: usize) -> Result<Column, RuntimeError> {
        let rows = &self.columns[column];
        let mut whole = rows.no_rows();
        for part in rows.read(0) {
            whole.append(&part?);
        }
        Ok(whole.columns.remove(0))
    }
}

impl Sink for Columns<'_> {
    fn phase(&self) -> &'static str {
        "deriving"
    }

    fn begin(&mut self, schema: &Schema, _spine: &Spine) -> Result<(), RuntimeError> {
        let column = |field: &Field| Partitions::new(self.storage, vec![field.data_type], 1);
        self.columns = schema.fields().iter().map(column).collect();
        Ok(())
    }

    fn take_in(&mut self, rows: &Batch) -> Result<(), RuntimeError> {
        self.columns.iter().zip(&rows.columns).try_for_each(|(kept, column)| {
            let column = Batch { rows: rows.rows, columns: vec![column.clone()] };
            kept.append([(0, column)])
        })
    }
}
