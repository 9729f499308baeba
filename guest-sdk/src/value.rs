//! The types that a field of a row may have.

use std::ops::Range;

use crate::batch::mismatch;
use crate::{Blobs, Buffer, Column, DataType, Error, Timestamp, Vectors};

/// A type that a field of a row may have: how it is read from a column and written to one.
///
/// Readers and writers work on the column's buffer as it is, so that a loop over rows costs what it would cost over a
/// slice. `Option` makes a column nullable.
#[diagnostic::on_unimplemented(
    message = "a column cannot hold `{Self}`",
    note = "use bool, i64, f64, String, &str, Vec<u8>, &[u8], Timestamp, [f32; N], or an Option of one of these"
)]
pub trait Value<'a>: Sized {
    /// The type of the column.
    const DATA_TYPE: DataType;
    /// Whether the column may hold null.
    const NULLABLE: bool = false;
    /// A column being read.
    type Reader;
    /// A column being written.
    type Writer: 'static;
    /// Some rows of a column being written.
    type Slots<'w>;

    /// Starts to read a column.
    fn reader(column: &'a Column) -> Result<Self::Reader, Error>;
    /// A reader of these rows alone, which counts them from 0. A loop over all its rows needs no check of bounds: what is read
    /// is known to be as long as the loop.
    fn part(reader: &Self::Reader, rows: Range<usize>) -> Self::Reader;
    /// Reads one row.
    fn read(reader: &Self::Reader, row: usize) -> Self;
    /// Starts a column of this many rows.
    fn writer(rows: usize) -> Self::Writer;
    /// These rows alone, counted from 0, as [`Value::part`] has them for readers.
    fn slots(writer: &mut Self::Writer, rows: Range<usize>) -> Self::Slots<'_>;
    /// Writes a row. Rows are written in order, each once.
    fn write(self, slots: &mut Self::Slots<'_>, row: usize);
    /// Writes a row without a value: 0, false or empty.
    fn write_nothing(slots: &mut Self::Slots<'_>, row: usize);
    /// Ends the column.
    fn finish(writer: Self::Writer) -> Column;
}

/// A column without nulls.
fn column(buffer: Buffer) -> Column {
    Column { buffer, validity: None }
}

macro_rules! plain {
    ($type:ty, $stored:ty, $data_type:ident, $buffer:ident, |$value:ident| $store:expr, |$read:ident| $load:expr) => {
        impl<'a> Value<'a> for $type {
            const DATA_TYPE: DataType = DataType::$data_type;
            type Reader = &'a [$stored];
            type Writer = Vec<$stored>;
            type Slots<'w> = &'w mut [$stored];

            fn reader(column: &'a Column) -> Result<Self::Reader, Error> {
                match &column.buffer {
                    Buffer::$buffer(values) => Ok(values),
                    other => Err(mismatch(DataType::$data_type, other)),
                }
            }

            #[inline]
            fn part(reader: &Self::Reader, rows: Range<usize>) -> Self::Reader {
                &reader[rows]
            }

            #[inline]
            fn read(reader: &Self::Reader, row: usize) -> Self {
                let $read = reader[row];
                $load
            }

            fn writer(rows: usize) -> Self::Writer {
                vec![<$stored>::default(); rows]
            }

            #[inline]
            fn slots(writer: &mut Self::Writer, rows: Range<usize>) -> Self::Slots<'_> {
                &mut writer[rows]
            }

            #[inline]
            fn write(self, slots: &mut Self::Slots<'_>, row: usize) {
                let $value = self;
                slots[row] = $store;
            }

            #[inline]
            fn write_nothing(_: &mut Self::Slots<'_>, _: usize) {}

            fn finish(writer: Self::Writer) -> Column {
                column(Buffer::$buffer(writer))
            }
        }
    };
}

plain!(bool, u8, Bool, Bools, |value| u8::from(value), |stored| stored != 0);
plain!(i64, i64, Int64, Int64s, |value| value, |stored| stored);
plain!(f64, f64, Float64, Float64s, |value| value, |stored| stored);
plain!(Timestamp, i64, Timestamp, Timestamps, |value| value.0, |stored| Timestamp(stored));

/// A column of text being read. It is checked to be UTF-8 once, as a whole.
#[doc(hidden)]
pub struct Texts<'a> {
    offsets: &'a [u32],
    text: &'a str,
}

impl<'a> Texts<'a> {
    pub(crate) fn new(column: &'a Column) -> Result<Self, Error> {
        let Buffer::Utf8(blobs) = &column.buffer else {
            return Err(mismatch(DataType::Utf8, &column.buffer));
        };
        let text = std::str::from_utf8(&blobs.bytes)
            .map_err(|error| Error::new(format!("a column of utf8 is not: {error}")))?;
        Ok(Self { offsets: &blobs.offsets, text })
    }

    fn part(&self, rows: Range<usize>) -> Self {
        Self { offsets: &self.offsets[rows.start..=rows.end], text: self.text }
    }

    #[inline]
    pub(crate) fn get(&self, row: usize) -> &'a str {
        &self.text[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }
}

/// A column of bytes being read.
#[doc(hidden)]
pub struct Bytes<'a> {
    offsets: &'a [u32],
    bytes: &'a [u8],
}

impl<'a> Bytes<'a> {
    fn new(column: &'a Column) -> Result<Self, Error> {
        match &column.buffer {
            Buffer::Binary(blobs) => Ok(Self { offsets: &blobs.offsets, bytes: &blobs.bytes }),
            other => Err(mismatch(DataType::Binary, other)),
        }
    }

    fn part(&self, rows: Range<usize>) -> Self {
        Self { offsets: &self.offsets[rows.start..=rows.end], bytes: self.bytes }
    }

