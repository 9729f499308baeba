//! Reading events from bodies and files, each row by itself where it can be told from the others.

use std::{fs::File, io::Read, path::Path};

use oast_core::{Batch, Column, DataType, Field, Schema, Timestamp, Value};
use oast_store::{Columns, Format, StoreError, TableFiles, TableReader};
use serde_json::Value as Json;

use super::ReadEvents;
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

fn exactly(schema: &Schema) -> Columns {
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
fn push_row(lines: &mut String, source: &Source, texts: &Batch, row: usize) {
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

/// The rows of a file of events, their numbers in it, and the lines that are no events.
pub(crate) fn read_file(source: &Source, path: &Path, format: Option<Format>) -> Result<ReadEvents, RuntimeError> {
    let stdin = path == Path::new("-");
    let format = match format {
        Some(format) => format,
        None if stdin => {
            return Err(RuntimeError::request(
                "standard input has no extension to tell its format by",
                "say `--format parquet`, `csv`, `jsonl` or `arrow`",
            ));
        }
        None => TableFiles::find(path)?.format()?,
    };
    if let (Format::JsonLines, Some(body)) = (format, json_lines(path)?) {
        return Ok(source.read_json(&body));
    }
    if stdin {
        let mut body = Vec::new();
        let read = std::io::stdin().read_to_end(&mut body);
        read.map_err(|error| RuntimeError::File { action: "read", path: path.to_owned(), source: error })?;
        return read_table(source, format, |columns| {
            Ok(TableReader::from_read("standard input", format, std::io::Cursor::new(body.clone()), columns)?)
        });
    }
    read_table(source, format, |columns| Ok(TableReader::open(path, Some(format), columns)?))
}

/// Reads a file whose columns have other names. One line of JSON that cannot be read is then an error of the whole.
pub(crate) fn read_mapped(
    source: &Source,
    path: &Path,
    names: &ColumnNames,
) -> Result<(Batch, Vec<u64>), RuntimeError> {
    let columns = names.in_table(&source.loose, &format!("`{}`", path.display()))?;
    let rows = read_all(TableReader::open(path, None, Columns::Exactly(columns))?, source)?;
    let numbers = row_numbers(&rows);
    Ok((rows, numbers))
}

/// All lines of standard input or of the files that a path names, so that each can be judged by itself. Not those of a
/// partitioned table, whose rows are not whole without their paths.
fn json_lines(path: &Path) -> Result<Option<Vec<u8>>, RuntimeError> {
    let read = |path: &Path, input: &mut dyn Read, body: &mut Vec<u8>| {
        let read = input.read_to_end(body);
        read.map_err(|error| RuntimeError::File { action: "read", path: path.to_owned(), source: error })
    };
    let mut body = Vec::new();
    if path == Path::new("-") {
        read(path, &mut std::io::stdin(), &mut body)?;
        return Ok(Some(body));
    }
    let files = TableFiles::find(path)?;
    if files.is_partitioned() {
        return Ok(None);
    }
    for path in files.paths() {
        let file = File::open(path);
        let file = file.map_err(|error| RuntimeError::File { action: "open", path: path.to_owned(), source: error });
        read(path, &mut file?, &mut body)?;
        if !body.ends_with(b"\n") && !body.is_empty() {
            body.push(b'\n');
        }
    }
    Ok(Some(body))
}
