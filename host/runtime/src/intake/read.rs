//! Reading events from bodies and files, each row by itself where it can be told from the others.

use std::{io::Read, path::Path};

use oast_core::{Batch, Column, DataType, Field, Schema, Timestamp, Value};
use oast_store::{Columns, Format, StoreError, TableReader};
use serde_json::Value as Json;

use super::{EventFile, ReadEvents};
use crate::{ColumnNames, Events, RuntimeError, ingest::Source};

/// Reads what was sent as events of a source.
pub(super) fn read_events(source: &Source, events: Events<'_>) -> Result<ReadEvents, RuntimeError> {
    let rows = match events {
        Events::JsonLines(body) => return Ok(source.read_json(body)),
        Events::Csv(body) => return read_table(source, Format::Csv, |columns| from_bytes(Format::Csv, body, columns)),
        Events::ArrowStream(body) => read_all(from_bytes(Format::Arrow, body, exactly(&source.loose))?, source)?,
        Events::Parquet(body) => read_all(from_bytes(Format::Parquet, body, exactly(&source.loose))?, source)?,
        Events::Batch(rows) => rows.clone(),
    };
    Ok(all_sound(rows))
}

pub(super) fn exactly(schema: &Schema) -> Columns {
    Columns::Exactly(schema.clone())
}

fn all_sound(rows: Batch) -> ReadEvents {
    let numbers = row_numbers(&rows);
    (rows, numbers, Vec::new())
}

fn row_numbers(rows: &Batch) -> Vec<u64> {
    (1..=rows.rows as u64).collect()
}

fn read_all(reader: TableReader, source: &Source) -> Result<Batch, RuntimeError> {
    let mut rows = Batch::empty(&source.loose);
    for batch in reader {
        rows.append(&batch?);
    }
    Ok(rows)
}

fn from_bytes(format: Format, body: &[u8], columns: Columns) -> Result<TableReader, RuntimeError> {
    let input = std::io::Cursor::new(body.to_vec());
    Ok(TableReader::from_read("request body", format, input, columns)?)
}

/// The rows of a table, their numbers, and for CSV those with text that is no value of its column. Only when there are such is
/// the table read once more, row by row.
fn read_table(
    source: &Source,
    format: Format,
    open: impl Fn(Columns) -> Result<TableReader, RuntimeError>,
) -> Result<ReadEvents, RuntimeError> {
    match open(exactly(&source.loose)).and_then(|reader| read_all(reader, source)) {
        Ok(rows) => Ok(all_sound(rows)),
        Err(RuntimeError::Store(StoreError::Table { source: cause, .. }))
            if format == Format::Csv && matches!(*cause, StoreError::BadValue { .. }) =>
        {
            let texts = source.loose.fields().iter().map(|field| Field::nullable(&field.name, DataType::Utf8));
            let texts = Schema::new(texts.collect()).expect("the names are those of a schema");
            let mut lines = String::new();
            for batch in open(exactly(&texts))? {
                let batch = batch?;
                (0..batch.rows).for_each(|row| push_row(&mut lines, source, &batch, row));
            }
            Ok(source.read_json(lines.as_bytes()))
        }
        Err(error) => Err(error),
    }
}

/// A row of CSV as an event in JSON, so that what is wrong with it is said as it is of any other event.
pub(super) fn push_row(lines: &mut String, source: &Source, texts: &Batch, row: usize) {
    let member = |(field, column): (&Field, &Column)| {
        let Some(Value::Utf8(text)) = column.get(row) else { return (field.name.clone(), Json::Null) };
        (field.name.clone(), csv_cell(field.data_type, text))
    };
    let event: Json = Json::Object(source.loose.fields().iter().zip(&texts.columns).map(member).collect());
    lines.push_str(&event.to_string());
    lines.push('\n');
}

/// The JSON of a CSV field: what it means where its type says so, and else its text, which no gate lets through.
fn csv_cell(data_type: DataType, text: String) -> Json {
    let meant = match data_type {
        DataType::Bool => text.to_ascii_lowercase().parse().ok().map(Json::Bool),
        DataType::Int64 => text.parse::<i64>().ok().map(Json::from),
        DataType::Float64 => text.parse::<f64>().ok().map(|value| Value::Float64(value).to_json()),
        DataType::Timestamp => text.parse::<Timestamp>().ok().map(|time| Json::from(time.as_micros())),
        DataType::Vector(_) => serde_json::from_str(&text).ok(),
        DataType::Utf8 | DataType::Binary => None,
    };
    meant.unwrap_or(Json::String(text))
}

/// The rows of a file of events or of standard input, their numbers in it, and the lines that are no events.
pub(crate) fn read_file(source: &Source, path: &Path, format: Option<Format>) -> Result<ReadEvents, RuntimeError> {
    if path != Path::new("-") {
        return EventFile::find(source, path, format, &ColumnNames::default())?.read_all();
    }
    let format = format.ok_or_else(|| {
        RuntimeError::request(
            "standard input has no extension to tell its format by",
            "say `--format parquet`, `csv`, `jsonl` or `arrow`",
        )
    })?;
    let mut body = Vec::new();
    let read = std::io::stdin().read_to_end(&mut body);
    read.map_err(|error| RuntimeError::File { action: "read", path: path.to_owned(), source: error })?;
    if format == Format::JsonLines {
        return Ok(source.read_json(&body));
    }
    read_table(source, format, |columns| {
        Ok(TableReader::from_read("standard input", format, std::io::Cursor::new(body.clone()), columns)?)
    })
}
