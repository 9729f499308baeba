//! One condition on one column.

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

    /// Clears the mark of every value for which the condition does not hold. The operator is looked at once, and not in
    /// the loop over the values.
    fn mark(&self, values: &[T], keep: &mut [bool])
    where
        T: PartialOrd,
    {
        let [right] = self.values.as_slice() else {
            return mark(values, keep, |value| self.values.contains(value));
        };
        match self.op {
            Op::Equal | Op::In => mark(values, keep, |value| value == right),
            Op::NotEqual => mark(values, keep, |value| value != right),
            Op::Less => mark(values, keep, |value| value < right),
            Op::LessOrEqual => mark(values, keep, |value| value <= right),
            Op::Greater => mark(values, keep, |value| value > right),
            Op::GreaterOrEqual => mark(values, keep, |value| value >= right),
            Op::IsNull | Op::NotNull => unreachable!("tests for null compare nothing"),
        }
    }
}

impl Comparison<Vec<u8>> {
    fn mark_texts(&self, texts: &Blobs, keep: &mut [bool]) {
        let holds = |text: &[u8], right: &[u8]| match self.op {
            Op::Less => text < right,
            Op::LessOrEqual => text <= right,
            Op::Greater => text > right,
            _ => text >= right,
        };
        let mut found = vec![false; texts.len()];
        for right in &self.values {
            match self.op {
                Op::Equal | Op::NotEqual | Op::In => find(texts, right, &mut found),
                _ => each(texts, &mut found, |text| holds(text, right)),
            }
        }
        let wanted = self.op != Op::NotEqual;
        mark(&found, keep, |found| *found == wanted);
    }
}

/// Sets the mark of every text that is equal to `right`. How to compare follows from the length of `right`: comparing memory goes
/// byte by byte in WebAssembly.
fn find(texts: &Blobs, right: &[u8], found: &mut [bool]) {
    match right.len() {
        1 => each(texts, found, |text| same_ends::<1>(text, right)),
        2..4 => each(texts, found, |text| same_ends::<2>(text, right)),
        4..8 => each(texts, found, |text| same_ends::<4>(text, right)),
        8..=16 => each(texts, found, |text| same_ends::<8>(text, right)),
        _ => each(texts, found, |text| text == right),
    }
}

/// Sets the mark of every text for which the condition holds.
#[inline(never)]
fn each(texts: &Blobs, found: &mut [bool], holds: impl Fn(&[u8]) -> bool) {
    let mut texts = texts.iter();
    let mut set_next = |found: &mut bool| *found |= texts.next().is_some_and(&holds);
    let (chunks, rest) = found.as_chunks_mut::<8>();
    chunks.iter_mut().for_each(|chunk| chunk.iter_mut().for_each(&mut set_next));
    rest.iter_mut().for_each(set_next);
}

/// Whether two texts of one to two words are equal: their first words and their last ones, which may overlap, are.
#[inline]
fn same_ends<const BYTES: usize>(left: &[u8], right: &[u8]) -> bool {
    let ends = |text: &[u8]| Some((*text.first_chunk::<BYTES>()?, *text.last_chunk::<BYTES>()?));
    left.len() == right.len() && ends(left) == ends(right)
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
        if let Self::IsNull = self {
            match &column.validity {
                Some(validity) => mark(validity, keep, |valid| *valid == 0),
                None => keep.fill(false),
            }
            return Ok(());
        }
        // Nothing holds for null.
        if let Some(validity) = &column.validity {
            mark(validity, keep, |valid| *valid != 0);
        }
        match (self, &column.buffer) {
            (Self::NotNull, _) => {}
            (Self::Bool(test), Buffer::Bools(values)) => test.mark(values, keep),
            (Self::Integer(test), Buffer::Int64s(values) | Buffer::Timestamps(values)) => {
                test.mark(values, keep);
            }
            (Self::Float(test), Buffer::Float64s(values)) => test.mark(values, keep),
            (Self::Text(test), Buffer::Utf8(texts)) => test.mark_texts(texts, keep),
            (_, buffer) => {
                let found = buffer.data_type();
                return Err(Error::new(format!("a column of {found} was not agreed")));
            }
        }
        Ok(())
    }
}

/// Clears the marks of the values that the condition does not hold for.
#[inline(never)]
fn mark<V>(values: &[V], keep: &mut [bool], holds: impl Fn(&V) -> bool) {
    let ((values, last_values), (keep, last_marks)) = (values.as_chunks::<8>(), keep.as_chunks_mut::<8>());
    for (keep, values) in keep.iter_mut().zip(values) {
        for row in 0..8 {
            keep[row] &= holds(&values[row]);
        }
    }
    for (keep, value) in last_marks.iter_mut().zip(last_values) {
        *keep &= holds(value);
    }
}
