use std::{borrow::Borrow, fmt, sync::Arc};

use crate::{Column, DataType, Timestamp, Value, Values};

/// The join key values of one entity, encoded so that the order of the bytes is the order of the values.
///
/// Every part is one value that is not null, ended so that no key is the beginning of another: numbers are big-endian with
/// their sign bit turned, text and bytes have each 0 byte written as `00 ff` and end in `00 01`. A composite key is its
/// parts one after the other.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityKey(Arc<[u8]>);

/// Values that make no entity key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntityKeyError {
    /// A part is null.
    #[error("join key `{0}` is null")]
    Null(String),
    /// A part is of a type that no key has.
    #[error("join key `{name}` is {data_type}, and only bool, int64, utf8, binary and timestamp can be keys")]
    Type {
        /// The name of the join key.
        name: String,
        /// Its type.
        data_type: DataType,
    },
    /// Stored bytes that are no key of these types.
    #[error("stored bytes are no entity key of types {types}")]
    Malformed {
        /// The types of the key's parts.
        types: String,
    },
}

impl EntityKey {
    /// Encodes the values of the join keys of these names, in order.
    pub fn encode<'n>(parts: impl IntoIterator<Item = (&'n str, Option<Value>)>) -> Result<Self, EntityKeyError> {
        let mut bytes = Vec::with_capacity(16);
        for (name, value) in parts {
            let value = value.ok_or_else(|| EntityKeyError::Null(name.to_owned()))?;
            encode_part(&mut bytes, name, Part::of_value(&value))?;
        }
        Ok(Self(bytes.into()))
    }

    /// Adds to `bytes` what [`Self::encode`] makes of the values in one row of the columns of these names.
    pub fn encode_row<'c>(
        bytes: &mut Vec<u8>,
        parts: impl IntoIterator<Item = (&'c str, &'c Column)>,
        row: usize,
    ) -> Result<(), EntityKeyError> {
        for (name, column) in parts {
            if !column.is_valid(row) {
                return Err(EntityKeyError::Null(name.to_owned()));
            }
            encode_part(bytes, name, Part::of_cell(column, row))?;
        }
        Ok(())
    }

    /// The encoded bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes bytes that [`Self::encode`] made, checking them against the types of the join keys.
    pub fn from_bytes(bytes: &[u8], types: &[DataType]) -> Result<Self, EntityKeyError> {
        let key = Self(bytes.into());
        key.decode(types)?;
        Ok(key)
    }

    /// The key that some bytes begin with, and the bytes after it.
    pub fn split<'b>(bytes: &'b [u8], types: &[DataType]) -> Result<(Self, &'b [u8]), EntityKeyError> {
        let mut rest = bytes;
        for data_type in types {
            let malformed = || EntityKeyError::Malformed { types: format!("{types:?}") };
            decode_part(&mut rest, *data_type).ok_or_else(malformed)?;
        }
        let (key, rest) = bytes.split_at(bytes.len() - rest.len());
        Ok((Self(key.into()), rest))
    }

    /// The values of the parts.
    pub fn decode(&self, types: &[DataType]) -> Result<Vec<Value>, EntityKeyError> {
        let malformed = || EntityKeyError::Malformed { types: format!("{types:?}") };
        let mut rest = &self.0[..];
        let values: Option<Vec<_>> = types.iter().map(|data_type| decode_part(&mut rest, *data_type)).collect();
        values.filter(|_| rest.is_empty()).ok_or_else(malformed)
    }
}

impl fmt::Debug for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntityKey({})", self.0.escape_ascii())
    }
}

/// A hash map from keys finds them by their bytes.
impl Borrow<[u8]> for EntityKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// One value of a key, wherever it lies.
enum Part<'a> {
    Bool(bool),
    Number(i64),
    Text(&'a [u8]),
    Unfit(DataType),
}

impl<'a> Part<'a> {
    fn of_value(value: &'a Value) -> Self {
        match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Int64(value) => Self::Number(*value),
            Value::Timestamp(time) => Self::Number(time.as_micros()),
            Value::Utf8(text) => Self::Text(text.as_bytes()),
            Value::Binary(binary) => Self::Text(binary),
            Value::Float64(_) | Value::Vector(_) => Self::Unfit(value.data_type()),
        }
    }

    fn of_cell(column: &'a Column, row: usize) -> Self {
        match &column.values {
            Values::Bool(values) => Self::Bool(values[row] != 0),
            Values::Int64(values) | Values::Timestamp(values) => Self::Number(values[row]),
            Values::Utf8(blobs) | Values::Binary(blobs) => Self::Text(blobs.get(row)),
            Values::Float64(_) | Values::Vector { .. } => Self::Unfit(column.data_type()),
        }
    }
}

fn encode_part(bytes: &mut Vec<u8>, name: &str, part: Part<'_>) -> Result<(), EntityKeyError> {
    match part {
        Part::Bool(value) => bytes.push(u8::from(value)),
        Part::Number(value) => bytes.extend_from_slice(&(value as u64 ^ 1 << 63).to_be_bytes()),
        Part::Text(text) => escape(bytes, text),
        Part::Unfit(data_type) => return Err(EntityKeyError::Type { name: name.to_owned(), data_type }),
    }
    Ok(())
}

