//! Values as they travel in JSON: numbers, strings and booleans; times as RFC 3339; non-finite floats as the strings
//! `"NaN"`, `"Infinity"` and `"-Infinity"`; bytes as lower-case hexadecimal digits; vectors as arrays.

use oast_core::{Batch, Column, DataType, Field, Schema, Value};
use serde_json::Value as Json;

/// What is wrong with a JSON value that should become a column's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonMismatch {
    /// `missing`, `null` or `type`.
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// The JSON form of a value or null: what a lookup shows of it.
pub fn to_json(value: Option<&Value>) -> Json {
    value.map_or(Json::Null, Value::to_json)
}

/// A row as a JSON object.
pub(crate) fn row_to_json(schema: &Schema, rows: &Batch, row: usize) -> Json {
    let member = |(field, column): (&Field, &Column)| (field.name.clone(), to_json(column.get(row).as_ref()));
    Json::Object(schema.fields().iter().zip(&rows.columns).map(member).collect())
}

/// Reads the value of a field; an absent one counts as null.
pub(crate) fn from_json(field: &Field, json: Option<&Json>) -> Result<Option<Value>, JsonMismatch> {
    match json {
        None | Some(Json::Null) if field.nullable => Ok(None),
        None => Err(JsonMismatch {
            code: "missing",
            message: format!("`{}` is missing; it must be {}", field.name, expected(field.data_type)),
        }),
        Some(Json::Null) => Err(JsonMismatch {
            code: "null",
            message: format!("`{}` is null but not nullable; it must be {}", field.name, expected(field.data_type)),
        }),
        Some(json) => read(field.data_type, json).map(Some).ok_or_else(|| JsonMismatch {
            code: "type",
            message: format!("`{}` is {}; it must be {}", field.name, found(json), expected(field.data_type)),
        }),
    }
}

fn read(data_type: DataType, json: &Json) -> Option<Value> {
    match (data_type, json) {
        (DataType::Bool, Json::Bool(value)) => Some(Value::Bool(*value)),
        (DataType::Int64, Json::Number(number)) => number.as_i64().map(Value::Int64),
        (DataType::Float64, json) => read_float(json).map(Value::Float64),
        (DataType::Utf8, Json::String(text)) => Some(Value::Utf8(text.clone())),
        (DataType::Binary, Json::String(text)) => read_hex(text).map(Value::Binary),
        (DataType::Timestamp, Json::String(text)) => text.parse().ok().map(Value::Timestamp),
        (DataType::Timestamp, Json::Number(number)) => {
            number.as_i64().map(oast_core::Timestamp::from_micros).map(Value::Timestamp)
        }
        (DataType::Vector(width), Json::Array(items)) if items.len() == width as usize => {
            let singles = items.iter().map(|item| read_float(item).map(|value| value as f32));
            singles.collect::<Option<_>>().map(Value::Vector)
        }
        _ => None,
    }
}

fn read_float(json: &Json) -> Option<f64> {
    match json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn read_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok())
        .collect()
}

fn expected(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Bool => "true or false",
        DataType::Int64 => "an integer, for example 42",
        DataType::Float64 => "a number, for example 1.5",
        DataType::Utf8 => "a string",
        DataType::Binary => "a string of hexadecimal digits",
        DataType::Timestamp => "a time, for example \"2013-01-01T05:00:00Z\", or microseconds since the Unix epoch",
        DataType::Vector(_) => "an array of numbers of the declared length",
    }
}

fn found(json: &Json) -> String {
    let text = json.to_string();
    let shown = if text.chars().count() > 40 { text.chars().take(40).chain(['…']).collect() } else { text };
    let kind = match json {
        Json::Null => "null",
        Json::Bool(_) => "the boolean",
        Json::Number(_) => "the number",
        Json::String(_) => "the string",
        Json::Array(_) => "the array",
        Json::Object(_) => "the object",
    };
    format!("{kind} {shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_their_json() {
        let check = |type_name: &str, json: Json| {
            let field = Field::parse("x", type_name).expect(type_name);
            let value = from_json(&field, Some(&json)).expect("a value of the type");
            assert_eq!(to_json(value.as_ref()), json, "{type_name}");
        };
        check("bool", Json::from(true));
        check("int64", Json::from(9_007_199_254_740_993_i64));
        check("float64", Json::from(0.1));
        check("float64", Json::from("NaN"));
        check("float64", Json::from("-Infinity"));
        check("utf8?", Json::Null);
        check("binary", Json::from("00ff"));
        check("timestamp", Json::from("2013-01-01T05:00:00Z"));
        check("vector[2]", serde_json::json!([1.5, "Infinity"]));
    }

    #[test]
    fn mismatches_say_what_was_expected() {
        let check = |type_name: &str, json: Option<Json>, code, message: &str| {
            let field = Field::parse("x", type_name).expect(type_name);
            let mismatch = from_json(&field, json.as_ref()).expect_err(message);
            assert_eq!((mismatch.code, mismatch.message.as_str()), (code, message));
        };
        check("int64", None, "missing", "`x` is missing; it must be an integer, for example 42");
        check("utf8", Some(Json::Null), "null", "`x` is null but not nullable; it must be a string");
        check("int64", Some(Json::from(1.5)), "type", "`x` is the number 1.5; it must be an integer, for example 42");
        check(
            "binary",
            Some(Json::from("0")),
            "type",
            "`x` is the string \"0\"; it must be a string of hexadecimal digits",
        );
    }
}
