//! Batches as Arrow record batches, and back.
//!
//! | oast | Arrow, written | Arrow, read as well |
//! |---|---|---|
//! | bool | Boolean | |
//! | int64 | Int64 | other integers that fit |
//! | float64 | Float64 | Float16, Float32; integers that a double holds exactly |
//! | utf8 | Utf8 | LargeUtf8, Utf8View, Dictionary of them |
//! | binary | Binary | LargeBinary, BinaryView, FixedSizeBinary, text |
//! | timestamp | Timestamp(µs, UTC) | any unit and zone, Date32, Date64; without a zone they are UTC; nanoseconds are cut off |
//! | vector[N] | FixedSizeList(N) of Float32 | List and LargeList of Float32 with N values in every row |
//!
//! A column of type Null is read as any type. What is read is brought into canonical form, so a null that the schema does
//! not allow is an error.

use std::sync::Arc;

use ::arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, BooleanArray, FixedSizeListArray, Float32Array, Float64Array,
        GenericByteArray, Int64Array, RecordBatchOptions, StringArray, TimestampMicrosecondArray, new_null_array,
    },
    buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    compute::{CastOptions, cast_with_options},
    datatypes::{
        ByteArrayType, DataType as ArrowType, Date32Type, Date64Type, Field as ArrowField, Float32Type, Float64Type,
        Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
        TimestampSecondType,
    },
};
use oast_core::{Batch, Blobs, Column, DataType, Field, Schema, Values};

use crate::{Result, StoreError};

pub use ::arrow::{array::RecordBatch, datatypes::Schema as ArrowSchema};

/// The Arrow schema of a schema.
pub fn to_arrow_schema(schema: &Schema) -> ArrowSchema {
    let field = |field: &Field| ArrowField::new(&field.name, to_arrow_type(field.data_type), field.nullable);
    ArrowSchema::new(schema.fields().iter().map(field).collect::<Vec<_>>())
}

/// The schema in which a table of this Arrow schema is read.
pub fn from_arrow_schema(schema: &ArrowSchema) -> Result<Schema> {
    let field = |field: &Arc<ArrowField>| {
        let nullable = field.is_nullable() || field.data_type().is_null();
        let data_type = from_arrow_type(field.data_type()).ok_or_else(|| StoreError::ColumnType {
            column: field.name().clone(),
            expected: "any type of oast".to_owned(),
            found: field.data_type().to_string(),
        })?;
        Ok(Field { name: field.name().clone(), data_type, nullable })
    };
    Ok(Schema::new(schema.fields().iter().map(field).collect::<Result<_>>()?)?)
}

fn to_arrow_type(data_type: DataType) -> ArrowType {
    match data_type {
        DataType::Bool => ArrowType::Boolean,
        DataType::Int64 => ArrowType::Int64,
        DataType::Float64 => ArrowType::Float64,
        DataType::Utf8 => ArrowType::Utf8,
        DataType::Binary => ArrowType::Binary,
        DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Vector(width) => ArrowType::FixedSizeList(vector_item(), width as i32),
    }
}

fn vector_item() -> Arc<ArrowField> {
    Arc::new(ArrowField::new_list_field(ArrowType::Float32, true))
}

fn from_arrow_type(arrow: &ArrowType) -> Option<DataType> {
    Some(match arrow {
        ArrowType::Boolean => DataType::Bool,
        integer if integer.is_integer() => DataType::Int64,
        float if float.is_floating() => DataType::Float64,
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View | ArrowType::Null => DataType::Utf8,
        ArrowType::Binary | ArrowType::LargeBinary | ArrowType::BinaryView | ArrowType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        ArrowType::Timestamp(..) | ArrowType::Date32 | ArrowType::Date64 => DataType::Timestamp,
        ArrowType::Dictionary(_, values) => from_arrow_type(values)?,
        ArrowType::FixedSizeList(item, width) if *item.data_type() == ArrowType::Float32 && *width > 0 => {
            DataType::Vector(*width as u32)
        }
        _ => return None,
    })
}

