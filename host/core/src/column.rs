use crate::{
    Blobs, ColumnBuilder, DataType, Field, Schema, Timestamp, Value,
    value::{canonical_f32, canonical_f64},
};

/// What is wrong with a column's buffers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// The buffer is of another type than the field.
    #[error("column `{column}` holds {found} where the schema says {expected}")]
    Type {
        /// The column's name.
        column: String,
        /// The schema's type.
        expected: DataType,
        /// The buffer's type.
        found: DataType,
    },
    /// A buffer is too long or too short.
    #[error("column `{column}` has {found} values for {expected} rows")]
    Length {
        /// The column's name.
        column: String,
        /// The rows of the batch.
        expected: usize,
        /// The values found.
        found: usize,
    },
    /// A batch has another number of columns than its schema.
    #[error("{found} columns came where the schema has {expected}")]
    Columns {
        /// The columns of the schema.
        expected: usize,
        /// The columns found.
        found: usize,
    },
    /// A column that is not nullable has a null.
    #[error("column `{column}` is null in row {row} but not nullable")]
    Null {
        /// The column's name.
        column: String,
        /// The first row that is null.
        row: usize,
    },
    /// A byte that is neither 0 nor 1 in a validity or boolean buffer.
    #[error("column `{column}` has the byte {byte} in row {row} where only 0 and 1 have a meaning")]
    NotABool {
        /// The column's name.
        column: String,
        /// The row.
        row: usize,
        /// The byte found.
        byte: u8,
    },
    /// Offsets that are not `rows + 1` rising numbers from 0 to the number of bytes.
    #[error("column `{column}` has offsets that do not rise from 0 to the length of its bytes")]
    Offsets {
        /// The column's name.
        column: String,
    },
    /// A string that is not UTF-8 by itself.
    #[error("column `{column}` is not UTF-8 in row {row}")]
    Utf8 {
        /// The column's name.
        column: String,
        /// The first row that is not UTF-8.
        row: usize,
    },
}

/// The values of one column, one a row; a null row holds 0, false or an empty string.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// One byte a row, 0 or 1.
    Bool(Vec<u8>),
    /// Of type `int64`.
    Int64(Vec<i64>),
    /// Of type `float64`.
    Float64(Vec<f64>),
    /// Microseconds since the Unix epoch.
    Timestamp(Vec<i64>),
    /// Every string valid UTF-8.
    Utf8(Blobs),
    /// Of type `binary`.
    Binary(Blobs),
    /// `width` singles a row.
    Vector {
        /// Values a row.
        width: u32,
        /// The rows, one after the other.
        values: Vec<f32>,
    },
}

/// One column of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The values.
    pub values: Values,
    /// One byte a row, 1 where there is a value; absent when no row is null.
    pub validity: Option<Vec<u8>>,
}

impl Column {
    /// A column in which every row is null.
    pub fn nulls(data_type: DataType, rows: usize) -> Self {
        let mut builder = ColumnBuilder::new(data_type);
        (0..rows).for_each(|_| builder.push_null());
        builder.finish()
    }