    #[inline]
    fn get(&self, row: usize) -> &'a [u8] {
        &self.bytes[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }
}

macro_rules! bytes {
    ($type:ty, $data_type:ident, $reader:ty, $open:expr, $bytes:ident, |$read:ident| $load:expr) => {
        impl<'a> Value<'a> for $type {
            const DATA_TYPE: DataType = DataType::$data_type;
            type Reader = $reader;
            type Writer = Blobs;
            type Slots<'w> = &'w mut Blobs;

            fn reader(column: &'a Column) -> Result<Self::Reader, Error> {
                $open(column)
            }

            #[inline]
            fn part(reader: &Self::Reader, rows: Range<usize>) -> Self::Reader {
                reader.part(rows)
            }

            #[inline]
            fn read(reader: &Self::Reader, row: usize) -> Self {
                let $read = reader.get(row);
                $load
            }

            fn writer(rows: usize) -> Self::Writer {
                Blobs::with_capacity(rows)
            }

            #[inline]
            fn slots(writer: &mut Self::Writer, _: Range<usize>) -> Self::Slots<'_> {
                writer
            }

            #[inline]
            fn write(self, slots: &mut Self::Slots<'_>, _: usize) {
                slots.push(self.$bytes());
            }

            #[inline]
            fn write_nothing(slots: &mut Self::Slots<'_>, _: usize) {
                slots.end();
            }

            fn finish(writer: Self::Writer) -> Column {
                column(Buffer::$data_type(writer))
            }
        }
    };
}

bytes!(&'a str, Utf8, Texts<'a>, Texts::new, as_bytes, |text| text);
bytes!(String, Utf8, Texts<'a>, Texts::new, as_bytes, |text| text.to_owned());
bytes!(&'a [u8], Binary, Bytes<'a>, Bytes::new, as_ref, |bytes| bytes);
bytes!(Vec<u8>, Binary, Bytes<'a>, Bytes::new, as_slice, |bytes| bytes.to_vec());

impl<'a, const N: usize> Value<'a> for [f32; N] {
    const DATA_TYPE: DataType = DataType::Vector(N as u32);
    type Reader = &'a [f32];
    type Writer = Vec<f32>;
    type Slots<'w> = &'w mut [f32];

    fn reader(column: &'a Column) -> Result<Self::Reader, Error> {
        match &column.buffer {
            Buffer::Vectors(vectors) if vectors.width as usize == N => Ok(&vectors.values),
            other => Err(mismatch(Self::DATA_TYPE, other)),
        }
    }

    #[inline]
    fn part(reader: &Self::Reader, rows: Range<usize>) -> Self::Reader {
        &reader[rows.start * N..rows.end * N]
    }

    #[inline]
    fn read(reader: &Self::Reader, row: usize) -> Self {
        let mut vector = [0.0; N];
        vector.copy_from_slice(&reader[row * N..][..N]);
        vector
    }

    fn writer(rows: usize) -> Self::Writer {
        vec![0.0; rows * N]
    }

    #[inline]
    fn slots(writer: &mut Self::Writer, rows: Range<usize>) -> Self::Slots<'_> {
        &mut writer[rows.start * N..rows.end * N]
    }

    #[inline]
    fn write(self, slots: &mut Self::Slots<'_>, row: usize) {
        slots[row * N..][..N].copy_from_slice(&self);
    }

    #[inline]
    fn write_nothing(_: &mut Self::Slots<'_>, _: usize) {}

    fn finish(writer: Self::Writer) -> Column {
        column(Buffer::Vectors(Vectors { width: N as u32, values: writer }))
    }
}

/// A nullable column being written.
#[doc(hidden)]
pub struct Nullable<W> {
    values: W,
    validity: Vec<u8>,
}

impl<'a, T: Value<'a>> Value<'a> for Option<T> {
    const DATA_TYPE: DataType = {
        assert!(!T::NULLABLE, "a column cannot hold an Option of an Option");
        T::DATA_TYPE
    };
    const NULLABLE: bool = true;
    type Reader = (T::Reader, Option<&'a [u8]>);
    type Writer = Nullable<T::Writer>;
    type Slots<'w> = (T::Slots<'w>, &'w mut [u8]);

    fn reader(column: &'a Column) -> Result<Self::Reader, Error> {
        Ok((T::reader(column)?, column.validity.as_deref()))
    }

    #[inline]
    fn part((values, validity): &Self::Reader, rows: Range<usize>) -> Self::Reader {
        (T::part(values, rows.clone()), validity.map(|validity| &validity[rows]))
    }

    #[inline]
    fn read((values, validity): &Self::Reader, row: usize) -> Self {
        validity.is_none_or(|validity| validity[row] != 0).then(|| T::read(values, row))
    }

    fn writer(rows: usize) -> Self::Writer {
        Nullable { values: T::writer(rows), validity: vec![0; rows] }
    }

    #[inline]
    fn slots(Nullable { values, validity }: &mut Self::Writer, rows: Range<usize>) -> Self::Slots<'_> {
        (T::slots(values, rows.clone()), &mut validity[rows])
    }

    #[inline]
    fn write(self, slots: &mut Self::Slots<'_>, row: usize) {
        match self {
            Some(value) => {
                let (values, validity) = slots;
                value.write(values, row);
                validity[row] = 1;
            }
            None => Self::write_nothing(slots, row),
        }
    }

    #[inline]
    fn write_nothing((values, _): &mut Self::Slots<'_>, row: usize) {
        T::write_nothing(values, row);
    }

    fn finish(Nullable { values, validity }: Self::Writer) -> Column {
        Column { validity: validity.contains(&0).then_some(validity), ..T::finish(values) }
    }
}
