use crate::{DataType, Timestamp};

/// One value that is not null.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of type `bool`.
    Bool(bool),
    /// Of type `int64`.
    Int64(i64),
    /// Of type `float64`.
    Float64(f64),
    /// Of type `utf8`.
    Utf8(String),
    /// Of type `binary`.
    Binary(Vec<u8>),
    /// Of type `timestamp`.
    Timestamp(Timestamp),
    /// Of type `vector[N]`, where N is the length.
    Vector(Vec<f32>),
}

impl Value {
    /// The type of the value.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Bool(_) => DataType::Bool,
            Self::Int64(_) => DataType::Int64,
            Self::Float64(_) => DataType::Float64,
            Self::Utf8(_) => DataType::Utf8,
            Self::Binary(_) => DataType::Binary,
            Self::Timestamp(_) => DataType::Timestamp,
            Self::Vector(values) => DataType::Vector(values.len() as u32),
        }
    }

    /// The value as it travels in JSON: numbers, strings and booleans; times as RFC 3339; non-finite floats as the strings
    /// `"NaN"`, `"Infinity"` and `"-Infinity"`; bytes as lower-case hexadecimal digits; vectors as arrays.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Bool(value) => Json::Bool(*value),
            Self::Int64(value) => Json::from(*value),
            Self::Float64(value) => float_json(*value),
            Self::Utf8(text) => Json::from(text.as_str()),
            Self::Binary(bytes) => Json::from(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
            Self::Timestamp(time) => Json::from(time.to_string()),
            Self::Vector(values) => values.iter().map(|value| float_json(f64::from(*value))).collect(),
        }
    }

    /// Whether two values are the same bits, which for floats is not what `==` says: every NaN is one value, and 0 and -0
    /// are two.
    pub fn same_bits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float64(a), Self::Float64(b)) => canonical_f64(*a).to_bits() == canonical_f64(*b).to_bits(),
            (Self::Vector(a), Self::Vector(b)) => {
                a.len() == b.len()
                    && a.iter().zip(b).all(|(a, b)| canonical_f32(*a).to_bits() == canonical_f32(*b).to_bits())
            }
            _ => self == other,
        }
    }
}

fn float_json(value: f64) -> serde_json::Value {
    match serde_json::Number::from_f64(value) {
        Some(number) => serde_json::Value::Number(number),
        None if value.is_nan() => "NaN".into(),
        None if value > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

/// The value itself, or the canonical quiet NaN for any NaN.
pub(crate) fn canonical_f64(value: f64) -> f64 {
    if value.is_nan() { f64::from_bits(0x7ff8_0000_0000_0000) } else { value }
}

/// The value itself, or the canonical quiet NaN for any NaN.
pub(crate) fn canonical_f32(value: f32) -> f32 {
    if value.is_nan() { f32::from_bits(0x7fc0_0000) } else { value }
}
