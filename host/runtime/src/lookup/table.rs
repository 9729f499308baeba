//! Lookups as tables: the same lookup as in JSON, with its rows as Arrow IPC streams.
//!
//! A request has a row an entity; its columns are join keys and request fields, told apart by the service. The answer has, for
//! each feature, its column and `<feature>__status`, then `<view>__event_time` for each view, and `error`, which says why a row
//! was rejected as a whole. What holds for all rows is in the metadata of the schema.

use std::{collections::HashMap, sync::Arc};

use arrow::{error::ArrowError, ipc::writer::StreamWriter};
use oast_core::{Batch, Column, ColumnBuilder, DataType, Field, Schema, Status, Value};
use oast_store::{
    Columns, Format, StoreError, TableReader,
    arrow::{RecordBatch, to_record_batch},
};
use serde_json::{Map, Value as Json};

use super::{LookupAnswer, LookupRequest};
use crate::{Runtime, RuntimeError, json, service::Service};

impl Runtime {
    /// Reads the rows of a lookup from an Arrow IPC stream and puts them into the request, which says the service.
    pub fn read_lookup_rows(&self, request: &mut LookupRequest, body: Vec<u8>) -> Result<(), RuntimeError> {
        let live = self.serving()?;
        let service = live.service(&request.service).ok_or_else(|| self.unknown("service", &request.service))??;
        let input = std::io::Cursor::new(body);
        let reader = TableReader::from_read("request body", Format::Arrow, input, Columns::AsFound)?;
        let schema = reader.schema().clone();
        for rows in reader {
            let rows = rows?;
            for row in 0..rows.rows {
                let (entity, fields) = split_row(service, &schema, &rows, row);
                request.entities.push(entity);
                if !service.request.is_empty() {
                    request.request.push(fields);
                }
            }
        }
        Ok(())
    }
}

/// The join keys and the request fields of a row. What is neither goes with the keys, where it is refused by name.
fn split_row(service: &Service, schema: &Schema, rows: &Batch, row: usize) -> (Map<String, Json>, Map<String, Json>) {
    let (mut entity, mut fields) = (Map::new(), Map::new());
    for (field, column) in schema.fields().iter().zip(&rows.columns) {
        let value = json::to_json(column.get(row).as_ref());
        let is_key = service.entity.iter().any(|key| key.name == field.name);
        let is_field = service.request.field(&field.name).is_some();
        if is_field {
            fields.insert(field.name.clone(), value.clone());
        }
        if is_key || !is_field {
            entity.insert(field.name.clone(), value);
        }
    }
    (entity, fields)
}

impl LookupAnswer {
    /// The answer as an Arrow IPC stream.
    pub fn arrow_stream(&self) -> Result<Vec<u8>, RuntimeError> {
        let (schema, rows) = self.table()?;
        let record = to_record_batch(&schema, &rows)?;
        let schema = record.schema().as_ref().clone().with_metadata(self.metadata());
        let record = record.with_schema(Arc::new(schema)).map_err(StoreError::Arrow)?;
        Ok(write(&record).map_err(StoreError::Arrow)?)
    }

    fn table(&self) -> Result<(Schema, Batch), RuntimeError> {
        let mut table = Table::default();
        let columns = self.service.columns.iter().zip(&self.answer.columns).zip(&self.answer.statuses);
        for ((feature, column), statuses) in columns {
            table.push(Field::nullable(&feature.name, feature.data_type), self.of_sound_rows(column));
            let statuses = statuses.iter().zip(&self.errors);
            let status = |(status, error): (&Status, &Option<_>)| match error {
                None => Some(text(status.name())),
                Some(_) => Some(text(Status::Rejected.name())),
            };
            table.push_values(Field::new(format!("{}__status", feature.name), DataType::Utf8), statuses.map(status));
        }
        for (view, newest) in self.service.views.iter().zip(&self.newest) {
            let times = newest.iter().zip(&self.errors);
            let times = times.map(|(time, error)| time.filter(|_| error.is_none()).map(Value::Timestamp));
            let name = format!("{}__event_time", view.spec.name);
            table.push_values(Field::nullable(name, DataType::Timestamp), times);
        }
        let errors = self.errors.iter().map(|error| error.as_ref().map(|error| text(&error.message)));
        table.push_values(Field::nullable("error", DataType::Utf8), errors);
        let no_form = |error| {
            let hint = "ask for JSON, or rename the feature whose name another column has";
            RuntimeError::request(format!("the answer has no form as a table: {error}"), hint)
        };
        let schema = Schema::new(table.fields).map_err(no_form)?;
        Ok((schema, Batch { rows: self.rows(), columns: table.columns }))
    }

    /// A column without what was computed for rows that were rejected.
    fn of_sound_rows(&self, column: &Column) -> Column {
        if self.errors.iter().all(Option::is_none) {
            return column.clone();
        }
        let mut builder = ColumnBuilder::new(column.data_type());
        for (row, error) in self.errors.iter().enumerate() {
            builder.push(column.get(row).filter(|_| error.is_none()).as_ref());
        }
        builder.finish()
    }

    /// What JSON says beside the rows, under the same names; the receipt as JSON.
    fn metadata(&self) -> HashMap<String, String> {
        let mut metadata = HashMap::from([
            ("service".to_owned(), self.service.spec.name.clone()),
            ("version".to_owned(), self.service.version.to_string()),
            ("time".to_owned(), self.time.to_string()),
            ("offset".to_owned(), self.offset.to_string()),
        ]);
        if let Some(receipt) = &self.receipt {
            let receipt = serde_json::to_string(receipt).expect("a receipt is JSON");
            metadata.insert("receipt".to_owned(), receipt);
        }
        metadata
    }
}

fn text(text: &str) -> Value {
    Value::Utf8(text.to_owned())
}

#[derive(Default)]
struct Table {
    fields: Vec<Field>,
    columns: Vec<Column>,
}

impl Table {
    fn push(&mut self, field: Field, column: Column) {
        self.fields.push(field);
        self.columns.push(column);
    }

    fn push_values(&mut self, field: Field, values: impl Iterator<Item = Option<Value>>) {
        let mut builder = ColumnBuilder::new(field.data_type);
        values.for_each(|value| builder.push(value.as_ref()));
        let mut column = builder.finish();
        if !field.nullable {
            column.validity = None;
        }
        self.push(field, column);
    }
}

fn write(record: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut stream = Vec::new();
    let mut writer = StreamWriter::try_new(&mut stream, &record.schema())?;
    writer.write(record)?;
    writer.finish()?;
    drop(writer);
    Ok(stream)
}
