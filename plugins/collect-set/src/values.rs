//! Values and sets of them.

use std::collections::BTreeSet;

use oast_sdk::{Buffer, DataType, Error, Json, State};

/// The longest text that is kept whole, in bytes.
const TEXT_BYTES_MAX: usize = 200;

/// A value whose order is the derived one. A column has one type, so that the two are never compared with each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A bool, an integer, a timestamp, or the bits of a float turned so that integers of them have its order.
    Number(i64),
    /// The beginning of a text.
    Text(String),
}

impl Value {
    /// The value of a row that is not null, and whether it is all of it.
    pub fn read(buffer: &Buffer, row: usize) -> Result<(Self, bool), Error> {
        Ok(match buffer {
            Buffer::Bools(values) => (Self::Number(values[row].into()), true),
            Buffer::Int64s(values) | Buffer::Timestamps(values) => (Self::Number(values[row]), true),
            Buffer::Float64s(values) => {
                let value = if values[row].is_nan() { f64::NAN.abs() } else { values[row] };
                (Self::Number(flip(value.to_bits().cast_signed())), true)
            }
            Buffer::Utf8(texts) => {
                let text = std::str::from_utf8(texts.get(row))
                    .map_err(|error| Error::new(format!("a column of utf8 is not: {error}")))?;
                let kept = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
                (Self::Text(kept.to_owned()), kept.len() == text.len())
            }
            other => return Err(Error::new(format!("a column of {} was not agreed", other.data_type()))),
        })
    }

    fn json(&self, data_type: DataType) -> Json {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Number(number) => match data_type {
                DataType::Bool => (*number != 0).into(),
                DataType::Float64 => float(f64::from_bits(flip(*number).cast_unsigned())),
                _ => (*number).into(),
            },
        }
    }
}

/// A float as definitions and the daemon spell it.
fn float(value: f64) -> Json {
    match value {
        _ if value.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ => value.into(),
    }
}

/// The bits of a double as an integer of the same order, and back: those of negative numbers run the other way.
fn flip(bits: i64) -> i64 {
    bits ^ ((bits >> 63) & i64::MAX)
}

impl State for Value {
    fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Number(number) => {
                false.encode(bytes);
                number.encode(bytes);
            }
            Self::Text(text) => {
                true.encode(bytes);
                text.encode(bytes);
            }
        }
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, Error> {
        Ok(if bool::decode(bytes)? { Self::Text(String::decode(bytes)?) } else { Self::Number(i64::decode(bytes)?) })
    }
}

/// The smallest different values so far.
#[derive(Debug, Default, State)]
pub struct Collected {
    values: BTreeSet<Value>,
    /// Whether a value was left out or cut.
    lacking: bool,
}

impl Collected {
    /// Takes in a value, and lets go of the largest when there are too many.
    pub fn insert(&mut self, value: Value, whole: bool, limit: usize) {
        self.lacking |= !whole;
        self.values.insert(value);
        if self.values.len() > limit {
            self.values.pop_last();
            self.lacking = true;
        }
    }

    /// Takes in another set.
    pub fn merge(&mut self, other: Self, limit: usize) {
        self.lacking |= other.lacking;
        for value in other.values {
            self.insert(value, true, limit);
        }
    }

    /// The list of the values.
    pub fn json(&self, data_type: DataType) -> String {
        let list: Vec<Json> = self.values.iter().map(|value| value.json(data_type)).collect();
        Json::Array(list).to_string()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether they are all there were.
    pub fn is_complete(&self) -> bool {
        !self.lacking
    }
}
