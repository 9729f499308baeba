use std::path::Path;

use oast_core::{Batch, Column, DataType, DatasetHasher, Field, Schema, SpineHash, Timestamp, Value};
use oast_store::{Columns, NarrowTypes, StoreError, TableReader};

use crate::{ColumnNames, RuntimeError, service::Service};

/// The rows to compute features for.
pub(crate) struct Spine {
    pub(crate) schema: Schema,
    pub(crate) rows: Batch,
    pub(crate) hash: SpineHash,
    pub(crate) time_column: String,
    /// What the columns are called in the table.
    pub(crate) names: ColumnNames,
    /// The columns that the table has in fewer bits, and so the dataset.
    pub(crate) narrow: NarrowTypes,
    /// The moment of each row.
    pub(crate) times: Vec<Timestamp>,
    /// The request fields of each row, in the order of the service's request schema.
    pub(crate) request: Batch,
    /// How many rows the table has.
    pub(crate) rows_all: usize,
    /// The places of the rows in the table, if they are only some of it.
    places: Option<Vec<u32>>,
}

/// What the time column is called if nobody says.
const TIME_COLUMN: &str = "event_timestamp";

impl Spine {
    /// Reads a spine and checks that it has what the service needs.
    pub(crate) fn read(
        path: &Path,
        time_column: Option<&str>,
        names: ColumnNames,
        service: &Service,
    ) -> Result<Self, RuntimeError> {
        let time_column = time_column.unwrap_or(TIME_COLUMN).to_owned();
        let wanted = names.in_table(&wanted(&time_column, service), "the spine")?;
        let (schema, rows) = read_table(path, &wanted).map_err(|error| explained(error, path, &wanted))?;
        let schema = names.as_defined(&schema)?;
        let narrow = NarrowTypes::of(path)?.renamed(|column| names.defined(&column).unwrap_or(column));
        let mut hasher = DatasetHasher::for_spine(&schema);
        hasher.update(&rows);
        let column = |name: &str| &rows.columns[schema.index_of(name).expect("the reader insists on wanted columns")];
        let times = row_times(path, &time_column, column(&time_column))?;
        let request = request_of(path, service, &rows, column)?;
        let (hash, rows_all) = (hasher.finish_spine(), rows.rows);
        Ok(Self { schema, rows, hash, time_column, names, narrow, times, request, rows_all, places: None })
    }

    /// Goes on with some of the rows.
    pub(crate) fn keep(&mut self, chosen: &dyn Fn(u64) -> bool) {
        let places: Vec<u32> = (0..self.rows.rows as u32).filter(|row| chosen(u64::from(*row))).collect();
        self.rows = self.rows.take(&places);
        self.request = self.request.take(&places);
        self.times = places.iter().map(|row| self.times[*row as usize]).collect();
        self.places = Some(places);
    }

    /// Where a row stands in the table.
    pub(crate) fn place_of(&self, row: usize) -> usize {
        self.places.as_ref().map_or(row, |places| places[row] as usize)
    }

    /// The values of a column of the spine.
    pub(crate) fn column(&self, name: &str) -> &Column {
        &self.rows.columns[self.schema.index_of(name).expect("the spine was checked for its key columns")]
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

fn read_table(path: &Path, wanted: &Schema) -> Result<(Schema, Batch), RuntimeError> {
    let reader = TableReader::open(path, None, Columns::AtLeast(wanted.clone()))?;
    let schema = reader.schema().clone();
    let mut rows = Batch::empty(&schema);
    for batch in reader {
        rows.append(&batch?);
    }
    Ok((schema, rows))
}

/// A spine that lacks a column gets an error that says which columns a spine of the service has.
fn explained(error: RuntimeError, path: &Path, wanted: &Schema) -> RuntimeError {
    let RuntimeError::Store(StoreError::Table { source, .. }) = &error else { return error };
    let StoreError::MissingColumn { column, .. } = &**source else { return error };
    RuntimeError::request(
        format!("the spine `{}` has no column `{column}`", path.display()),
        format!(
            "the service needs {}; `--spine-time` names another time column, `--map NAME=COLUMN` any other",
            wanted.names_quoted()
        ),
    )
}

fn row_times(path: &Path, name: &str, column: &Column) -> Result<Vec<Timestamp>, RuntimeError> {
    let time = |row: usize| match column.get(row) {
        Some(Value::Timestamp(time)) if time.is_in_range() => Ok(time),
        _ => Err(RuntimeError::request(
            format!("`{}` has no usable time in row {}, column `{name}`", path.display(), row + 1),
            "give every spine row the time at which its features were needed",
        )),
    };
    (0..column.len()).map(time).collect()
}

fn request_of<'s>(
    path: &Path,
    service: &Service,
    rows: &Batch,
    column: impl Fn(&str) -> &'s Column,
) -> Result<Batch, RuntimeError> {
    let take = |field: &Field| {
        let column = column(&field.name).clone();
        column.into_canonical(field, rows.rows).map_err(|error| {
            RuntimeError::request(
                format!("`{}` does not fit the request of service `{}`: {error}", path.display(), service.spec.name),
                "fill the column, or declare the request field nullable with `?`",
            )
        })
    };
    let columns = service.request.fields().iter().map(take).collect::<Result<_, _>>()?;
    Ok(Batch { rows: rows.rows, columns })
}
