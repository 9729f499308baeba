use crate::{
    Blobs, Column, DataType, Value, Values,
    value::{canonical_f32, canonical_f64},
};

/// Builds a column row by row.
#[derive(Debug, Clone)]
pub struct ColumnBuilder {
    column: Column,
}

impl ColumnBuilder {
    /// A builder of an empty column.
    pub fn new(data_type: DataType) -> Self {
        let values = match data_type {
            DataType::Bool => Values::Bool(Vec::new()),
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            DataType::Timestamp => Values::Timestamp(Vec::new()),
            DataType::Utf8 => Values::Utf8(Blobs::default()),
            DataType::Binary => Values::Binary(Blobs::default()),
            DataType::Vector(width) => Values::Vector { width, values: Vec::new() },
        };
        Self { column: Column { values, validity: None } }
    }

    /// Adds a value, or a null.
    ///
    /// # Panics
    ///
    /// When the value is of another type than the column.
    pub fn push(&mut self, value: Option<&Value>) {
        let Some(value) = value else { return self.push_null() };
        match (&mut self.column.values, value) {
            (Values::Bool(values), Value::Bool(value)) => values.push(u8::from(*value)),
            (Values::Int64(values), Value::Int64(value)) => values.push(*value),
            (Values::Float64(values), Value::Float64(value)) => values.push(canonical_f64(*value)),
            (Values::Timestamp(values), Value::Timestamp(value)) => values.push(value.as_micros()),
            (Values::Utf8(blobs), Value::Utf8(text)) => blobs.push(text.as_bytes()),
            (Values::Binary(blobs), Value::Binary(bytes)) => blobs.push(bytes),
            (Values::Vector { width, values }, Value::Vector(row)) if *width as usize == row.len() => {
                values.extend(row.iter().map(|value| canonical_f32(*value)));
            }
            (values, value) => panic!("a value of the column's type: {value:?} into {values:?}"),
        }
        if let Some(validity) = &mut self.column.validity {
            validity.push(1);
        }
    }

    /// Adds a null.
    pub fn push_null(&mut self) {
        let rows = self.column.len();
        self.column.validity.get_or_insert_with(|| vec![1; rows]).push(0);
        match &mut self.column.values {
            Values::Bool(values) => values.push(0),
            Values::Int64(values) | Values::Timestamp(values) => values.push(0),
            Values::Float64(values) => values.push(0.0),
            Values::Utf8(blobs) | Values::Binary(blobs) => blobs.push(&[]),
            Values::Vector { width, values } => values.resize(values.len() + *width as usize, 0.0),
        }
    }

    /// The column.
    pub fn finish(self) -> Column {
        self.column
    }
}