/// The rows of a batch as a record batch. Numbers are copied in bulk.
///
/// Errors when the columns are not of the schema's types, differ in length, hold nulls where they may not, or a column has
/// more than 2 GiB of text.
pub fn to_record_batch(schema: &Schema, batch: &Batch) -> Result<RecordBatch> {
    let columns = schema.fields().iter().zip(&batch.columns).map(|(field, column)| to_array(field, column));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(to_arrow_schema(schema)), columns, &options)?)
}

fn to_array(field: &Field, column: &Column) -> Result<ArrayRef> {
    let nulls = column
        .validity
        .as_ref()
        .map(|validity| NullBuffer::new(BooleanBuffer::collect_bool(validity.len(), |row| validity[row] != 0)));
    Ok(match &column.values {
        Values::Bool(values) => {
            Arc::new(BooleanArray::new(BooleanBuffer::collect_bool(values.len(), |row| values[row] != 0), nulls))
        }
        Values::Int64(values) => Arc::new(Int64Array::try_new(values.clone().into(), nulls)?),
        Values::Float64(values) => Arc::new(Float64Array::try_new(values.clone().into(), nulls)?),
        Values::Timestamp(values) => {
            Arc::new(TimestampMicrosecondArray::try_new(values.clone().into(), nulls)?.with_timezone("UTC"))
        }
        Values::Utf8(blobs) => {
            Arc::new(StringArray::try_new(to_arrow_offsets(blobs)?, blobs.bytes.clone().into(), nulls)?)
        }
        Values::Binary(blobs) => {
            Arc::new(BinaryArray::try_new(to_arrow_offsets(blobs)?, blobs.bytes.clone().into(), nulls)?)
        }
        Values::Vector { width: 0, .. } => {
            return Err(StoreError::ColumnType {
                column: field.name.clone(),
                expected: "vector[N], N > 0".to_owned(),
                found: field.data_type.to_string(),
            });
        }
        Values::Vector { width, values } => {
            let items = Arc::new(Float32Array::new(values.clone().into(), None));
            Arc::new(FixedSizeListArray::try_new(vector_item(), *width as i32, items, nulls)?)
        }
    })
}

fn to_arrow_offsets(blobs: &Blobs) -> Result<OffsetBuffer<i32>> {
    if blobs.bytes.len() > i32::MAX as usize {
        let (bytes, limit) = (blobs.bytes.len() as u64, i32::MAX as u64);
        return Err(StoreError::TooLarge { what: "a column", bytes, limit });
    }
    Ok(OffsetBuffer::new(blobs.offsets.iter().map(|offset| *offset as i32).collect::<ScalarBuffer<i32>>()))
}

/// The columns of a record batch that a schema names, in the schema's order and types.
pub fn from_record_batch(record: &RecordBatch, schema: &Schema) -> Result<Batch> {
    let column = |field: &Field| {
        let array = record.column_by_name(&field.name).ok_or_else(|| missing(field, record))?;
        Ok(from_array(array, field)?.into_canonical(field, record.num_rows())?)
    };
    let columns = schema.fields().iter().map(column).collect::<Result<_>>()?;
    Ok(Batch { rows: record.num_rows(), columns })
}

fn missing(field: &Field, record: &RecordBatch) -> StoreError {
    missing_column(&field.name, record.schema().fields().iter().map(|field| field.name().as_str()))
}

/// The error for a column that is wanted but not there.
pub(crate) fn missing_column<'a>(column: &str, names: impl Iterator<Item = &'a str>) -> StoreError {
    let available = names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    StoreError::MissingColumn { column: column.to_owned(), available }
}

/// Checks that a column of an Arrow type can be read as a field, whatever its values.
pub(crate) fn check_readable(arrow: &ArrowType, field: &Field) -> Result<()> {
    from_array(&new_null_array(arrow, 0), field).map(|_| ())
}