    /// The type of the values.
    pub fn data_type(&self) -> DataType {
        match &self.values {
            Values::Bool(_) => DataType::Bool,
            Values::Int64(_) => DataType::Int64,
            Values::Float64(_) => DataType::Float64,
            Values::Timestamp(_) => DataType::Timestamp,
            Values::Utf8(_) => DataType::Utf8,
            Values::Binary(_) => DataType::Binary,
            Values::Vector { width, .. } => DataType::Vector(*width),
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        match &self.values {
            Values::Bool(values) => values.len(),
            Values::Int64(values) | Values::Timestamp(values) => values.len(),
            Values::Float64(values) => values.len(),
            Values::Utf8(blobs) | Values::Binary(blobs) => blobs.len(),
            Values::Vector { width, values } => values.len() / (*width).max(1) as usize,
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the row has a value.
    pub fn is_valid(&self, row: usize) -> bool {
        self.validity.as_ref().is_none_or(|validity| validity[row] != 0)
    }

    /// How many rows are null.
    pub fn null_count(&self) -> usize {
        self.validity.as_ref().map_or(0, |validity| validity.iter().filter(|byte| **byte == 0).count())
    }

    /// The value of a row, or nothing where it is null.
    pub fn get(&self, row: usize) -> Option<Value> {
        if !self.is_valid(row) {
            return None;
        }
        Some(match &self.values {
            Values::Bool(values) => Value::Bool(values[row] != 0),
            Values::Int64(values) => Value::Int64(values[row]),
            Values::Float64(values) => Value::Float64(values[row]),
            Values::Timestamp(values) => Value::Timestamp(Timestamp::from_micros(values[row])),
            Values::Utf8(blobs) => Value::Utf8(String::from_utf8_lossy(blobs.get(row)).into_owned()),
            Values::Binary(blobs) => Value::Binary(blobs.get(row).to_vec()),
            Values::Vector { width, values } => Value::Vector(vector_row(*width, values, row).to_vec()),
        })
    }

    /// The rows of these numbers, in this order; a number may stand more than once. Without a null among them there is no
    /// validity, so that a column does not show what it was cut from.
    pub fn take(&self, rows: &[u32]) -> Self {
        fn pick<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|row| values[*row as usize]).collect()
        }
        let pick_blobs = |blobs: &Blobs| rows.iter().map(|row| blobs.get(*row as usize)).collect();
        let values = match &self.values {
            Values::Bool(values) => Values::Bool(pick(values, rows)),
            Values::Int64(values) => Values::Int64(pick(values, rows)),
            Values::Float64(values) => Values::Float64(pick(values, rows)),
            Values::Timestamp(values) => Values::Timestamp(pick(values, rows)),
            Values::Utf8(blobs) => Values::Utf8(pick_blobs(blobs)),
            Values::Binary(blobs) => Values::Binary(pick_blobs(blobs)),
            Values::Vector { width, values } => Values::Vector {
                width: *width,
                values: rows.iter().flat_map(|row| vector_row(*width, values, *row as usize)).copied().collect(),
            },
        };
        let validity = self.validity.as_ref().map(|validity| pick(validity, rows)).filter(|bytes| bytes.contains(&0));
        Self { values, validity }
    }

    /// The rows of these numbers, in this order, and null where there is no number.
    pub fn take_or_null(&self, rows: &[Option<u32>]) -> Self {
        if rows.iter().all(Option::is_none) {
            return Self::nulls(self.data_type(), rows.len());
        }
        // Where there is no number, any row that exists stands in until it is cleared.
        let stand_in = rows.iter().flatten().next().copied().unwrap_or_default();
        let numbers: Vec<u32> = rows.iter().map(|row| row.unwrap_or(stand_in)).collect();
        let mut taken = self.take(&numbers);
        let mut validity = taken.validity.unwrap_or_else(|| vec![1; rows.len()]);
        validity.iter_mut().zip(rows).for_each(|(valid, row)| *valid &= u8::from(row.is_some()));
        taken.validity = Some(validity).filter(|bytes| bytes.contains(&0));
        taken.clear_nulls();
        taken
    }

    /// The rows from `start` up to `end`, with a validity under the same rule.
    pub fn slice(&self, start: usize, end: usize) -> Self {
        let values = match &self.values {
            Values::Bool(values) => Values::Bool(values[start..end].to_vec()),
            Values::Int64(values) => Values::Int64(values[start..end].to_vec()),
            Values::Float64(values) => Values::Float64(values[start..end].to_vec()),
            Values::Timestamp(values) => Values::Timestamp(values[start..end].to_vec()),
            Values::Utf8(blobs) => Values::Utf8(blobs.slice(start, end)),
            Values::Binary(blobs) => Values::Binary(blobs.slice(start, end)),
            Values::Vector { width, values } => {
                let width_rows = |rows: usize| rows * *width as usize;
                Values::Vector { width: *width, values: values[width_rows(start)..width_rows(end)].to_vec() }
            }
        };
        let validity = self.validity.as_ref().map(|validity| validity[start..end].to_vec());
        Self { values, validity: validity.filter(|bytes| bytes.contains(&0)) }
    }

    /// Adds the rows of a column of the same type.
    ///
    /// # Panics
    ///
    /// When the types differ.
    pub fn append(&mut self, other: &Self) {
        if self.validity.is_some() || other.validity.is_some() {
            let (mine, theirs) = (self.len(), other.len());
            let validity = self.validity.get_or_insert_with(|| vec![1; mine]);
            match &other.validity {
                Some(other) => validity.extend_from_slice(other),
                None => validity.resize(mine + theirs, 1),
            }
        }
        match (&mut self.values, &other.values) {
            (Values::Bool(mine), Values::Bool(theirs)) => mine.extend_from_slice(theirs),
            (Values::Int64(mine), Values::Int64(theirs)) | (Values::Timestamp(mine), Values::Timestamp(theirs)) => {
                mine.extend_from_slice(theirs);
            }
            (Values::Float64(mine), Values::Float64(theirs)) => mine.extend_from_slice(theirs),
            (Values::Utf8(mine), Values::Utf8(theirs)) | (Values::Binary(mine), Values::Binary(theirs)) => {
                mine.append(theirs);
            }
            (Values::Vector { width, values: mine }, Values::Vector { width: other, values: theirs })
                if width == other =>
            {
                mine.extend_from_slice(theirs);
            }
            (mine, theirs) => panic!("columns of one type: {mine:?} and {theirs:?}"),
        }
    }

    /// Whether the row is the same bits in both columns, null equal to null.
    pub fn same_bits(&self, row: usize, other: &Self, other_row: usize) -> bool {
        match (self.get(row), other.get(other_row)) {
            (None, None) => true,
            (Some(mine), Some(theirs)) => mine.same_bits(&theirs),
            _ => false,
        }
    }

    /// Checks the column against its field and brings it into canonical form: 0, false or nothing under a null, one NaN, no
    /// validity when no row is null. Whatever a guest returned is safe to use after this.
    pub fn into_canonical(mut self, field: &Field, rows: usize) -> Result<Self, ColumnError> {
        self.check(field, rows)?;
        self.validity = self.validity.filter(|bytes| bytes.contains(&0));
        self.clear_nulls();
        match &mut self.values {
            // Most columns have no NaN, and looking for one is quicker than writing all values.
            Values::Float64(values) if values.iter().fold(false, |any, value| any | value.is_nan()) => {
                values.iter_mut().for_each(|value| *value = canonical_f64(*value));
            }
            Values::Vector { values, .. } => values.iter_mut().for_each(|value| *value = canonical_f32(*value)),
            _ => {}
        }
        Ok(self)
    }

    fn check(&self, field: &Field, rows: usize) -> Result<(), ColumnError> {
        let column = || field.name.clone();
        if self.data_type() != field.data_type {
            return Err(ColumnError::Type { column: column(), expected: field.data_type, found: self.data_type() });
        }
        if let Values::Utf8(blobs) | Values::Binary(blobs) = &self.values
            && !blobs.is_well_formed()
        {
            return Err(ColumnError::Offsets { column: column() });
        }
        let ragged = matches!(&self.values, Values::Vector { width, values } if values.len() != rows * *width as usize);
        if self.len() != rows || ragged {
            return Err(ColumnError::Length { column: column(), expected: rows, found: self.len() });
        }
        if let Some(validity) = &self.validity {
            if validity.len() != rows {
                return Err(ColumnError::Length { column: column(), expected: rows, found: validity.len() });
            }
            check_bools(validity, field)?;
            if !field.nullable
                && let Some(row) = validity.iter().position(|byte| *byte == 0)
            {
                return Err(ColumnError::Null { column: column(), row });
            }
        }
        match &self.values {
            Values::Bool(values) => check_bools(values, field),
            Values::Utf8(blobs) => check_utf8(blobs, field),
            _ => Ok(()),
        }
    }

    fn clear_nulls(&mut self) {
        let Some(validity) = &self.validity else { return };
        fn clear<T: Copy + Default>(values: &mut [T], validity: &[u8]) {
            let ((words, rest), (chunks, values)) = (validity.as_chunks(), values.as_chunks_mut());
            for (chunk, word) in chunks.iter_mut().zip(words) {
                clear_chunk(chunk, word);
            }
            let nulls = values.iter_mut().zip(rest).filter(|(_, valid)| **valid == 0);
            nulls.for_each(|(value, _)| *value = T::default());
        }
        // Most rows are no nulls, and eight of them are passed over at once.
        fn clear_chunk<T: Default>(chunk: &mut [T; 8], validity: &[u8; 8]) {
            const ONES: u64 = u64::from_le_bytes([1; 8]);
            let mut nulls = !u64::from_le_bytes(*validity) & ONES;
            while nulls != 0 {
                chunk[nulls.trailing_zeros() as usize / 8] = T::default();
                nulls &= nulls - 1;
            }
        }
        match &mut self.values {
            Values::Bool(values) => clear(values, validity),
            Values::Int64(values) | Values::Timestamp(values) => clear(values, validity),
            Values::Float64(values) => clear(values, validity),
            Values::Utf8(blobs) | Values::Binary(blobs) => {
                let dirty = (0..blobs.len()).any(|row| validity[row] == 0 && !blobs.get(row).is_empty());
                if dirty {
                    let kept = |row| if validity[row] == 0 { &[] } else { blobs.get(row) };
                    *blobs = (0..blobs.len()).map(kept).collect();
                }
            }
            Values::Vector { width, values } => {
                let width = (*width).max(1) as usize;
                let rows = values.chunks_exact_mut(width).zip(validity);
                rows.filter(|(_, valid)| **valid == 0).for_each(|(row, _)| row.fill(0.0));
            }
        }
    }
}

fn vector_row(width: u32, values: &[f32], row: usize) -> &[f32] {
    let width = width as usize;
    &values[row * width..(row + 1) * width]
}

fn check_bools(bytes: &[u8], field: &Field) -> Result<(), ColumnError> {
    // Without a way out of the loop it takes many bytes at a time.
    if bytes.iter().fold(0, |all, byte| all | byte) <= 1 {
        return Ok(());
    }
    match bytes.iter().position(|byte| *byte > 1) {
        None => Ok(()),
        Some(row) => Err(ColumnError::NotABool { column: field.name.clone(), row, byte: bytes[row] }),
    }
}

/// All bytes are checked at once, which is fast; then every string must begin and end between characters, as it does anywhere in
/// ASCII.
fn check_utf8(blobs: &Blobs, field: &Field) -> Result<(), ColumnError> {
    if blobs.bytes.is_ascii() {
        return Ok(());
    }
    let whole = std::str::from_utf8(&blobs.bytes);
    let sound = whole.is_ok_and(|text| blobs.offsets.iter().all(|offset| text.is_char_boundary(*offset as usize)));
    if sound {
        return Ok(());
    }
    let row = blobs.iter().position(|bytes| std::str::from_utf8(bytes).is_err());
    Err(ColumnError::Utf8 { column: field.name.clone(), row: row.expect("some string is not UTF-8") })
}

/// Rows, column by column, in the order of the schema they belong to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// The number of rows, which every column has.
    pub rows: usize,
    /// One column a field of the schema.
    pub columns: Vec<Column>,
}

