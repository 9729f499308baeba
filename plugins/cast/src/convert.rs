//! One value, and what it is as another type.

use std::borrow::Cow;

use oast_sdk::{Buffer, DataType, Error, Param, State};

use crate::time;

/// How a float becomes an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Param)]
pub enum Rounding {
    /// What is behind the point is dropped.
    TowardZero,
    /// To the nearest integer, halves to the even one.
    Nearest,
    /// Down.
    Floor,
    /// Up.
    Ceil,
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar<'a> {
    Bool(bool),
    Int64(i64),
    Float64(f64),
    Text(Cow<'a, str>),
    Binary(&'a [u8]),
    Timestamp(i64),
}

/// Whether values of one type can be converted to another at all.
pub(crate) fn converts(from: DataType, to: DataType) -> bool {
    match (from, to) {
        (DataType::Vector(_), _) | (_, DataType::Vector(_)) => false,
        (DataType::Timestamp, DataType::Bool | DataType::Float64) => false,
        (DataType::Bool | DataType::Float64, DataType::Timestamp) => false,
        (DataType::Binary, to) => matches!(to, DataType::Binary | DataType::Utf8),
        (from, DataType::Binary) => from == DataType::Utf8,
        _ => true,
    }
}

/// Whether some value of one type has no counterpart in another.
pub(crate) fn may_fail(from: DataType, to: DataType) -> bool {
    match (from, to) {
        (from, to) if from == to => false,
        (DataType::Utf8, to) => to != DataType::Binary,
        (DataType::Binary, _) => true,
        (DataType::Float64, to) => matches!(to, DataType::Int64 | DataType::Bool),
        _ => false,
    }
}

impl<'a> Scalar<'a> {
    /// The value of a row that is not null.
    pub(crate) fn read(buffer: &'a Buffer, row: usize) -> Result<Self, Error> {
        Ok(match buffer {
            Buffer::Bools(values) => Self::Bool(values[row] != 0),
            Buffer::Int64s(values) => Self::Int64(values[row]),
            Buffer::Float64s(values) => Self::Float64(values[row]),
            Buffer::Timestamps(values) => Self::Timestamp(values[row]),
            Buffer::Binary(blobs) => Self::Binary(blobs.get(row)),
            Buffer::Utf8(blobs) => {
                let text = std::str::from_utf8(blobs.get(row));
                Self::Text(text.map_err(|error| Error::new(format!("a column of utf8 is not: {error}")))?.into())
            }
            Buffer::Vectors(_) => return Err(Error::new("a column of vectors was not agreed")),
        })
    }

    /// Appends the bytes that `AnyBuilder` takes.
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Bool(value) => value.encode(bytes),
            Self::Int64(value) | Self::Timestamp(value) => value.encode(bytes),
            Self::Float64(value) => value.encode(bytes),
            Self::Text(text) => bytes.extend_from_slice(text.as_bytes()),
            Self::Binary(value) => bytes.extend_from_slice(value),
        }
    }

    /// The value as another type, if it can be.
    pub(crate) fn convert(&self, to: DataType, rounding: Rounding) -> Option<Scalar<'_>> {
        match to {
            DataType::Bool => self.to_bool().map(Scalar::Bool),
            DataType::Int64 => self.to_integer(rounding).map(Scalar::Int64),
            DataType::Float64 => self.to_float().map(Scalar::Float64),
            DataType::Utf8 => self.to_text().map(Scalar::Text),
            DataType::Timestamp => self.to_timestamp().map(Scalar::Timestamp),
            DataType::Binary => match self {
                Self::Binary(value) => Some(Scalar::Binary(value)),
                Self::Text(text) => Some(Scalar::Binary(text.as_bytes())),
                _ => None,
            },
            DataType::Vector(_) => None,
        }
    }

    fn to_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Int64(value) => Some(*value != 0),
            Self::Float64(value) => (!value.is_nan()).then_some(*value != 0.0),
            Self::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "t" | "1" => Some(true),
                "false" | "f" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    fn to_integer(&self, rounding: Rounding) -> Option<i64> {
        match self {
            Self::Bool(value) => Some((*value).into()),
            Self::Int64(value) | Self::Timestamp(value) => Some(*value),
            Self::Float64(value) => round(*value, rounding),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Binary(_) => None,
        }
    }

    fn to_float(&self) -> Option<f64> {
        match self {
            Self::Bool(value) => Some(u8::from(*value).into()),
            Self::Int64(value) => Some(*value as f64),
            Self::Float64(value) => Some(*value),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    fn to_text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Bool(value) => value.to_string().into(),
            Self::Int64(value) => value.to_string().into(),
            Self::Float64(value) => format!("{value:?}").into(),
            Self::Text(text) => Cow::Borrowed(text.as_ref()),
            Self::Binary(bytes) => std::str::from_utf8(bytes).ok()?.into(),
            Self::Timestamp(micros) => time::format(*micros).into(),
        })
    }

    fn to_timestamp(&self) -> Option<i64> {
        match self {
            Self::Int64(value) | Self::Timestamp(value) => Some(*value),
            Self::Text(text) => time::parse(text.trim()),
            _ => None,
        }
    }
}

/// The integer nearby, unless it is outside of int64.
fn round(value: f64, rounding: Rounding) -> Option<i64> {
    /// 2^63, the first double that is too large.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let rounded = match rounding {
        Rounding::TowardZero => value.trunc(),
        Rounding::Nearest => value.round_ties_even(),
        Rounding::Floor => value.floor(),
        Rounding::Ceil => value.ceil(),
    };
    (-LIMIT..LIMIT).contains(&rounded).then_some(rounded as i64)
}