fn escape(bytes: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        bytes.push(*byte);
        if *byte == 0 {
            bytes.push(0xff);
        }
    }
    bytes.extend_from_slice(&[0, 1]);
}

fn decode_part(rest: &mut &[u8], data_type: DataType) -> Option<Value> {
    match data_type {
        DataType::Bool => {
            let (byte, after) = rest.split_first()?;
            *rest = after;
            (*byte <= 1).then_some(Value::Bool(*byte == 1))
        }
        DataType::Int64 => decode_number(rest).map(Value::Int64),
        DataType::Timestamp => decode_number(rest).map(|micros| Value::Timestamp(Timestamp::from_micros(micros))),
        DataType::Utf8 => String::from_utf8(unescape(rest)?).ok().map(Value::Utf8),
        DataType::Binary => unescape(rest).map(Value::Binary),
        DataType::Float64 | DataType::Vector(_) => None,
    }
}

fn decode_number(rest: &mut &[u8]) -> Option<i64> {
    let (number, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some((u64::from_be_bytes(*number) ^ 1 << 63) as i64)
}

fn unescape(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    loop {
        match rest {
            [0, 0xff, after @ ..] => {
                text.push(0);
                *rest = after;
            }
            [0, 1, after @ ..] => {
                *rest = after;
                return Some(text);
            }
            [0, ..] | [] => return None,
            [byte, after @ ..] => {
                text.push(*byte);
                *rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(text: &str, number: i64) -> EntityKey {
        let parts = [("text", Some(Value::Utf8(text.to_owned()))), ("number", Some(Value::Int64(number)))];
        EntityKey::encode(parts).expect("text and numbers are keys")
    }

    const TYPES: [DataType; 2] = [DataType::Utf8, DataType::Int64];

    proptest! {
        #[test]
        fn order_of_bytes_is_order_of_values(a in "[\0\u{1}a-cé]{0,4}", b in "[\0\u{1}a-cé]{0,4}", m: i64, n: i64) {
            prop_assert_eq!(key(&a, m).cmp(&key(&b, n)), (a.as_bytes(), m).cmp(&(b.as_bytes(), n)));
        }

        #[test]
        fn a_key_survives_its_bytes(text: String, number: i64) {
            let encoded = key(&text, number);
            prop_assert_eq!(encoded.decode(&TYPES), Ok(vec![Value::Utf8(text), Value::Int64(number)]));
            prop_assert_eq!(EntityKey::from_bytes(encoded.as_bytes(), &TYPES), Ok(encoded));
        }

        #[test]
        fn a_row_is_encoded_as_its_values(
            rows in proptest::collection::vec(("[\0\u{1}a-cé]{0,4}", any::<i64>(), any::<bool>(), any::<Vec<u8>>()), 1..5),
        ) {
            let values = |(text, number, truth, bytes): (String, i64, bool, Vec<u8>)| {
                let time = Timestamp::from_micros(number.wrapping_mul(3));
                let values = [Value::Utf8(text), Value::Int64(number), Value::Bool(truth), Value::Binary(bytes)];
                values.into_iter().chain([Value::Timestamp(time)]).map(Some).collect::<Vec<_>>()
            };
            let rows: Vec<_> = rows.into_iter().map(values).collect();
            let column = |at: usize| {
                let first = rows[0][at].as_ref().expect("no value is null");
                let mut builder = crate::ColumnBuilder::new(first.data_type());
                rows.iter().for_each(|row| builder.push(row[at].as_ref()));
                builder.finish()
            };
            let columns: Vec<Column> = (0..5).map(column).collect();
            for (at, row) in rows.into_iter().enumerate() {
                let mut bytes = b"before".to_vec();
                let parts = ["a", "b", "c", "d", "e"].into_iter().zip(&columns);
                prop_assert_eq!(EntityKey::encode_row(&mut bytes, parts, at), Ok(()));
                let whole = EntityKey::encode(["a", "b", "c", "d", "e"].into_iter().zip(row));
                prop_assert_eq!(Ok(&bytes[6..]), whole.as_ref().map(EntityKey::as_bytes));
            }
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes: Vec<u8>) {
            if let Ok(key) = EntityKey::from_bytes(&bytes, &TYPES) {
                prop_assert_eq!(key.as_bytes(), &bytes[..]);
            }
        }
    }

    #[test]
    fn nulls_and_floats_are_no_keys() {
        assert_eq!(EntityKey::encode([("a", None)]), Err(EntityKeyError::Null("a".to_owned())));
        let float = EntityKeyError::Type { name: "a".to_owned(), data_type: DataType::Float64 };
        assert_eq!(EntityKey::encode([("a", Some(Value::Float64(1.0)))]), Err(float.clone()));
        let column = Column { values: Values::Float64(vec![1.0, 0.0]), validity: Some(vec![1, 0]) };
        let encode = |row| EntityKey::encode_row(&mut Vec::new(), [("a", &column)], row);
        assert_eq!(encode(0), Err(float));
        assert_eq!(encode(1), Err(EntityKeyError::Null("a".to_owned())));
    }
}
