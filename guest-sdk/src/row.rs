//! Rows as structs.

use std::ops::Range;

use crate::schema::{EVENT_TIME, list};
use crate::{Batch, Buffer, Column, DataType, Error, Field};

/// A struct whose fields are columns, by `#[derive(Row)]`.
///
/// ```
/// # use oast_sdk::Row;
/// #[derive(Row)]
/// struct Flight<'a> {
///     distance: f64,                 // `distance`, float64; an offered int64 is converted to the nearest double
///     #[row(rename = "dest")]
///     destination: Option<&'a str>,  // `dest`, utf8?
/// }
/// ```
///
/// Columns bind by name when every field finds its column, else by position when there are as many columns as fields. A
/// last field `event_time: Timestamp` asks for the time of each event and takes no part in that count.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a row",
    note = "add `#[derive(oast_sdk::Row)]` to the struct"
)]
pub trait Row<'a>: Sized {
    /// The columns.
    const FIELDS: &'static [FieldSpec];
    /// A batch being read.
    type Reader;
    /// A batch being written.
    type Writer: 'static;
    /// Some rows of a batch being written.
    type Slots<'w>;

    /// Starts to read a batch.
    fn reader(batch: &'a Batch) -> Result<Self::Reader, Error>;
    /// A reader of these rows alone, which counts them from 0. A loop over all its rows needs no check of bounds.
    fn part(reader: &Self::Reader, rows: Range<usize>) -> Self::Reader;
    /// Reads one row.
    fn read(reader: &Self::Reader, row: usize) -> Self;
    /// Starts a batch of this many rows.
    fn writer(rows: usize) -> Self::Writer;
    /// These rows alone, counted from 0.
    fn slots(writer: &mut Self::Writer, rows: Range<usize>) -> Self::Slots<'_>;
    /// Writes a row. Rows are written in order, each once.
    fn write(self, slots: &mut Self::Slots<'_>, row: usize);
    /// Writes a row without values.
    fn write_nothing(slots: &mut Self::Slots<'_>, row: usize);
    /// Ends the batch.
    fn finish(writer: Self::Writer) -> Vec<Column>;
}

/// A field of a row, as the derive knows it.
#[derive(Debug, Clone, Copy)]
pub struct FieldSpec {
    /// The column's name.
    pub name: &'static str,
    /// The column's type.
    pub data_type: DataType,
    /// Whether a row may hold null.
    pub nullable: bool,
}

impl FieldSpec {
    fn field(&self) -> Field {
        Field { name: self.name.to_owned(), data_type: self.data_type, nullable: self.nullable }
    }

    /// Whether a column of this type can be read as the field.
    fn takes(&self, offered: DataType) -> bool {
        self.data_type == offered || (self.data_type == DataType::Float64 && offered == DataType::Int64)
    }
}

/// The output schema of a row.
pub fn fields<'a, R: Row<'a>>() -> Vec<Field> {
    R::FIELDS.iter().map(FieldSpec::field).collect()
}

/// The input schema of a row for the columns at hand, or why they do not fit.
pub fn bind<'a, R: Row<'a>>(offered: &[Field]) -> Result<Vec<Field>, Error> {
    let (time, bound) = match R::FIELDS {
        [bound @ .., last] if last.name == EVENT_TIME => (Some(last), bound),
        bound => (None, bound),
    };
    let by_name = |spec: &FieldSpec| offered.iter().find(|field| field.name == spec.name);
    let columns: Vec<&Field> = if bound.iter().all(|spec| by_name(spec).is_some()) {
        bound.iter().filter_map(by_name).collect()
    } else if bound.len() == offered.len() {
        offered.iter().collect()
    } else {
        return Err(unbound(bound, offered));
    };
    let mut input = Vec::with_capacity(R::FIELDS.len());
    for (spec, column) in bound.iter().zip(columns) {
        input.push(bind_one(spec, column)?);
    }
    input.extend(time.map(FieldSpec::field));
    Ok(input)
}

fn bind_one(spec: &FieldSpec, column: &Field) -> Result<Field, Error> {
    if !spec.takes(column.data_type) {
        return Err(Error::new(format!(
            "input `{}` expects {}, but the column {column} holds {}",
            spec.name, spec.data_type, column.data_type
        )));
    }
    if column.nullable && !spec.nullable {
        return Err(Error::new(format!(
            "input `{}` takes no nulls, but the column {column} may hold them; fill them first, for example with the plugin `fill`",
            spec.name
        )));
    }
    Ok(Field { data_type: column.data_type, ..spec.field() })
}

fn unbound(bound: &[FieldSpec], offered: &[Field]) -> Error {
    let expected: Vec<Field> = bound.iter().map(FieldSpec::field).collect();
    Error::new(format!(
        "expected the columns {}, by these names or in this order; at hand: {}",
        list(&expected),
        list(offered)
    ))
}

/// Converts the columns of int64 that were bound to fields of float64.
pub fn widen(batch: &mut Batch, specs: &[FieldSpec]) {
    for (column, spec) in batch.columns.iter_mut().zip(specs) {
        if let (DataType::Float64, Buffer::Int64s(values)) = (spec.data_type, &column.buffer) {
            column.buffer = Buffer::Float64s(values.iter().map(|&value| value as f64).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{bind, fields};
    use crate::Row;
    use crate::testing::schema;

    #[derive(Row)]
    struct Input<'a> {
        distance: f64,
        #[row(rename = "dest")]
        destination: Option<&'a str>,
        event_time: crate::Timestamp,
    }

    fn check(offered: &str, expect: Result<&str, &str>) {
        let bound = bind::<Input<'_>>(&schema(offered)).map_err(|error| error.to_string());
        assert_eq!(bound, expect.map(schema).map_err(str::to_owned), "{offered}");
    }

    #[test]
    fn columns_bind_by_name_or_else_by_position() {
        let bound = "distance: float64, dest: utf8?, event_time: timestamp";
        check("carrier: utf8, dest: utf8, distance: float64", Ok(bound));
        check("d: float64, to: utf8?", Ok(bound));
        let widened = "distance: int64, dest: utf8?, event_time: timestamp";
        check("d: int64, to: utf8?", Ok(widened));
    }

    #[test]
    fn columns_that_do_not_fit_are_named() {
        check(
            "d: float64",
            Err(
                "expected the columns `distance` (float64), `dest` (utf8?), by these names or in this order; at hand: `d` (float64)",
            ),
        );
        check("to: utf8, d: float64", Err("input `distance` expects float64, but the column `to` (utf8) holds utf8"));
        check(
            "dest: utf8, distance: float64?",
            Err(
                "input `distance` takes no nulls, but the column `distance` (float64?) may hold them; fill them first, for example with the plugin `fill`",
            ),
        );
    }

    #[test]
    fn a_row_declares_its_columns() {
        let declared = fields::<Input<'_>>();
        assert_eq!(declared, schema("distance: float64, dest: utf8?, event_time: timestamp"));
        let row = Input { distance: 1.0, destination: None, event_time: crate::Timestamp(0) };
        assert_eq!((row.distance, row.destination, row.event_time.0), (1.0, None, 0));
    }
}
