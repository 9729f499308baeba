//! Rows between JSON and columns.

use serde_json::{Value as Json, json};

use crate::{Batch, Blobs, Buffer, Column, DataType, Field, Vectors};

/// Parses a schema such as `"distance: float64, tail: utf8?"`.
pub fn schema(text: &str) -> Vec<Field> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, data_type) = part.split_once(':').expect("`name: type`");
            field(name.trim(), data_type.trim())
        })
        .collect()
}

/// A column by name and type, for example `float64?`.
pub(super) fn field(name: &str, data_type: &str) -> Field {
    let (plain, nullable) = match data_type.strip_suffix('?') {
        Some(plain) => (plain, true),
        None => (data_type, false),
    };
    Field { name: name.to_owned(), data_type: parse_type(plain), nullable }
}

fn parse_type(text: &str) -> DataType {
    match text {
        "bool" => DataType::Bool,
        "int64" => DataType::Int64,
        "float64" => DataType::Float64,
        "utf8" => DataType::Utf8,
        "binary" => DataType::Binary,
        "timestamp" => DataType::Timestamp,
        vector => {
            let width = vector
                .strip_prefix("vector[")
                .and_then(|rest| rest.strip_suffix(']'))
                .and_then(|width| width.parse().ok());
            DataType::Vector(width.unwrap_or_else(|| panic!("there is no type `{vector}`")))
        }
    }
}

/// Columns from a list of rows, each a list of values.
pub fn batch(fields: &[Field], rows: &Json) -> Batch {
    let rows = rows.as_array().expect("rows are a list");
    for row in rows {
        let width = row.as_array().expect("a row is a list").len();
        assert_eq!(width, fields.len(), "the row {row} fits the schema");
    }
    let columns = fields.iter().enumerate().map(|(index, field)| {
        let values: Vec<&Json> = rows.iter().map(|row| &row[index]).collect();
        column(field, &values)
    });
    Batch { rows: rows.len(), columns: columns.collect() }
}

fn column(field: &Field, values: &[&Json]) -> Column {
    let nulls = values.iter().any(|value| value.is_null());
    assert!(field.nullable || !nulls, "{field} holds no nulls");
    let validity = || values.iter().map(|value| u8::from(!value.is_null())).collect();
    Column { buffer: buffer(field.data_type, values), validity: nulls.then(validity) }
}

fn buffer(data_type: DataType, values: &[&Json]) -> Buffer {
    match data_type {
        DataType::Bool => Buffer::Bools(each(values, |v| v.as_bool().map(u8::from))),
        DataType::Int64 => Buffer::Int64s(each(values, Json::as_i64)),
        DataType::Float64 => Buffer::Float64s(each(values, float)),
        DataType::Timestamp => Buffer::Timestamps(each(values, Json::as_i64)),
        DataType::Utf8 => Buffer::Utf8(blobs(each(values, |v| v.as_str().map(|text| text.as_bytes().to_vec())))),
        DataType::Binary => Buffer::Binary(blobs(each(values, |v| v.as_str().map(from_hex)))),
        DataType::Vector(width) => {
            let vectors = values.iter().map(|value| vector(value, width as usize));
            Buffer::Vectors(Vectors { width, values: vectors.flatten().collect() })
        }
    }
}

fn each<T: Default>(values: &[&Json], read: impl Fn(&Json) -> Option<T>) -> Vec<T> {
    let value = |json: &&Json| match json {
        Json::Null => T::default(),
        json => read(json).unwrap_or_else(|| panic!("`{json}` is not of the column's type")),
    };
    values.iter().map(value).collect()
}

fn float(json: &Json) -> Option<f64> {
    match json.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(_) => None,
        None => json.as_f64(),
    }
}

fn vector(json: &Json, width: usize) -> Vec<f32> {
    let Some(values) = json.as_array() else {
        return vec![0.0; width];
    };
    assert_eq!(values.len(), width, "the vector {json} fits its column");
    let single = |value: &Json| float(value).expect("a vector is of numbers") as f32;
    values.iter().map(single).collect()
}

fn blobs(strings: Vec<Vec<u8>>) -> Blobs {
    let mut blobs = Blobs::default();
    strings.iter().for_each(|string| blobs.push(string));
    blobs
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("hexadecimal is ASCII");
            u8::from_str_radix(pair, 16).expect("binary is hexadecimal")
        })
        .collect()
}

/// A list of values for each row of a batch. A batch that does not fit its schema is a panic.
pub fn rows(fields: &[Field], batch: &Batch) -> Vec<Json> {
    assert_eq!(batch.columns.len(), fields.len(), "the output fits its schema");
    for (field, column) in fields.iter().zip(&batch.columns) {
        check(field, column, batch.rows);
    }
    let values = |row| batch.columns.iter().map(move |column| value(column, row));
    (0..batch.rows).map(|row| values(row).collect()).collect()
}

fn check(field: &Field, column: &Column, rows: usize) {
    assert_eq!(column.buffer.data_type(), field.data_type, "{field}");
    let length = match &column.buffer {
        Buffer::Bools(values) => values.len(),
        Buffer::Int64s(values) | Buffer::Timestamps(values) => values.len(),
        Buffer::Float64s(values) => values.len(),
        Buffer::Utf8(blobs) | Buffer::Binary(blobs) => blobs.len(),
        Buffer::Vectors(vectors) => vectors.values.len() / (vectors.width.max(1) as usize),
    };
    assert_eq!(length, rows, "{field} has a value a row");
    if let Some(validity) = &column.validity {
        assert!(field.nullable, "{field} holds no nulls");
        assert_eq!(validity.len(), rows, "{field} says of every row whether it is null");
    }
}

fn value(column: &Column, row: usize) -> Json {
    if column.is_null(row) {
        return Json::Null;
    }
    match &column.buffer {
        Buffer::Bools(values) => json!(values[row] != 0),
        Buffer::Int64s(values) | Buffer::Timestamps(values) => json!(values[row]),
        Buffer::Float64s(values) => number(values[row]),
        Buffer::Utf8(blobs) => json!(String::from_utf8_lossy(blobs.get(row))),
        Buffer::Binary(blobs) => {
            let digits: Vec<String> = blobs.get(row).iter().map(|b| format!("{b:02x}")).collect();
            json!(digits.concat())
        }
        Buffer::Vectors(vectors) => {
            let width = vectors.width as usize;
            let values = &vectors.values[row * width..][..width];
            values.iter().map(|&value| number(f64::from(value))).collect()
        }
    }
}

fn number(value: f64) -> Json {
    if value.is_nan() {
        json!("NaN")
    } else if value.is_infinite() {
        json!(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        json!(value)
    }
}
