//! Rows, column by column, as they cross the boundary.

use std::ops::Range;

use crate::{DataType, Error};

/// Strings of bytes laid end to end, as in Arrow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blobs {
    /// One more offset than there are strings, from 0 to the length of `bytes`, never falling.
    pub offsets: Vec<u32>,
    /// The strings, concatenated.
    pub bytes: Vec<u8>,
}

impl Default for Blobs {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl Blobs {
    /// No strings yet, with room for the offsets of `count`.
    pub fn with_capacity(count: usize) -> Self {
        let mut offsets = Vec::with_capacity(count + 1);
        offsets.push(0);
        Self { offsets, bytes: Vec::new() }
    }

    /// Appends a string.
    pub fn push(&mut self, bytes: &[u8]) {
        match bytes.len() {
            0 => {}
            1 => self.bytes.push(bytes[0]),
            2..4 => append_words::<2>(&mut self.bytes, bytes),
            4..8 => append_words::<4>(&mut self.bytes, bytes),
            8..=16 => append_words::<8>(&mut self.bytes, bytes),
            _ => self.bytes.extend_from_slice(bytes),
        }
        self.end();
    }

    /// Ends the string whose bytes were just appended to `bytes`.
    pub(crate) fn end(&mut self) {
        let end = u32::try_from(self.bytes.len()).expect("a guest's memory is below 4 GiB");
        self.offsets.push(end);
    }

    /// How many strings there are.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The strings in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.offsets.array_windows().map(|[start, end]| &self.bytes[*start as usize..*end as usize])
    }

    /// String `index`. Panics, which is a trap in a component, when there is none.
    pub fn get(&self, index: usize) -> &[u8] {
        &self.bytes[self.offsets[index] as usize..self.offsets[index + 1] as usize]
    }
}

/// Appends a short string, of one to two words, as its first word and its last one, which may overlap. Copying memory is a
/// call out of WebAssembly, which takes longer.
#[inline]
fn append_words<const BYTES: usize>(all: &mut Vec<u8>, bytes: &[u8]) {
    let words = bytes.first_chunk::<BYTES>().zip(bytes.last_chunk::<BYTES>());
    let (first, last) = words.expect("the string has a word");
    let end = all.len() + bytes.len();
    all.extend_from_slice(first);
    all.truncate(end - BYTES);
    all.extend_from_slice(last);
}

/// Vectors of one width laid end to end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vectors {
    /// How many values a row has.
    pub width: u32,
    /// `width` values a row.
    pub values: Vec<f32>,
}

/// The values of one column, one a row. A null row holds 0, false or an empty string.
#[derive(Debug, Clone, PartialEq)]
pub enum Buffer {
    /// One byte a row, 0 or 1.
    Bools(Vec<u8>),
    /// Signed 64-bit integers.
    Int64s(Vec<i64>),
    /// Doubles.
    Float64s(Vec<f64>),
    /// Microseconds since the Unix epoch.
    Timestamps(Vec<i64>),
    /// Text; every string is valid UTF-8 by itself.
    Utf8(Blobs),
    /// Bytes.
    Binary(Blobs),
    /// Embeddings.
    Vectors(Vectors),
}

impl Buffer {
    /// The type of the values.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Bools(_) => DataType::Bool,
            Self::Int64s(_) => DataType::Int64,
            Self::Float64s(_) => DataType::Float64,
            Self::Timestamps(_) => DataType::Timestamp,
            Self::Utf8(_) => DataType::Utf8,
            Self::Binary(_) => DataType::Binary,
            Self::Vectors(vectors) => DataType::Vector(vectors.width),
        }
    }
}

/// One column of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The values.
    pub buffer: Buffer,
    /// One byte a row, 1 where the row has a value and 0 where it is null; absent when no row is null.
    pub validity: Option<Vec<u8>>,
}

impl Column {
    /// Whether the row holds null.
    pub fn is_null(&self, row: usize) -> bool {
        self.validity.as_ref().is_some_and(|v| v[row] == 0)
    }
}

/// Rows, column by column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// The number of rows, which every column has.
    pub rows: usize,
    /// One column a field of the schema, in its order.
    pub columns: Vec<Column>,
}

impl Batch {
    /// Column `index`, or an error when the batch is narrower than its schema.
    pub fn column(&self, index: usize) -> Result<&Column, Error> {
        self.columns
            .get(index)
            .ok_or_else(|| Error::new(format!("column {index} is missing from a batch of {}", self.columns.len())))
    }
}

/// Rows of a chunk; see [`in_chunks`].
pub(crate) const CHUNK: usize = 8;

/// Goes through rows, eight at a time as long as there are: `cut` cuts what is read to the rows of a chunk, and `each` gets that
/// and the number of each row, in the chunk and of all.
///
/// This is for inner loops. The loop over eight rows is unrolled when it does little for each, so that nothing stands between
/// them (a component compares its fuel with its budget at the head of every loop), and no index into what was cut has to be
/// checked. Such a loop is best in a function of its own, `#[inline(never)]`, which leaves it all registers.
///
/// ```
/// let (values, mut sum) = ([1.0; 20], 0.0);
/// oast_sdk::in_chunks(3..20, |rows| &values[rows], |values, row, _| sum += values[row]);
/// assert_eq!(sum, 17.0);
/// ```
#[inline(always)]
pub fn in_chunks<C>(rows: Range<usize>, cut: impl Fn(Range<usize>) -> C, mut each: impl FnMut(&C, usize, usize)) {
    let Range { start, end } = rows;
    let whole = end - end.saturating_sub(start) % CHUNK;
    for start in (start..whole).step_by(CHUNK) {
        let chunk = cut(start..start + CHUNK);
        for row in 0..CHUNK {
            each(&chunk, row, start + row);
        }
    }
    let rest = cut(whole..end);
    for row in 0..end - whole {
        each(&rest, row, whole + row);
    }
}

/// The error for a column that holds another type than the schema says, which only a broken host can cause.
pub(crate) fn mismatch(expected: DataType, found: &Buffer) -> Error {
    Error::new(format!("a column of {} arrived where {expected} was agreed", found.data_type()))
}