fn from_array(array: &ArrayRef, field: &Field) -> Result<Column> {
    let wrong_type = || StoreError::ColumnType {
        column: field.name.clone(),
        expected: field.data_type.to_string(),
        found: array.data_type().to_string(),
    };
    if let ArrowType::Dictionary(_, values) = array.data_type() {
        return from_array(&cast(array, values)?, field);
    }
    if array.data_type().is_null() {
        return Ok(Column::nulls(field.data_type, array.len()));
    }
    let values = match field.data_type {
        DataType::Bool => array.as_boolean_opt().map(bools),
        DataType::Int64 => int64s(array)?,
        DataType::Float64 => float64s(array)?,
        DataType::Utf8 => utf8(array)?,
        DataType::Binary => binary(array)?,
        DataType::Timestamp => timestamps(array, field)?,
        DataType::Vector(width) => vectors(array, width)?,
    };
    Ok(Column { values: values.ok_or_else(wrong_type)?, validity: validity(array) })
}

fn cast(array: &ArrayRef, to: &ArrowType) -> Result<ArrayRef> {
    Ok(cast_with_options(array, to, &CastOptions { safe: false, ..CastOptions::default() })?)
}

fn validity(array: &ArrayRef) -> Option<Vec<u8>> {
    array.nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| nulls.iter().map(u8::from).collect())
}

fn bools(array: &BooleanArray) -> Values {
    Values::Bool(array.values().iter().map(u8::from).collect())
}

fn int64s(array: &ArrayRef) -> Result<Option<Values>> {
    if !array.data_type().is_integer() {
        return Ok(None);
    }
    let array = cast(array, &ArrowType::Int64)?;
    Ok(Some(Values::Int64(array.as_primitive::<Int64Type>().values().to_vec())))
}

fn float64s(array: &ArrayRef) -> Result<Option<Values>> {
    const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;
    if array.data_type().is_integer() {
        let Some(Values::Int64(values)) = int64s(array)? else { return Ok(None) };
        let exact = values.iter().all(|value| value.unsigned_abs() <= EXACT);
        return Ok(exact.then(|| Values::Float64(values.iter().map(|value| *value as f64).collect())));
    }
    if !array.data_type().is_floating() {
        return Ok(None);
    }
    let array = cast(array, &ArrowType::Float64)?;
    Ok(Some(Values::Float64(array.as_primitive::<Float64Type>().values().to_vec())))
}

fn utf8(array: &ArrayRef) -> Result<Option<Values>> {
    if !matches!(array.data_type(), ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View) {
        return Ok(None);
    }
    let array = cast(array, &ArrowType::Utf8)?;
    Ok(Some(Values::Utf8(blobs(array.as_string::<i32>()))))
}

fn binary(array: &ArrayRef) -> Result<Option<Values>> {
    let readable = matches!(from_arrow_type(array.data_type()), Some(DataType::Binary | DataType::Utf8));
    if !readable {
        return Ok(None);
    }
    let array = cast(array, &ArrowType::Binary)?;
    Ok(Some(Values::Binary(blobs(array.as_binary::<i32>()))))
}

fn blobs<T: ByteArrayType<Offset = i32>>(array: &GenericByteArray<T>) -> Blobs {
    let offsets = array.value_offsets();
    let (start, end) = (offsets[0], offsets[offsets.len() - 1]);
    Blobs {
        offsets: offsets.iter().map(|offset| (offset - start) as u32).collect(),
        bytes: array.value_data()[start as usize..end as usize].to_vec(),
    }
}

