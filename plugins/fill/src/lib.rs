//! The standard plugin `fill`.

use oast_sdk::schema::find;
use oast_sdk::{
    Batch, BatchTransform, Blobs, Buffer, Column, DataType, Error, Field, Json, Map, Output, Schemas, batch_transform,
};

/// Replaces nulls by a value: `{ "dep_delay": 0.0, "carrier": "none" }`.
///
/// Each parameter is the name of a column and the value that stands in for its nulls, of the column's type: a number for
/// float64, an integer for int64, microseconds since the Unix epoch for timestamp, true or false for bool, a text for utf8,
/// a list of numbers for vector. The columns named come out under the same names without nulls; the others stay as they are.
#[batch_transform]
#[derive(Debug)]
pub struct Fill {
    values: Vec<Value>,
}

/// What stands in for a null.
#[derive(Debug)]
enum Value {
    Bool(u8),
    Integer(i64),
    Float(f64),
    Text(String),
    Vector(Vec<f32>),
}

impl BatchTransform for Fill {
    type Params = Map<String, Json>;

    fn configure(params: Self::Params, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        if params.is_empty() {
            return Err(Error::new("expected a column and its value, for example `{\"price\":0.0}`, got `{}`"));
        }
        let mut schemas = Schemas { input: Vec::new(), output: Vec::new() };
        let mut values = Vec::new();
        for (name, json) in &params {
            let field = find(offered, name)?;
            values.push(value(field, json)?);
            schemas.input.push(field.clone().nullable());
            schemas.output.push(Field::new(name, field.data_type));
        }
        Ok((Self { values }, schemas))
    }

    fn apply(&self, input: Batch) -> Result<Output, Error> {
        let columns = input.columns.into_iter().zip(&self.values);
        let rows = Batch {
            rows: input.rows,
            columns: columns.map(|(column, value)| fill(column, value)).collect::<Result<_, _>>()?,
        };
        Ok(Output { rows, ..Output::default() })
    }
}

fn value(field: &Field, json: &Json) -> Result<Value, Error> {
    let (expected, value) = match field.data_type {
        DataType::Bool => ("true or false", json.as_bool().map(|value| Value::Bool(value.into()))),
        DataType::Int64 => ("an integer, for example `0`", json.as_i64().map(Value::Integer)),
        DataType::Timestamp => {
            ("microseconds since the Unix epoch, for example `0`", json.as_i64().map(Value::Integer))
        }
        DataType::Float64 => ("a number, for example `0.0`", json.as_f64().map(Value::Float)),
        DataType::Utf8 => ("a text, for example `\"none\"`", json.as_str().map(|text| Value::Text(text.to_owned()))),
        DataType::Vector(width) => {
            ("a list of as many numbers as the vector has", vector(json, width as usize).map(Value::Vector))
        }
        DataType::Binary => ("a column of another type than binary", None),
    };
    value.ok_or_else(|| {
        Error::new(format!("parameter `{}`: expected {expected}, for the column {field}, got `{json}`", field.name))
    })
}

fn vector(json: &Json, width: usize) -> Option<Vec<f32>> {
    let values: Option<Vec<f32>> =
        json.as_array()?.iter().map(|value| value.as_f64().map(|value| value as f32)).collect();
    values.filter(|values| values.len() == width)
}

fn fill(mut column: Column, value: &Value) -> Result<Column, Error> {
    let Some(validity) = column.validity.take() else {
        return Ok(column);
    };
    match (&mut column.buffer, value) {
        (Buffer::Bools(values), Value::Bool(value)) => each(values, &validity, *value),
        (Buffer::Int64s(values) | Buffer::Timestamps(values), Value::Integer(value)) => {
            each(values, &validity, *value);
        }
        (Buffer::Float64s(values), Value::Float(value)) => each(values, &validity, *value),
        (Buffer::Utf8(texts), Value::Text(text)) => *texts = fill_texts(texts, &validity, text),
        (Buffer::Vectors(vectors), Value::Vector(vector)) => {
            let rows = vectors.values.chunks_exact_mut(vector.len().max(1));
            for (row, valid) in rows.zip(&validity) {
                if *valid == 0 {
                    row.copy_from_slice(vector);
                }
            }
        }
        (buffer, _) => {
            let found = buffer.data_type();
            return Err(Error::new(format!("a column of {found} was not agreed")));
        }
    }
    Ok(column)
}

fn each<T: Copy>(values: &mut [T], validity: &[u8], value: T) {
    for (slot, valid) in values.iter_mut().zip(validity) {
        if *valid == 0 {
            *slot = value;
        }
    }
}

fn fill_texts(texts: &Blobs, validity: &[u8], text: &str) -> Blobs {
    let mut filled = Blobs::with_capacity(texts.len());
    filled.bytes.reserve(texts.bytes.len());
    for (found, valid) in texts.iter().zip(validity) {
        filled.push(if *valid == 0 { text.as_bytes() } else { found });
    }
    filled
}

#[cfg(test)]
mod tests;