impl Batch {
    /// A batch without rows.
    pub fn empty(schema: &Schema) -> Self {
        let columns = schema.fields().iter().map(|field| ColumnBuilder::new(field.data_type).finish()).collect();
        Self { rows: 0, columns }
    }

    /// The rows of these numbers, in this order.
    pub fn take(&self, rows: &[u32]) -> Self {
        Self { rows: rows.len(), columns: self.columns.iter().map(|column| column.take(rows)).collect() }
    }

    /// The rows from `start` up to `end`.
    pub fn slice(&self, start: usize, end: usize) -> Self {
        let columns = self.columns.iter().map(|column| column.slice(start, end));
        Self { rows: end - start, columns: columns.collect() }
    }

    /// Adds the rows of a batch of the same schema.
    pub fn append(&mut self, other: &Self) {
        self.rows += other.rows;
        self.columns.iter_mut().zip(&other.columns).for_each(|(mine, theirs)| mine.append(theirs));
    }

    /// Checks every column against the schema and brings it into canonical form; see [`Column::into_canonical`].
    pub fn into_canonical(self, schema: &Schema) -> Result<Self, ColumnError> {
        if self.columns.len() != schema.len() {
            return Err(ColumnError::Columns { expected: schema.len(), found: self.columns.len() });
        }
        let checked = self
            .columns
            .into_iter()
            .zip(schema.fields())
            .map(|(column, field)| column.into_canonical(field, self.rows));
        Ok(Self { rows: self.rows, columns: checked.collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(data_type: DataType, values: &[Option<Value>]) -> Column {
        let mut builder = ColumnBuilder::new(data_type);
        values.iter().for_each(|value| builder.push(value.as_ref()));
        builder.finish()
    }

    #[test]
    fn rows_are_taken_with_nulls_between_them() {
        let check = |data_type, values: [Option<Value>; 3]| {
            let whole = column(data_type, &values);
            for rows in
                [vec![], vec![None, None], vec![Some(2), None, Some(0)], vec![Some(1), Some(1)], vec![None, Some(1)]]
            {
                let expected: Vec<_> =
                    rows.iter().map(|row| row.and_then(|row: u32| values[row as usize].clone())).collect();
                assert_eq!(whole.take_or_null(&rows), column(data_type, &expected), "{data_type} {rows:?}");
            }
        };
        let text = |text: &str| Some(Value::Utf8(text.to_owned()));
        check(DataType::Utf8, [text("a"), None, text("bcd")]);
        check(DataType::Int64, [Some(Value::Int64(7)), Some(Value::Int64(-1)), None]);
        check(DataType::Bool, [Some(Value::Bool(true)), Some(Value::Bool(true)), Some(Value::Bool(false))]);
        let vector = |value: f32| Some(Value::Vector(vec![value, -0.0]));
        check(DataType::Vector(2), [vector(1.5), None, vector(3.0)]);
    }

    #[test]
    fn a_column_without_rows_gives_nulls() {
        assert_eq!(column(DataType::Float64, &[]).take_or_null(&[None]), column(DataType::Float64, &[None]));
    }
}
