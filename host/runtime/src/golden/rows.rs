//! Rows and schemas as golden files write them. Unlike elsewhere, a timestamp is its number of microseconds.

use oast_core::{Batch, Column, ColumnBuilder, Field, Schema, Value};
use serde_json::{Value as Json, json};

use super::list;
use crate::{
    RuntimeError,
    json::{from_json, to_json},
};

/// The error for a golden file that says something impossible.
pub(super) fn malformed(what: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::request(format!("the golden file is wrong: {what}"), "compare it with the one of a new project")
}

/// A schema from pairs of name and type.
pub(super) fn schema(json: Option<&Json>, what: &str) -> Result<Schema, RuntimeError> {
    let field = |pair: &Json| match (pair[0].as_str(), pair[1].as_str()) {
        (Some(name), Some(data_type)) => Field::parse(name, data_type).map_err(malformed),
        _ => Err(malformed(format!("`{pair}` in `{what}` is no pair of name and type"))),
    };
    let fields = list(json, what)?.iter().map(field).collect::<Result<_, _>>()?;
    Schema::new(fields).map_err(malformed)
}

pub(super) fn schema_json(schema: &Schema) -> Json {
    schema.fields().iter().map(|field| json!([field.name, field.type_name()])).collect()
}

/// Columns from lists of values.
pub(super) fn batch(schema: &Schema, rows: &[Json]) -> Result<Batch, RuntimeError> {
    for (row, values) in rows.iter().enumerate() {
        let length = values.as_array().map(Vec::len);
        if length != Some(schema.len()) {
            let width = schema.len();
            return Err(malformed(format!("row {} is `{values}`, where a list of {width} values should be", row + 1)));
        }
    }
    let column = |(at, field): (usize, &Field)| -> Result<Column, RuntimeError> {
        let mut builder = ColumnBuilder::new(field.data_type);
        for (row, values) in rows.iter().enumerate() {
            let value = from_json(field, values.get(at));
            builder.push(value.map_err(|wrong| malformed(format!("row {}: {}", row + 1, wrong.message)))?.as_ref());
        }
        Ok(builder.finish())
    };
    let columns = schema.fields().iter().enumerate().map(column).collect::<Result<_, _>>()?;
    Ok(Batch { rows: rows.len(), columns })
}

/// One row as a list of values.
pub(super) fn row_json(batch: &Batch, row: usize) -> Json {
    let value = |column: &Column| match column.get(row) {
        Some(Value::Timestamp(time)) => Json::from(time.as_micros()),
        value => to_json(value.as_ref()),
    };
    batch.columns.iter().map(value).collect()
}

/// An expected row as it would come out, so that `1` and `1.0` are one value of a column of floats. What cannot come out
/// stays as it is, and differs from all that does.
pub(super) fn normal(schema: &Schema, expected: &Json) -> Json {
    match expected {
        Json::Array(_) => match batch(schema, std::slice::from_ref(expected)) {
            Ok(batch) => row_json(&batch, 0),
            Err(_) => expected.clone(),
        },
        other => other.clone(),
    }
}