/// Microseconds of any unit of time. Nulls may hold anything, so only an overflow under a value is an error.
fn timestamps(array: &ArrayRef, field: &Field) -> Result<Option<Values>> {
    const DAY: i64 = 86_400_000_000;
    let scaled = |values: &[i64], factor: i64| {
        let scale = |(row, value): (usize, &i64)| match value.checked_mul(factor) {
            Some(micros) => Ok(micros),
            None if array.is_null(row) => Ok(0),
            None => Err(StoreError::BadValue {
                row: row as u64 + 1,
                column: field.name.clone(),
                expected: field.data_type.to_string(),
                found: value.to_string(),
            }),
        };
        values.iter().enumerate().map(scale).collect::<Result<Vec<_>>>()
    };
    let values = match array.data_type() {
        ArrowType::Timestamp(TimeUnit::Second, _) => {
            scaled(array.as_primitive::<TimestampSecondType>().values(), 1_000_000)?
        }
        ArrowType::Timestamp(TimeUnit::Millisecond, _) => {
            scaled(array.as_primitive::<TimestampMillisecondType>().values(), 1000)?
        }
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().values().to_vec()
        }
        ArrowType::Timestamp(TimeUnit::Nanosecond, _) => array
            .as_primitive::<TimestampNanosecondType>()
            .values()
            .iter()
            .map(|nanos| nanos.div_euclid(1000))
            .collect(),
        ArrowType::Date32 => {
            array.as_primitive::<Date32Type>().values().iter().map(|days| i64::from(*days) * DAY).collect()
        }
        ArrowType::Date64 => scaled(array.as_primitive::<Date64Type>().values(), 1000)?,
        _ => return Ok(None),
    };
    Ok(Some(Values::Timestamp(values)))
}

/// Rows that are null may hold nulls inside, which become zeros; a null inside a vector that is there is refused.
fn vectors(array: &ArrayRef, width: u32) -> Result<Option<Values>> {
    let item = match array.data_type() {
        ArrowType::FixedSizeList(item, found) if *found == width as i32 => item,
        ArrowType::List(item) | ArrowType::LargeList(item) => item,
        _ => return Ok(None),
    };
    if *item.data_type() != ArrowType::Float32 {
        return Ok(None);
    }
    let array = cast(array, &ArrowType::FixedSizeList(vector_item(), width as i32))?;
    let list = array.as_fixed_size_list();
    let items = list.values().as_primitive::<Float32Type>();
    let hole = |row: usize| list.is_valid(row) && items.slice(row * width as usize, width as usize).null_count() > 0;
    if items.null_count() > 0 && (0..list.len()).any(hole) {
        return Ok(None);
    }
    Ok(Some(Values::Vector { width, values: items.values().to_vec() }))
}

#[cfg(test)]
pub(crate) mod tests {

    use ::arrow::{
        array::{
            Date32Array, DictionaryArray, FixedSizeBinaryArray, Int8Array, Int16Array, LargeBinaryArray,
            LargeStringArray, ListArray, NullArray, StringViewArray, TimestampMillisecondArray,
            TimestampNanosecondArray, TimestampSecondArray, UInt32Array, UInt64Array,
        },
        datatypes::Int32Type,
    };
    use oast_core::{ColumnBuilder, ColumnError, Timestamp, Value};
    use proptest::prelude::*;

    use super::*;

    /// Every type, each once nullable.
    pub(crate) fn any_schema() -> impl Strategy<Value = Schema> {
        let data_type = prop_oneof![
            Just(DataType::Bool),
            Just(DataType::Int64),
            Just(DataType::Float64),
            Just(DataType::Utf8),
            Just(DataType::Binary),
            Just(DataType::Timestamp),
            (1_u32..4).prop_map(DataType::Vector),
        ];
        proptest::collection::vec((data_type, any::<bool>()), 1..6).prop_map(|fields| {
            let field =
                |(index, (data_type, nullable)): (usize, _)| Field {
                    name: format!("c{index} ü"), data_type, nullable
                };
            Schema::new(fields.into_iter().enumerate().map(field).collect()).unwrap()
        })
    }

    fn any_value(data_type: DataType) -> BoxedStrategy<Value> {
        match data_type {
            DataType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
            DataType::Int64 => any::<i64>().prop_map(Value::Int64).boxed(),
            DataType::Float64 => any::<f64>().prop_map(Value::Float64).boxed(),
            DataType::Utf8 => any::<String>().prop_map(Value::Utf8).boxed(),
            DataType::Binary => any::<Vec<u8>>().prop_map(Value::Binary).boxed(),
            DataType::Timestamp => {
                any::<i64>().prop_map(|micros| Value::Timestamp(Timestamp::from_micros(micros))).boxed()
            }
            DataType::Vector(width) => {
                proptest::collection::vec(any::<f32>(), width as usize).prop_map(Value::Vector).boxed()
            }
        }
    }

