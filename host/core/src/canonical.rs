//! The canonical encoding: the one way in which schemas and values become bytes that are hashed.
//!
//! | what | bytes |
//! |---|---|
//! | unsigned number | little-endian, of the width given |
//! | text, bytes | length as u64, then the bytes |
//! | list | length as u64, then the items |
//! | option | 0, or 1 and the item |
//! | type | one byte: bool 1, int64 2, float64 3, utf8 4, binary 5, timestamp 6, vector 7 and its width as u32 |
//! | field | name as text, type, one byte: 1 when nullable |
//! | schema | list of fields |
//! | value | one byte: 0 for null, or 1 and the value |
//! | bool | one byte, 0 or 1 |
//! | int64, timestamp | i64, little-endian |
//! | float64 | IEEE 754 bits as u64, little-endian, every NaN as 0x7ff8000000000000; 0 and -0 differ |
//! | utf8, binary | as text and bytes |
//! | vector | its IEEE 754 singles as u32, little-endian, every NaN as 0x7fc00000 |
//! | dataset | schema, then row by row the values of all columns, then the number of rows as u64 |

use crate::{
    Batch, Column, DataType, DatasetHash, Field, Schema, SpineHash, Value, Values, value::canonical_f32,
    value::canonical_f64,
};

/// Bytes in canonical encoding, in the making.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Canonical(Vec<u8>);

impl Canonical {
    /// No bytes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Eight bytes.
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.u64(value as u64)
    }

    /// A length and the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u64(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// A length and the text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// A length and the items.
    pub fn list<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.u64(items.len() as u64);
        items.iter().for_each(|each| item(self, each));
        self
    }

    /// 0, or 1 and the item.
    pub fn option<T>(&mut self, option: Option<T>, item: impl FnOnce(&mut Self, T)) -> &mut Self {
        match option {
            None => self.u8(0),
            Some(some) => {
                self.u8(1);
                item(self, some);
                self
            }
        }
    }

    /// A type.
    pub fn data_type(&mut self, data_type: DataType) -> &mut Self {
        match data_type {
            DataType::Bool => self.u8(1),
            DataType::Int64 => self.u8(2),
            DataType::Float64 => self.u8(3),
            DataType::Utf8 => self.u8(4),
            DataType::Binary => self.u8(5),
            DataType::Timestamp => self.u8(6),
            DataType::Vector(width) => self.u8(7).u32(width),
        }
    }

    /// A field.
    pub fn field(&mut self, field: &Field) -> &mut Self {
        self.text(&field.name).data_type(field.data_type).u8(u8::from(field.nullable))
    }

    /// A schema.
    pub fn schema(&mut self, schema: &Schema) -> &mut Self {
        self.list(schema.fields(), |canonical, field| {
            canonical.field(field);
        })
    }

    /// A value or null.
    pub fn value(&mut self, value: Option<&Value>) -> &mut Self {
        self.option(value, |canonical, value| {
            match value {
                Value::Bool(value) => canonical.u8(u8::from(*value)),
                Value::Int64(value) => canonical.i64(*value),
                Value::Float64(value) => canonical.float64(*value),
                Value::Utf8(text) => canonical.text(text),
                Value::Binary(bytes) => canonical.bytes(bytes),
                Value::Timestamp(time) => canonical.i64(time.as_micros()),
                Value::Vector(values) => canonical.singles(values),
            };
        })
    }

    /// The value or null in one row of a column, without making a [`Value`] of it.
    pub fn cell(&mut self, column: &Column, row: usize) -> &mut Self {
        if !column.is_valid(row) {
            return self.u8(0);
        }
        self.u8(1);
        match &column.values {
            Values::Bool(values) => self.u8(values[row]),
            Values::Int64(values) | Values::Timestamp(values) => self.i64(values[row]),
            Values::Float64(values) => self.float64(values[row]),
            Values::Utf8(blobs) | Values::Binary(blobs) => self.bytes(blobs.get(row)),
            Values::Vector { width, values } => {
                let width = *width as usize;
                self.singles(&values[row * width..(row + 1) * width])
            }
        }
    }

    fn float64(&mut self, value: f64) -> &mut Self {
        self.u64(canonical_f64(value).to_bits())
    }

    fn singles(&mut self, values: &[f32]) -> &mut Self {
        values.iter().for_each(|value| {
            self.u32(canonical_f32(*value).to_bits());
        });
        self
    }
}

/// Hashes a dataset, batch by batch, in spine order. How the rows are cut into batches does not matter.
#[derive(Debug, Clone)]
pub struct DatasetHasher {
    hasher: blake3::Hasher,
    rows: u64,
    buffer: Canonical,
}

