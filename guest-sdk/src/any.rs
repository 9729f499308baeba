//! Values of whatever type a column has, as bytes: for plugins that take any column.

use std::ops::Range;

use crate::batch::mismatch;
use crate::state::{corrupt, take};
use crate::{Blobs, Buffer, Column, DataType, Error, State, Vectors};

/// A column being read as bytes: integers, timestamps and floats little-endian, every NaN the canonical one, bools as a
/// byte, text as UTF-8. Equal values have equal bytes, but for the two zeros.
#[derive(Debug, Clone, Copy)]
pub struct AnyColumn<'a> {
    column: &'a Column,
}

impl<'a> AnyColumn<'a> {
    /// Starts to read a column of this type.
    pub fn new(column: &'a Column, data_type: DataType) -> Result<Self, Error> {
        if column.buffer.data_type() != data_type {
            return Err(mismatch(data_type, &column.buffer));
        }
        Ok(Self { column })
    }

    /// Whether the row holds null.
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        self.column.is_null(row)
    }

    /// Which of these rows hold a value, counted from 0.
    #[inline]
    pub fn validity(&self, rows: Range<usize>) -> Validity<'a> {
        Validity(self.column.validity.as_deref().map(|validity| &validity[rows]))
    }

    /// Calls a function with the bytes of the row's value, unless it is null.
    #[inline]
    pub fn value<R>(&self, row: usize, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        if self.is_null(row) {
            return None;
        }
        Some(match &self.column.buffer {
            Buffer::Bools(values) => read(&[values[row]]),
            Buffer::Int64s(values) | Buffer::Timestamps(values) => read(&values[row].to_le_bytes()),
            Buffer::Float64s(values) => read(&canonical(values[row]).to_le_bytes()),
            Buffer::Utf8(blobs) | Buffer::Binary(blobs) => read(blobs.get(row)),
            Buffer::Vectors(vectors) => {
                let width = vectors.width as usize;
                let mut bytes = Vec::with_capacity(width * size_of::<f32>());
                for value in &vectors.values[row * width..][..width] {
                    value.encode(&mut bytes);
                }
                read(&bytes)
            }
        })
    }
}

/// Which rows of a column hold a value; by default all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Validity<'a>(Option<&'a [u8]>);

impl Validity<'_> {
    /// Whether the row holds a value.
    #[inline]
    pub fn is_valid(&self, row: usize) -> bool {
        self.0.is_none_or(|validity| validity[row] != 0)
    }
}

fn canonical(value: f64) -> f64 {
    if value.is_nan() { f64::from_bits(0x7ff8_0000_0000_0000) } else { value }
}

/// A nullable column being written from the bytes that [`AnyColumn`] reads.
#[derive(Debug)]
pub struct AnyBuilder {
    buffer: Buffer,
    validity: Vec<u8>,
}

impl AnyBuilder {
    /// Starts a column of this type.
    pub fn new(data_type: DataType) -> Self {
        let buffer = match data_type {
            DataType::Bool => Buffer::Bools(Vec::new()),
            DataType::Int64 => Buffer::Int64s(Vec::new()),
            DataType::Float64 => Buffer::Float64s(Vec::new()),
            DataType::Timestamp => Buffer::Timestamps(Vec::new()),
            DataType::Utf8 => Buffer::Utf8(Blobs::default()),
            DataType::Binary => Buffer::Binary(Blobs::default()),
            DataType::Vector(width) => Buffer::Vectors(Vectors { width, values: Vec::new() }),
        };
        Self { buffer, validity: Vec::new() }
    }

    /// Appends a value, or null. Bytes that are no value of the type are an error.
    pub fn push(&mut self, value: Option<&[u8]>) -> Result<(), Error> {
        self.validity.push(u8::from(value.is_some()));
        match value {
            Some(bytes) => self.push_value(bytes),
            None => {
                self.push_nothing();
                Ok(())
            }
        }
    }

    fn push_value(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        let rest = &mut bytes;
        match &mut self.buffer {
            Buffer::Bools(values) => values.push(u8::from(bool::decode(rest)?)),
            Buffer::Int64s(values) | Buffer::Timestamps(values) => values.push(i64::decode(rest)?),
            Buffer::Float64s(values) => values.push(f64::decode(rest)?),
            Buffer::Utf8(blobs) => blobs.push(text(take(rest, rest.len())?)?),
            Buffer::Binary(blobs) => blobs.push(take(rest, rest.len())?),
            Buffer::Vectors(vectors) => {
                for _ in 0..vectors.width {
                    vectors.values.push(f32::decode(rest)?);
                }
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(corrupt("a value is too long")) }
    }

    fn push_nothing(&mut self) {
        match &mut self.buffer {
            Buffer::Bools(values) => values.push(0),
            Buffer::Int64s(values) | Buffer::Timestamps(values) => values.push(0),
            Buffer::Float64s(values) => values.push(0.0),
            Buffer::Utf8(blobs) | Buffer::Binary(blobs) => blobs.end(),
            Buffer::Vectors(vectors) => {
                let end = vectors.values.len() + vectors.width as usize;
                vectors.values.resize(end, 0.0);
            }
        }
    }

    /// Ends the column.
    pub fn finish(self) -> Column {
        let nulls = self.validity.contains(&0);
        Column { buffer: self.buffer, validity: nulls.then_some(self.validity) }
    }
}

fn text(bytes: &[u8]) -> Result<&[u8], Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.as_bytes()),
        Err(_) => Err(corrupt("a text is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::{AnyBuilder, AnyColumn};
    use crate::testing::{batch, json, rows, schema};
    use crate::{Batch, DataType};

    fn check(data_type: &str, values: serde_json::Value) {
        let fields = schema(&format!("x: {data_type}?"));
        let input = batch(&fields, &values);
        let column = AnyColumn::new(&input.columns[0], fields[0].data_type).expect("the types agree");
        let mut builder = AnyBuilder::new(fields[0].data_type);
        for row in 0..input.rows {
            let value = column.value(row, <[u8]>::to_vec);
            builder.push(value.as_deref()).expect("the bytes are a value");
        }
        let output = Batch { rows: input.rows, columns: vec![builder.finish()] };
        assert_eq!(json!(rows(&fields, &output)).to_string(), values.to_string(), "{data_type}");
    }

    #[test]
    fn every_type_goes_through_bytes() {
        check("bool", json!([[true], [null], [false]]));
        check("int64", json!([[-1], [null], [9_007_199_254_740_993_i64]]));
        check("float64", json!([[-0.0], [null], ["NaN"], [1.5]]));
        check("timestamp", json!([[-1], [null], [1]]));
        check("utf8", json!([["é"], [null], [""]]));
        check("binary", json!([["00ff"], [null], [""]]));
        check("vector[2]", json!([[[1.0, -0.0]], [null]]));
    }

    #[test]
    fn bytes_that_are_no_value_are_errors() {
        let check = |data_type, bytes: &[u8], expect: &str| {
            let error = AnyBuilder::new(data_type).push(Some(bytes)).expect_err(expect);
            assert_eq!(error.to_string(), format!("the state is corrupt: {expect}"));
        };
        check(DataType::Int64, &[0; 9], "a value is too long");
        check(DataType::Float64, &[0; 7], "it ends too soon");
        check(DataType::Vector(2), &[0; 4], "it ends too soon");
        check(DataType::Bool, &[2], "a bool is neither 0 nor 1");
        check(DataType::Utf8, &[0xff], "a text is not UTF-8");
    }
}