    fn any_column(field: &Field, rows: usize) -> BoxedStrategy<Column> {
        let (data_type, nullable) = (field.data_type, field.nullable);
        let value = any_value(data_type);
        let cell = prop_oneof![4 => value.clone().prop_map(Some), u32::from(nullable) => Just(None)];
        let build = move |cells: Vec<Option<Value>>| {
            let mut builder = ColumnBuilder::new(data_type);
            cells.iter().for_each(|cell| builder.push(cell.as_ref()));
            builder.finish()
        };
        proptest::collection::vec(cell, rows).prop_map(build).boxed()
    }

    /// A schema and some rows of it.
    pub(crate) fn any_table() -> impl Strategy<Value = (Schema, Batch)> {
        (any_schema(), 0_usize..20).prop_flat_map(|(schema, rows)| {
            let columns = schema.fields().iter().map(|field| any_column(field, rows)).collect::<Vec<_>>();
            (Just(schema), columns.prop_map(move |columns| Batch { rows, columns }))
        })
    }

    /// Bit for bit, where `==` would tell NaN from NaN.
    pub(crate) fn same_rows(a: &Batch, b: &Batch) -> bool {
        let same = |(a, b): (&Column, &Column)| {
            a.data_type() == b.data_type() && (0..a.len()).all(|row| a.same_bits(row, b, row))
        };
        a.rows == b.rows && a.columns.len() == b.columns.len() && a.columns.iter().zip(&b.columns).all(same)
    }

    proptest! {
        #[test]
        fn batches_survive_arrow((schema, batch) in any_table()) {
            let record = to_record_batch(&schema, &batch).unwrap();
            prop_assert_eq!(from_arrow_schema(&record.schema()).unwrap(), schema.clone());
            let back = from_record_batch(&record, &schema).unwrap();
            prop_assert!(same_rows(&back, &batch), "{back:?}");
            let (cut, rows) = (batch.rows / 3, batch.rows - batch.rows / 3);
            let part = from_record_batch(&record.slice(cut, rows), &schema).unwrap();
            prop_assert!(same_rows(&part, &batch.slice(cut, batch.rows)), "{part:?}");
        }
    }

    fn one_column(array: ArrayRef) -> RecordBatch {
        let field = ArrowField::new("x", array.data_type().clone(), true);
        RecordBatch::try_new(Arc::new(ArrowSchema::new(vec![field])), vec![array]).unwrap()
    }

    fn read(array: ArrayRef, wanted: &str) -> Result<Vec<Option<Value>>> {
        let schema = Schema::new(vec![Field::parse("x", wanted).unwrap()]).unwrap();
        let batch = from_record_batch(&one_column(array), &schema)?;
        Ok((0..batch.rows).map(|row| batch.columns[0].get(row)).collect())
    }