impl DatasetHasher {
    /// A hasher of a dataset of this schema, which has seen no row.
    pub fn new(schema: &Schema) -> Self {
        Self::start(DatasetHash::hasher(), schema)
    }

    /// A hasher of a spine of this schema.
    pub fn for_spine(schema: &Schema) -> Self {
        Self::start(SpineHash::hasher(), schema)
    }

    fn start(mut hasher: blake3::Hasher, schema: &Schema) -> Self {
        hasher.update(Canonical::new().schema(schema).as_bytes());
        Self { hasher, rows: 0, buffer: Canonical::new() }
    }

    /// Takes in the rows of a batch.
    pub fn update(&mut self, batch: &Batch) {
        for row in 0..batch.rows {
            batch.columns.iter().for_each(|column| {
                self.buffer.cell(column, row);
            });
            if self.buffer.0.len() >= 1 << 16 {
                self.flush();
            }
        }
        self.flush();
        self.rows += batch.rows as u64;
    }

    fn flush(&mut self) {
        self.hasher.update(&self.buffer.0);
        self.buffer.0.clear();
    }

    /// The hash of the dataset.
    pub fn finish(mut self) -> DatasetHash {
        self.hasher.update(&self.rows.to_le_bytes());
        DatasetHash::finish(&self.hasher)
    }

    /// The hash of the spine.
    pub fn finish_spine(mut self) -> SpineHash {
        self.hasher.update(&self.rows.to_le_bytes());
        SpineHash::finish(&self.hasher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ColumnBuilder, Timestamp};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Golden vectors: these bytes are a format, and change only with a new version of every context string.
    #[test]
    fn golden_vectors() {
        let check = |canonical: &mut Canonical, expected: &str| {
            assert_eq!(hex(canonical.as_bytes()), expected.replace(' ', ""))
        };
        let one_column = Schema::new(vec![Field::nullable("né", DataType::Vector(2))]).expect("one column");
        check(Canonical::new().schema(&one_column), "0100000000000000 0300000000000000 6ec3a9 07 02000000 01");
        check(Canonical::new().value(None), "00");
        check(Canonical::new().value(Some(&Value::Bool(true))), "01 01");
        check(Canonical::new().value(Some(&Value::Int64(-2))), "01 feffffffffffffff");
        check(Canonical::new().value(Some(&Value::Float64(-0.0))), "01 0000000000000080");
        check(
            Canonical::new().value(Some(&Value::Float64(f64::from_bits(0xfff8_dead_0000_beef)))),
            "01 000000000000f87f",
        );
        check(Canonical::new().value(Some(&Value::Utf8("ab".into()))), "01 0200000000000000 6162");
        check(Canonical::new().value(Some(&Value::Binary(vec![]))), "01 0000000000000000");
        check(Canonical::new().value(Some(&Value::Timestamp(Timestamp::from_micros(1)))), "01 0100000000000000");
        check(Canonical::new().value(Some(&Value::Vector(vec![1.0, f32::NAN]))), "01 0000803f 0000c07f");
    }

    fn dataset() -> (Schema, Batch) {
        let schema = Schema::new(vec![Field::new("k", DataType::Utf8), Field::nullable("x", DataType::Float64)])
            .expect("two columns");
        let (mut k, mut x) = (ColumnBuilder::new(DataType::Utf8), ColumnBuilder::new(DataType::Float64));
        for (key, value) in [("a", Some(1.5)), ("b", None), ("", Some(f64::NAN)), ("ü", Some(-0.0))] {
            k.push(Some(&Value::Utf8(key.to_owned())));
            x.push(value.map(Value::Float64).as_ref());
        }
        (schema, Batch { rows: 4, columns: vec![k.finish(), x.finish()] })
    }

    #[test]
    fn a_dataset_hash_does_not_depend_on_how_it_is_cut() {
        let (schema, batch) = dataset();
        let mut whole = DatasetHasher::new(&schema);
        whole.update(&batch);
        let whole = whole.finish();
        for cut in 0..=4 {
            let mut parts = DatasetHasher::new(&schema);
            parts.update(&batch.slice(0, cut));
            parts.update(&batch.slice(cut, 4));
            assert_eq!(parts.finish(), whole);
        }
        assert_eq!(whole.to_string(), "65f219972bd825d9c37634841b78ccfa63593247de9b5df3584a3fe85f7878d5");
    }

    #[test]
    fn cells_encode_like_values() {
        let (_, batch) = dataset();
        for column in &batch.columns {
            for row in 0..batch.rows {
                let value = column.get(row);
                assert_eq!(Canonical::new().cell(column, row), Canonical::new().value(value.as_ref()));
            }
        }
    }
}
