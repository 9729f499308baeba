//! The spine of a replay: read batch by batch, hashed, and kept in its order until the dataset is written.

use std::path::Path;

use oast_core::{Batch, DataType, DatasetHasher, Field, Schema, SpineHash, Timestamp, Value};
use oast_store::{Columns, NarrowTypes, TableReader};

use super::{
    ReplayOptions, Scope, check_stopped, names,
    storage::{Cut, Partitions, Parts, Storage},
};
use crate::{ColumnNames, Progress, RuntimeError, service::Service};

/// What there is to say of the rows to compute features for.
#[derive(Clone)]
pub(crate) struct Spine {
    pub(crate) schema: Schema,
    pub(crate) hash: SpineHash,
    pub(crate) time_column: String,
    /// What the columns are called in the table.
    pub(crate) names: ColumnNames,
    /// The columns that the table has in fewer bits, and so the dataset.
    pub(crate) narrow: NarrowTypes,
    /// How many rows features are computed for.
    pub(crate) rows: u64,
    /// How many rows the table has.
    pub(crate) rows_all: u64,
}

/// The rows of a spine, in their order.
pub(super) struct SpineRows<'s>(Partitions<'s>);

impl SpineRows<'_> {
    /// The rows, some at a time.
    pub(super) fn read(&self, rows: usize) -> Cut<Parts<'_>> {
        Cut::new(self.0.read(0), rows)
    }

    /// The rows, some at a time, which are gone then.
    pub(super) fn take(&self, rows: usize) -> Cut<Parts<'_>> {
        Cut::new(self.0.take(0), rows)
    }
}

/// What the time column is called if nobody says.
const TIME_COLUMN: &str = "event_timestamp";

impl Spine {
    /// Reads a spine and checks that it has what the service needs.
    pub(super) fn read<'s>(
        options: &ReplayOptions,
        service: &Service,
        scope: Scope<'_>,
        storage: &'s Storage,
        progress: &dyn Progress,
    ) -> Result<(Self, SpineRows<'s>), RuntimeError> {
        let path = options.spine.as_path();
        let time_column = options.spine_time.as_deref().unwrap_or(TIME_COLUMN).to_owned();
        let names = options.spine_names();
        let wanted = names.in_table(&wanted(&time_column, service), "the spine")?;
        let explained = |error| {
            names::explained(error, "the spine", || {
                let wanted = wanted.names_quoted();
                format!(
                    "the service needs {wanted}; `--spine-time` names another time column, `--map NAME=COLUMN` any other"
                )
            })
        };
        let reader = TableReader::open(path, None, Columns::AtLeast(wanted.clone()));
        let reader = reader.map_err(|error| explained(error.into()))?;
        let schema = names.as_defined(reader.schema())?;
        let narrow = NarrowTypes::of(path)?.renamed(|column| names.defined(&column).unwrap_or(column));
        let types = schema.fields().iter().map(|field| field.data_type).collect();
        let kept = SpineRows(Partitions::new(storage, types, 1));
        let mut hasher = DatasetHasher::for_spine(&schema);
        let (mut rows, mut rows_all) = (0, 0);
        for batch in reader {
            check_stopped(progress)?;
            let mut batch = batch.map_err(|error| explained(error.into()))?;
            hasher.update(&batch);
            check_times(path, &schema, &time_column, &batch, rows_all)?;
            let first = rows_all;
            rows_all += batch.rows as u64;
            if let Some(chosen) = scope.rows {
                let places = (0..batch.rows as u32).filter(|row| chosen(first + u64::from(*row)));
                batch = batch.take(&places.collect::<Vec<_>>());
            }
            rows += batch.rows as u64;
            progress.advance(batch.rows as u64);
            kept.0.append([(0, batch)])?;
        }
        let hash = hasher.finish_spine();
        Ok((Self { schema, hash, time_column, names, narrow, rows, rows_all }, kept))
    }

    /// Where a column of the spine stands.
    pub(crate) fn column(&self, name: &str) -> usize {
        self.schema.index_of(name).expect("the spine was checked for its key columns")
    }

    /// The moments of some of its rows.
    pub(super) fn times(&self, rows: &Batch) -> Vec<Timestamp> {
        crate::online::times(rows, self.column(&self.time_column))
    }

    /// The request fields of some of its rows, in the order of the service's request schema.
    pub(super) fn request(&self, path: &Path, service: &Service, rows: &Batch) -> Result<Batch, RuntimeError> {
        let take = |field: &Field| {
            let column = rows.columns[self.column(&field.name)].clone();
            column.into_canonical(field, rows.rows).map_err(|error| {
                RuntimeError::request(
                    format!(
                        "`{}` does not fit the request of service `{}`: {error}",
                        path.display(),
                        service.spec.name
                    ),
                    "fill the column, or declare the request field nullable with `?`",
                )
            })
        };
        let columns = service.request.fields().iter().map(take).collect::<Result<_, _>>()?;
        Ok(Batch { rows: rows.rows, columns })
    }
}

/// Every column that the spine must have; all may hold null until they are looked at.
fn wanted(time_column: &str, service: &Service) -> Schema {
    let mut fields = vec![Field::nullable(time_column, DataType::Timestamp)];
    for field in service.entity.iter().chain(service.request.fields()) {
        if !fields.iter().any(|each| each.name == field.name) {
            fields.push(Field { nullable: true, ..field.clone() });
        }
    }
    Schema::new(fields).expect("each name was added once")
}

fn check_times(path: &Path, schema: &Schema, name: &str, rows: &Batch, before: u64) -> Result<(), RuntimeError> {
    let column = &rows.columns[schema.index_of(name).expect("the reader insists on wanted columns")];
    let is_usable = |row: &usize| matches!(column.get(*row), Some(Value::Timestamp(time)) if time.is_in_range());
    match (0..rows.rows).find(|row| !is_usable(row)) {
        None => Ok(()),
        Some(row) => Err(RuntimeError::request(
            format!("`{}` has no usable time in row {}, column `{name}`", path.display(), before + row as u64 + 1),
            "give every spine row the time at which its features were needed",
        )),
    }
}