    #[test]
    fn foreign_types_are_read() {
        let check = |array: ArrayRef, wanted: &str, expected: &[Option<Value>]| {
            assert_eq!(read(Arc::clone(&array), wanted).unwrap(), expected, "{} as {wanted}", array.data_type());
            check_readable(array.data_type(), &Field::parse("x", wanted).unwrap()).unwrap();
        };
        let int = |value| Some(Value::Int64(value));
        let time = |micros| Some(Value::Timestamp(Timestamp::from_micros(micros)));
        let text = |text: &str| Some(Value::Utf8(text.to_owned()));
        check(Arc::new(Int8Array::from(vec![Some(-1), None])), "int64?", &[int(-1), None]);
        check(Arc::new(UInt32Array::from(vec![u32::MAX])), "int64", &[int(u32::MAX.into())]);
        check(Arc::new(UInt64Array::from(vec![7])), "int64", &[int(7)]);
        check(Arc::new(Int16Array::from(vec![733])), "float64", &[Some(Value::Float64(733.0))]);
        check(Arc::new(Float32Array::from(vec![0.1])), "float64", &[Some(Value::Float64(f64::from(0.1_f32)))]);
        check(Arc::new(LargeStringArray::from(vec!["ä", ""])), "utf8", &[text("ä"), text("")]);
        check(
            Arc::new(StringViewArray::from(vec![Some("a long enough string"), None])),
            "utf8?",
            &[text("a long enough string"), None],
        );
        let dictionary: DictionaryArray<Int32Type> = vec![Some("AA"), None, Some("AA")].into_iter().collect();
        check(Arc::new(dictionary), "utf8?", &[text("AA"), None, text("AA")]);
        check(Arc::new(TimestampSecondArray::from(vec![-2])), "timestamp", &[time(-2_000_000)]);
        check(
            Arc::new(TimestampMillisecondArray::from(vec![3]).with_timezone("Europe/Vienna")),
            "timestamp",
            &[time(3000)],
        );
        check(Arc::new(TimestampNanosecondArray::from(vec![-1, 1999])), "timestamp", &[time(-1), time(1)]);
        check(Arc::new(Date32Array::from(vec![1])), "timestamp", &[time(86_400_000_000)]);
        check(Arc::new(NullArray::new(2)), "float64?", &[None, None]);
        let bytes = || Some(Value::Binary(vec![1, 2]));
        check(Arc::new(LargeBinaryArray::from(vec![&[1, 2][..]])), "binary", &[bytes()]);
        check(Arc::new(FixedSizeBinaryArray::try_from_iter([[1_u8, 2]].into_iter()).unwrap()), "binary", &[bytes()]);
        let lists = ListArray::from_iter_primitive::<Float32Type, _, _>([Some([Some(1.0), Some(2.0)]), None]);
        check(Arc::new(lists), "vector[2]?", &[Some(Value::Vector(vec![1.0, 2.0])), None]);
    }

    #[test]
    fn what_cannot_be_read_names_its_column_and_type() {
        let check = |array: ArrayRef, wanted: &str, expected: &str| {
            assert_eq!(read(array, wanted).unwrap_err().to_string(), expected);
        };
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        check(Arc::clone(&text), "int64", "column `x` is of type Utf8 and cannot be read as int64");
        check(text, "timestamp", "column `x` is of type Utf8 and cannot be read as timestamp");
        let large: ArrayRef = Arc::new(Int64Array::from(vec![(1 << 53) + 1]));
        check(large, "float64", "column `x` is of type Int64 and cannot be read as float64");
        let nulls = Arc::new(Int64Array::from(vec![Some(1), None]));
        check(nulls, "int64", "column `x` is null in row 1 but not nullable");
        let late = Arc::new(TimestampSecondArray::from(vec![0, i64::MAX]));
        check(late, "timestamp", "`9223372036854775807` in row 2, column `x`, is not a value of type timestamp");
        let interval = ArrowSchema::new(vec![ArrowField::new("d", ArrowType::Duration(TimeUnit::Second), true)]);
        assert!(from_arrow_schema(&interval).unwrap_err().to_string().starts_with("column `d` is of type Duration"));
        let schema = Schema::new(vec![Field::new("y", DataType::Bool)]).unwrap();
        let error = from_record_batch(&one_column(Arc::new(NullArray::new(1))), &schema).unwrap_err();
        assert_eq!(error.to_string(), "there is no column `y`; there are `x`");
    }

    #[test]
    fn nulls_in_a_batch_that_allows_none_are_refused() {
        let schema = Schema::new(vec![Field::new("x", DataType::Int64)]).unwrap();
        let batch = Batch { rows: 1, columns: vec![Column::nulls(DataType::Int64, 1)] };
        assert!(matches!(to_record_batch(&schema, &batch), Err(StoreError::Arrow(_))));
        let error = from_record_batch(&one_column(Arc::new(NullArray::new(1))), &schema).unwrap_err();
        assert!(matches!(error, StoreError::Column(ColumnError::Null { .. })));
    }
}
