//! One condition on one column.

use std::borrow::Borrow;

use oast_sdk::{Blobs, Buffer, Column, DataType, Error, Field, Json, Param};

/// A condition for a column of a known type.
#[derive(Debug)]
pub(crate) enum Test {
    IsNull,
    NotNull,
    Bool(Comparison<u8>),
    Integer(Comparison<i64>),
    Float(Comparison<f64>),
    Text(Comparison<Vec<u8>>),
}

/// An operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    IsNull,
    NotNull,
    In,
}

impl Param for Op {
    const EXPECTED: &'static str = "one of ==, !=, <, <=, >, >=, is_null, not_null, in";
    const EXAMPLE: &'static str = "\">=\"";

    fn from_json(json: &Json) -> Option<Self> {
        Some(match json.as_str()? {
            "==" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            "is_null" => Self::IsNull,
            "not_null" => Self::NotNull,
            "in" => Self::In,
            _ => return None,
        })
    }
}

/// An operator and what stands on its right: one value, or several for `in`.
#[derive(Debug)]
pub(crate) struct Comparison<T> {
    op: Op,
    values: Vec<T>,
}

impl<T> Comparison<T> {
    fn new(
        field: &Field,
        op: Op,
        json: Option<&Json>,
        expected: &str,
        read: impl Fn(&Json) -> Option<T>,
    ) -> Result<Self, Error> {
        let values: Option<Vec<T>> = match (op, json) {
            (Op::In, Some(Json::Array(list))) => list.iter().map(read).collect(),
            (Op::In, _) | (_, None) => None,
            (_, Some(json)) => read(json).map(|value| vec![value]),
        };
        let list = if op == Op::In { "a list, each " } else { "" };
        let got = json.map_or_else(|| "nothing".to_owned(), |json| format!("`{json}`"));
        let values = values.ok_or_else(|| {
            Error::new(format!("parameter `value`: expected {list}{expected}, for the column {field}, got {got}"))
        })?;
        Ok(Self { op, values })
    }

    /// Whether the condition holds for a value, which is not null.
    #[inline]
    fn holds<V: PartialOrd + ?Sized>(&self, value: &V) -> bool
    where
        T: Borrow<V>,
    {
        let [right] = self.values.as_slice() else {
            return self.values.iter().any(|right| value == right.borrow());
        };
        let right = right.borrow();
        match self.op {
            Op::Equal | Op::In => value == right,
            Op::NotEqual => value != right,
            Op::Less => value < right,
            Op::LessOrEqual => value <= right,
            Op::Greater => value > right,
            Op::GreaterOrEqual => value >= right,
            Op::IsNull | Op::NotNull => unreachable!("tests for null compare nothing"),
        }
    }
}

impl Test {
    pub(crate) fn new(field: &Field, op: Op, value: Option<&Json>) -> Result<Self, Error> {
        if matches!(op, Op::IsNull | Op::NotNull) {
            return Self::of_null(op, value);
        }
        match field.data_type {
            DataType::Bool if !matches!(op, Op::Equal | Op::NotEqual | Op::In) => {
                Err(Error::new(format!("parameter `op`: expected `==`, `!=` or `in` for the column {field}")))
            }
            DataType::Bool => {
                let read = |json: &Json| json.as_bool().map(u8::from);
                Comparison::new(field, op, value, "true or false", read).map(Self::Bool)
            }
            DataType::Int64 => {
                let expected = "an integer, for example `0`";
                Comparison::new(field, op, value, expected, Json::as_i64).map(Self::Integer)
            }
            DataType::Timestamp => {
                let expected = "microseconds since the Unix epoch, for example `0`";
                Comparison::new(field, op, value, expected, Json::as_i64).map(Self::Integer)
            }
            DataType::Float64 => {
                let expected = "a number, for example `0.0`";
                Comparison::new(field, op, value, expected, Json::as_f64).map(Self::Float)
            }
            DataType::Utf8 => {
                let read = |json: &Json| json.as_str().map(|text| text.as_bytes().to_vec());
                let expected = "a text, for example `\"AA\"`";
                Comparison::new(field, op, value, expected, read).map(Self::Text)
            }
            DataType::Binary | DataType::Vector(_) => {
                Err(Error::new(format!("parameter `op`: expected `is_null` or `not_null` for the column {field}")))
            }
        }
    }

    fn of_null(op: Op, value: Option<&Json>) -> Result<Self, Error> {
        match (op, value) {
            (_, Some(value)) => Err(Error::new(format!(
                "parameter `value`: expected nothing beside `is_null` and `not_null`, got `{value}`"
            ))),
            (Op::IsNull, None) => Ok(Self::IsNull),
            (_, None) => Ok(Self::NotNull),
        }
    }

    /// Clears the mark of every row for which the condition does not hold.
    pub(crate) fn apply(&self, column: &Column, keep: &mut [bool]) -> Result<(), Error> {
        match (self, &column.buffer) {
            (Self::IsNull, _) => mark(keep, |row| column.is_null(row)),
            (Self::NotNull, _) => mark(keep, |row| !column.is_null(row)),
            (Self::Bool(test), Buffer::Bools(values)) => {
                mark(keep, |row| !column.is_null(row) && test.holds(&values[row]));
            }
            (Self::Integer(test), Buffer::Int64s(values) | Buffer::Timestamps(values)) => {
                mark(keep, |row| !column.is_null(row) && test.holds(&values[row]));
            }
            (Self::Float(test), Buffer::Float64s(values)) => {
                mark(keep, |row| !column.is_null(row) && test.holds(&values[row]));
            }
            (Self::Text(test), Buffer::Utf8(texts)) => test.mark_texts(column, texts, keep),
            (_, buffer) => {
                let found = buffer.data_type();
                return Err(Error::new(format!("a column of {found} was not agreed")));
            }
        }
        Ok(())
    }
}

impl Comparison<Vec<u8>> {
    fn mark_texts(&self, column: &Column, texts: &Blobs, keep: &mut [bool]) {
        mark(keep, |row| !column.is_null(row) && self.holds(texts.get(row)));
    }
}

fn mark(keep: &mut [bool], holds: impl Fn(usize) -> bool) {
    for (row, keep) in keep.iter_mut().enumerate() {
        *keep &= holds(row);
    }
}
