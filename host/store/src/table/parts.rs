//! Tables of many files: one schema for all, and the columns that stand in their paths.

use oast_core::{Batch, Column, ColumnBuilder, DataType, Field, Schema, Value};

use super::{
    Batches, Columns, Format, Input, TableReader,
    cell::{Guess, bad_value, parse},
    csv,
    files::{TableFile, TableFiles},
    json,
};
use crate::{Result, StoreError, arrow::missing_column};

/// Opens all files as one table. Errors name the file.
pub(super) fn read(found: TableFiles, format: Format, columns: &Columns) -> Result<(Schema, Batches)> {
    let keys = partition_fields(&found, columns)?;
    let in_files = common_schema(&found, format, &without(columns, &keys))?;
    let schema = match columns {
        Columns::Exactly(schema) => schema.clone(),
        _ => Schema::new(in_files.fields().iter().chain(&keys).cloned().collect())?,
    };
    let whole = schema.clone();
    let batches = found.files.into_iter().flat_map(move |file| match open(&file, format, &in_files, &keys) {
        Err(error) => Box::new(std::iter::once(Err(error))) as Batches,
        Ok((reader, constants)) => {
            let (in_file, keys, whole) = (in_files.clone(), keys.clone(), whole.clone());
            Box::new(reader.map(move |batch| Ok(arrange(batch?, &in_file, &keys, &constants, &whole))))
        }
    });
    Ok((schema, Box::new(batches)))
}

/// A file, and the value of each partition column in it.
fn open(
    file: &TableFile,
    format: Format,
    schema: &Schema,
    keys: &[Field],
) -> Result<(TableReader, Vec<Option<Value>>)> {
    let constant = |field: &Field| {
        let text = file.partitions.iter().find(|(key, _)| *key == field.name).and_then(|(_, text)| text.as_deref());
        match text {
            Some(text) => parse(field.data_type, text)
                .map_or_else(|| bad_value(0, &field.name, field.data_type, text), |value| Ok(Some(value))),
            None if field.nullable => Ok(None),
            None => Err(oast_core::ColumnError::Null { column: field.name.clone(), row: 0 }.into()),
        }
    };
    let constants = keys.iter().map(constant).collect::<Result<_>>().map_err(|error| error.in_table(&file.path))?;
    let reader = TableReader::start(&file.path, format, Input::file(&file.path)?, &Columns::Exactly(schema.clone()))?;
    Ok((reader, constants))
}

/// The columns of a file and of its path, in the order of the table.
fn arrange(batch: Batch, in_file: &Schema, keys: &[Field], constants: &[Option<Value>], whole: &Schema) -> Batch {
    let rows = batch.rows;
    let mut columns: Vec<Option<Column>> = batch.columns.into_iter().map(Some).collect();
    let column = |field: &Field| match in_file.index_of(&field.name) {
        Some(at) => columns[at].take().expect("the columns of a schema have different names"),
        None => {
            let key = keys.iter().position(|key| key.name == field.name).expect("a column is in the file or its path");
            let mut builder = ColumnBuilder::new(field.data_type);
            (0..rows).for_each(|_| builder.push(constants[key].as_ref()));
            builder.finish()
        }
    };
    Batch { rows, columns: whole.fields().iter().map(column).collect() }
}

/// The partition columns that are read: as wanted, or else of the narrowest type that fits all files. They win over columns
/// of the same name inside the files, as in Spark and DuckDB.
fn partition_fields(found: &TableFiles, columns: &Columns) -> Result<Vec<Field>> {
    let wanted = |key: &str| columns.wanted().and_then(|wanted| wanted.field(key)).cloned();
    let fields = found.keys().filter_map(|key| match columns {
        Columns::Exactly(_) => wanted(key),
        _ => Some(wanted(key).unwrap_or_else(|| Field::nullable(key, guess_partition(found, key)))),
    });
    let fields: Vec<Field> = fields.collect();
    Schema::new(fields.clone())?;
    Ok(fields)
}

fn guess_partition(found: &TableFiles, key: &str) -> DataType {
    let mut guess = Guess::new();
    let values = found.files.iter().flat_map(|file| &file.partitions).filter(|(name, _)| name == key);
    for text in values.filter_map(|(_, text)| text.as_deref()) {
        guess.take_in(|data_type| parse(data_type, text).is_some());
    }
    guess.outcome().expect("every text is text")
}

/// What is wanted of the files themselves.
fn without(columns: &Columns, keys: &[Field]) -> Columns {
    let cut = |schema: &Schema| without_keys(schema, keys);
    match columns {
        Columns::AsFound => Columns::AsFound,
        Columns::Exactly(schema) => Columns::Exactly(cut(schema)),
        Columns::AtLeast(schema) => Columns::AtLeast(cut(schema)),
    }
}

fn without_keys(schema: &Schema, keys: &[Field]) -> Schema {
    let others = schema.fields().iter().filter(|field| keys.iter().all(|key| key.name != field.name));
    Schema::new(others.cloned().collect()).expect("a schema with fewer columns is a schema")
}

/// The schema in which every file is read. Types are guessed from the text of all files together, so that they do not depend
/// on where one file ends and the next begins.
fn common_schema(found: &TableFiles, format: Format, columns: &Columns) -> Result<Schema> {
    if let Columns::Exactly(schema) = columns {
        return Ok(schema.clone());
    }
    let schema = match format {
        Format::Parquet | Format::Arrow => typed_schema(found, format, columns),
        Format::Csv => {
            let mut guesses = csv::Guesses::default();
            for path in found.paths() {
                let guessed = Input::file(path).and_then(|input| guesses.take_in(&input, columns));
                guessed.map_err(|error| error.in_table(path))?;
            }
            guesses.finish(columns)
        }
        Format::JsonLines => {
            let mut guesses = json::Guesses::default();
            for path in found.paths() {
                let guessed = Input::file(path).and_then(|input| guesses.take_in(&input, columns));
                guessed.map_err(|error| error.in_table(path))?;
            }
            guesses.finish(columns)
        }
    }?;
    let keys: Vec<Field> = found.keys().map(|key| Field::nullable(key, DataType::Utf8)).collect();
    Ok(without_keys(&schema, &keys))
}

/// Files that carry types have the same columns, of the same types, in any order; a column can be null if it can in one.
fn typed_schema(found: &TableFiles, format: Format, columns: &Columns) -> Result<Schema> {
    let schema_of = |file: &TableFile| {
        TableReader::start(&file.path, format, Input::file(&file.path)?, columns).map(|reader| reader.schema().clone())
    };
    let first = schema_of(&found.files[0])?;
    let mut fields = first.fields().to_vec();
    for file in &found.files[1..] {
        let other = schema_of(file)?;
        if let Some(more) = other.fields().iter().find(|field| first.field(&field.name).is_none()) {
            return Err(missing(&more.name, &first).in_table(&found.files[0].path));
        }
        for field in &mut fields {
            unify(field, &other).map_err(|error| error.in_table(&file.path))?;
        }
    }
    Ok(Schema::new(fields)?)
}

fn unify(field: &mut Field, other: &Schema) -> Result<()> {
    let found = other.field(&field.name).ok_or_else(|| missing(&field.name, other))?;
    if found.data_type != field.data_type {
        return Err(StoreError::ColumnType {
            column: field.name.clone(),
            expected: format!("{}, which it is in the files before", field.data_type),
            found: found.data_type.to_string(),
        });
    }
    field.nullable |= found.nullable;
    Ok(())
}

fn missing(column: &str, schema: &Schema) -> StoreError {
    missing_column(column, schema.fields().iter().map(|field| field.name.as_str()))
}
