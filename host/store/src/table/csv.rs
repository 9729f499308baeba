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
        columns => {
            let mut guesses = Guesses::default();
            guesses.take_in(&input, columns)?;
            (guesses.finish(columns)?, input.into_read()?)
        }
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

/// Which types the columns of text could have, by all that was read of them. Every column can be null.
#[derive(Default)]
pub(super) struct Guesses {
    columns: Vec<(String, Guess)>,
}

impl Guesses {
    /// Reads a whole table, which has the columns of those before in any order.
    pub(super) fn take_in(&mut self, input: &Input, columns: &Columns) -> Result<()> {
        let mut read = input.again()?;
        let header = header(&mut read, input.path())?;
        let names = names(&header)?;
        check_names(&names, columns)?;
        if self.columns.is_empty() {
            self.columns = names.iter().map(|name| (name.clone(), Guess::new())).collect();
        }
        let places = self.places(&names)?;
        for record in texts(std::io::Cursor::new(header).chain(read), &names)? {
            for (array, place) in record?.columns().iter().zip(&places) {
                let guess = &mut self.columns[*place].1;
                for text in array.as_string::<i32>().iter().flatten() {
                    guess.take_in(|data_type| parse(data_type, text).is_some());
                }
            }
        }
        Ok(())
    }

    fn places(&self, names: &[String]) -> Result<Vec<usize>> {
        if let Some((lacking, _)) = self.columns.iter().find(|(known, _)| !names.contains(known)) {
            return Err(missing_column(lacking, names.iter().map(String::as_str)));
        }
        let place = |name: &String| self.columns.iter().position(|(known, _)| known == name);
        let known = || self.columns.iter().map(|(known, _)| known.as_str());
        names.iter().map(|name| place(name).ok_or_else(|| missing_column(name, known()))).collect()
    }

    /// The narrowest types that fit, and those that are wanted.
    pub(super) fn finish(&self, columns: &Columns) -> Result<Schema> {
        let field = |(name, guess): &(String, Guess)| {
            let wanted = columns.wanted().and_then(|wanted| wanted.field(name)).cloned();
            wanted.unwrap_or_else(|| Field::nullable(name, guess.outcome().expect("every text is text")))
        };
        Ok(Schema::new(self.columns.iter().map(field).collect())?)
    }
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
