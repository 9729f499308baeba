//! CSV: arrow-csv cuts it into fields, whose text is read here, so that errors name the row and the column.

use std::{
    io::{BufRead, Read},
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray, StringArray},
    csv::{ReaderBuilder, reader::Format as CsvFormat},
    datatypes::{DataType as ArrowType, Field as ArrowField, Schema as ArrowSchema},
};
use oast_core::{Batch, Blobs, Column, ColumnBuilder, DataType, Field, Schema, Value, Values};

use super::{
    Batches, Columns, Input,
    cell::{Guess, bad_value, parse},
};
use crate::{
    BATCH_ROWS, Result, StoreError,
    arrow::{RecordBatch, missing_column},
};

/// Reads CSV.
pub(super) fn read(input: Input, columns: &Columns) -> Result<(Schema, Batches)> {
    let path = input.path().to_owned();
    let (schema, mut read) = match columns {
        Columns::Exactly(schema) => (schema.clone(), input.into_read()?),
        columns => (guess(input.again()?, columns)?, input.into_read()?),
    };
    let header = header(&mut read, &path)?;
    let names = names(&header)?;
    check_names(&names, columns)?;
    let records = texts(std::io::Cursor::new(header).chain(read), &names)?;
    let wanted = schema.clone();
    Ok((schema, Box::new(records.map(move |record| typed(&record?, &wanted)))))
}

/// The first record, with its end of line.
fn header(read: &mut Box<dyn BufRead + Send>, path: &std::path::Path) -> Result<Vec<u8>> {
    let mut header = Vec::new();
    loop {
        let more = read.read_until(b'\n', &mut header).map_err(StoreError::io("read", path))?;
        let is_quoted = header.iter().filter(|byte| **byte == b'"').count() % 2 == 1;
        if more == 0 || !is_quoted {
            let mark = header.starts_with(b"\xef\xbb\xbf");
            return Ok(if mark { header.split_off(3) } else { header });
        }
    }
}

fn names(header: &[u8]) -> Result<Vec<String>> {
    let (found, _) = CsvFormat::default().with_header(true).infer_schema(header, Some(0))?;
    let names: Vec<_> = found.fields().iter().map(|field| field.name().clone()).collect();
    Schema::new(names.iter().map(|name| Field::new(name, DataType::Utf8)).collect())?;
    Ok(names)
}

fn check_names(names: &[String], columns: &Columns) -> Result<()> {
    let wanted = columns.wanted().map_or(&[][..], Schema::fields);
    match wanted.iter().find(|field| !names.contains(&field.name)) {
        Some(field) => Err(missing_column(&field.name, names.iter().map(String::as_str))),
        None => Ok(()),
    }
}

/// Every field as text, null where it is empty.
fn texts(
    read: impl Read + Send + 'static,
    names: &[String],
) -> Result<impl Iterator<Item = Result<RecordBatch, arrow::error::ArrowError>> + Send + 'static> {
    let fields: Vec<_> = names.iter().map(|name| ArrowField::new(name, ArrowType::Utf8, true)).collect();
    let builder = ReaderBuilder::new(Arc::new(ArrowSchema::new(fields))).with_header(true);
    Ok(builder.with_batch_size(BATCH_ROWS).build(read)?)
}

/// Reads the whole table to say which types its columns have; every column can be null.
fn guess(mut read: Box<dyn BufRead + Send>, columns: &Columns) -> Result<Schema> {
    let header = header(&mut read, std::path::Path::new("csv"))?;
    let names = names(&header)?;
    check_names(&names, columns)?;
    let mut guesses: Vec<_> = names.iter().map(|_| (Guess::new(), false)).collect();
    for record in texts(std::io::Cursor::new(header).chain(read), &names)? {
        for (array, (guess, is_seen)) in record?.columns().iter().zip(&mut guesses) {
            for text in array.as_string::<i32>().iter().flatten() {
                guess.take_in(|data_type| parse(data_type, text).is_some());
                *is_seen = true;
            }
        }
    }
    let field = |(name, (guess, is_seen)): (&String, &(Guess, bool))| {
        let wanted = columns.wanted().and_then(|wanted| wanted.field(name)).cloned();
        let guessed = || guess.outcome(*is_seen).expect("every text is text");
        wanted.unwrap_or_else(|| Field::nullable(name, guessed()))
    };
    Ok(Schema::new(names.iter().zip(&guesses).map(field).collect())?)
}

fn typed(record: &RecordBatch, schema: &Schema) -> Result<Batch> {
    let column = |field: &Field| {
        let texts = record.column_by_name(&field.name).expect("the header has every wanted column");
        Ok(column(texts.as_string(), field)?.into_canonical(field, record.num_rows())?)
    };
    let columns = schema.fields().iter().map(column).collect::<Result<_>>()?;
    Ok(Batch { rows: record.num_rows(), columns })
}

fn column(texts: &StringArray, field: &Field) -> Result<Column> {
    if field.data_type == DataType::Utf8 {
        let blobs: Blobs = (0..texts.len()).map(|row| texts.value(row)).collect();
        let validity = texts.nulls().filter(|_| field.nullable);
        let validity = validity.map(|nulls| nulls.iter().map(u8::from).collect());
        return Ok(Column { values: Values::Utf8(blobs), validity });
    }
    let mut builder = ColumnBuilder::new(field.data_type);
    for (row, text) in texts.iter().enumerate() {
        builder.push(text.map(|text| value(text, field, row)).transpose()?.as_ref());
    }
    Ok(builder.finish())
}

fn value(text: &str, field: &Field, row: usize) -> Result<Value> {
    parse(field.data_type, text).map_or_else(|| bad_value(row, &field.name, field.data_type, text), Ok)
}
