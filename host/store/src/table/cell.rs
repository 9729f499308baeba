//! One value as text or JSON, and back.

use oast_core::{Column, DataType, Timestamp, Value, Values};

use crate::{Result, StoreError};

/// The value that a text stands for.
pub(super) fn parse(data_type: DataType, text: &str) -> Option<Value> {
    Some(match data_type {
        DataType::Bool if text.eq_ignore_ascii_case("true") => Value::Bool(true),
        DataType::Bool if text.eq_ignore_ascii_case("false") => Value::Bool(false),
        DataType::Bool => return None,
        DataType::Int64 => Value::Int64(text.parse().ok()?),
        DataType::Float64 => Value::Float64(text.parse().ok()?),
        DataType::Utf8 => Value::Utf8(text.to_owned()),
        DataType::Binary => Value::Binary(parse_hex(text)?),
        DataType::Timestamp => Value::Timestamp(text.parse().ok()?),
        DataType::Vector(_) => return from_json(data_type, &serde_json::from_str(text).ok()?),
    })
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// RFC 3339, or microseconds where it has no year for the time.
fn time_text(time: Timestamp) -> String {
    const YEARS_0_TO_9999: std::ops::Range<i64> = -62_167_219_200_000_000..253_402_300_800_000_000;
    let micros = time.as_micros();
    if YEARS_0_TO_9999.contains(&micros) { time.to_string() } else { micros.to_string() }
}

/// The value that a JSON value other than null stands for.
pub(super) fn from_json(data_type: DataType, json: &serde_json::Value) -> Option<Value> {
    use serde_json::Value as Json;
    Some(match (data_type, json) {
        (DataType::Bool, Json::Bool(value)) => Value::Bool(*value),
        (DataType::Int64, Json::Number(number)) => Value::Int64(number.as_i64()?),
        (DataType::Float64, Json::Number(number)) => Value::Float64(number.as_f64()?),
        (DataType::Float64, Json::String(text)) => Value::Float64(not_finite(text)?),
        (DataType::Utf8, Json::String(text)) => Value::Utf8(text.clone()),
        (DataType::Binary, Json::String(text)) => Value::Binary(parse_hex(text)?),
        (DataType::Timestamp, Json::String(text)) => Value::Timestamp(text.parse().ok()?),
        (DataType::Timestamp, Json::Number(number)) => Value::Timestamp(Timestamp::from_micros(number.as_i64()?)),
        (DataType::Vector(width), Json::Array(items)) if items.len() == width as usize => {
            let single = |item: &Json| match item {
                Json::String(text) => not_finite(text).map(|value| value as f32),
                item => item.as_f64().map(|value| value as f32),
            };
            Value::Vector(items.iter().map(single).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn not_finite(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// A value as JSON.
pub(super) fn to_json(value: Option<&Value>) -> serde_json::Value {
    use serde_json::Value as Json;
    let number = |value: f64| match value {
        value if value.is_nan() => Json::from("NaN"),
        f64::INFINITY => Json::from("Infinity"),
        f64::NEG_INFINITY => Json::from("-Infinity"),
        value => Json::from(value),
    };
    match value {
        None => Json::Null,
        Some(Value::Bool(value)) => Json::from(*value),
        Some(Value::Int64(value)) => Json::from(*value),
        Some(Value::Float64(value)) => number(*value),
        Some(Value::Utf8(text)) => Json::from(text.as_str()),
        Some(Value::Binary(bytes)) => Json::from(hex(bytes)),
        Some(Value::Timestamp(time)) => Json::from(time_text(*time)),
        Some(Value::Vector(values)) => values.iter().map(|value| number(f64::from(*value))).collect(),
    }
}

/// The text of a cell of a type that arrow-csv cannot write, or writes in another way.
pub(super) fn text_of(column: &Column, row: usize) -> Option<String> {
    match column.get(row)? {
        Value::Binary(bytes) => Some(hex(&bytes)),
        Value::Timestamp(time) => Some(time_text(time)),
        value => Some(to_json(Some(&value)).to_string()),
    }
}

/// Whether [`text_of`] is needed for a column.
pub(super) fn is_written_as_text(column: &Column) -> bool {
    matches!(column.values, Values::Binary(_) | Values::Timestamp(_) | Values::Vector { .. })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The error for a text that is not a value of its column.
pub(super) fn bad_value<T>(row: usize, column: &str, expected: DataType, found: &str) -> Result<T> {
    let found = found.chars().take(80).collect();
    Err(StoreError::BadValue { row: row as u64 + 1, column: column.to_owned(), expected: expected.to_string(), found })
}

/// Which types all values of a column of text could have so far.
pub(super) struct Guess {
    candidates: Vec<DataType>,
    is_seen: bool,
}

impl Guess {
    /// Before any value.
    pub(super) fn new() -> Self {
        use DataType::{Bool, Float64, Int64, Timestamp, Utf8};
        Self { candidates: vec![Bool, Int64, Float64, Timestamp, Utf8], is_seen: false }
    }

    /// Whether there was a value.
    pub(super) fn is_seen(&self) -> bool {
        self.is_seen
    }

    /// Drops the types that do not fit a value.
    pub(super) fn take_in(&mut self, fits: impl Fn(DataType) -> bool) {
        self.candidates.retain(|data_type| fits(*data_type));
        self.is_seen = true;
    }

    /// Allows one more type, for the first value of a column.
    pub(super) fn allow(&mut self, data_type: DataType) {
        self.candidates.push(data_type);
    }

    /// The narrowest type that fits all values: text when there was none.
    pub(super) fn outcome(&self) -> Option<DataType> {
        if self.is_seen { self.candidates.first().copied() } else { Some(DataType::Utf8) }
    }
}
