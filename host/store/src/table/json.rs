//! JSON lines: one object a line, empty lines skipped.

use std::{
    collections::BTreeMap,
    io::{BufRead, Lines},
};

use oast_core::{Batch, ColumnBuilder, DataType, Field, Schema};
use serde_json::{Map, Value as Json};

use super::{
    Batches, Columns, Input,
    cell::{Guess, bad_value, from_json},
};
use crate::{BATCH_ROWS, Result, StoreError, arrow::missing_column};

/// Reads JSON lines.
pub(super) fn read(input: Input, columns: &Columns) -> Result<(Schema, Batches)> {
    let path = input.path().to_owned();
    let schema = match columns {
        Columns::Exactly(schema) => schema.clone(),
        columns => {
            let mut guesses = Guesses::default();
            guesses.take_in(&input, columns)?;
            guesses.finish(columns)?
        }
    };
    let objects = Objects::new(input.into_read()?, &path);
    Ok((schema.clone(), Box::new(JsonBatches { objects, schema })))
}

type Object = Map<String, Json>;

struct Objects {
    lines: Lines<Box<dyn BufRead + Send>>,
    line: u64,
    path: std::path::PathBuf,
}

impl Objects {
    fn new(read: Box<dyn BufRead + Send>, path: &std::path::Path) -> Self {
        Self { lines: read.lines(), line: 0, path: path.to_owned() }
    }

    fn parse(&self, text: &str) -> Result<Object> {
        let line = self.line;
        match serde_json::from_str(text) {
            Ok(Json::Object(object)) => Ok(object),
            Ok(_) => Err(StoreError::Json { line, source: None }),
            Err(error) => Err(StoreError::Json { line, source: Some(error) }),
        }
    }
}

impl Iterator for Objects {
    type Item = Result<Object>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let text = match self.lines.next()? {
                Ok(text) => text,
                Err(error) => return Some(Err(StoreError::io("read", &self.path)(error))),
            };
            self.line += 1;
            if !text.trim().is_empty() {
                return Some(self.parse(&text));
            }
        }
    }
}

struct JsonBatches {
    objects: Objects,
    schema: Schema,
}

impl Iterator for JsonBatches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let objects: Result<Vec<_>> = self.objects.by_ref().take(BATCH_ROWS).collect();
        match objects {
            Ok(objects) if objects.is_empty() => None,
            Ok(objects) => Some(batch(&objects, &self.schema)),
            Err(error) => Some(Err(error)),
        }
    }
}

fn batch(objects: &[Object], schema: &Schema) -> Result<Batch> {
    let column = |field: &Field| {
        let mut builder = ColumnBuilder::new(field.data_type);
        for (row, object) in objects.iter().enumerate() {
            match object.get(&field.name) {
                None if !field.nullable => return Err(missing_column(&field.name, object.keys().map(String::as_str))),
                None | Some(Json::Null) => builder.push_null(),
                Some(json) => match from_json(field.data_type, json) {
                    Some(value) => builder.push(Some(&value)),
                    None => return bad_value(row, &field.name, field.data_type, &json.to_string()),
                },
            }
        }
        Ok(builder.finish().into_canonical(field, objects.len())?)
    };
    let columns = schema.fields().iter().map(column).collect::<Result<_>>()?;
    Ok(Batch { rows: objects.len(), columns })
}

/// Which columns tables have, sorted by name, and of which types, by all that was read of them. Every column can be null.
#[derive(Default)]
pub(super) struct Guesses {
    columns: BTreeMap<String, Guess>,
}

impl Guesses {
    /// Reads a whole table.
    pub(super) fn take_in(&mut self, input: &Input, columns: &Columns) -> Result<()> {
        for (row, object) in Objects::new(input.again()?, input.path()).enumerate() {
            for (name, json) in object? {
                let guess = self.columns.entry(name.clone()).or_insert_with(Guess::new);
                let is_wanted = columns.wanted().is_some_and(|wanted| wanted.field(&name).is_some());
                if !json.is_null() && !is_wanted {
                    take_in(guess, &json);
                    if guess.outcome().is_none() {
                        return Err(mixed(row, name, &json));
                    }
                }
            }
        }
        Ok(())
    }

    /// The narrowest types that fit, and those that are wanted.
    pub(super) fn finish(mut self, columns: &Columns) -> Result<Schema> {
        for field in columns.wanted().map_or(&[][..], Schema::fields) {
            if !field.nullable && !self.columns.contains_key(&field.name) {
                return Err(missing_column(&field.name, self.columns.keys().map(String::as_str)));
            }
            self.columns.entry(field.name.clone()).or_insert_with(Guess::new);
        }
        let field = |(name, guess): (&String, &Guess)| {
            let wanted = columns.wanted().and_then(|wanted| wanted.field(name)).cloned();
            let guessed = || guess.outcome().expect("a column without a type was an error");
            wanted.unwrap_or_else(|| Field::nullable(name, guessed()))
        };
        Ok(Schema::new(self.columns.iter().map(field).collect())?)
    }
}

fn take_in(guess: &mut Guess, json: &Json) {
    if let (false, Json::Array(items)) = (guess.is_seen(), json)
        && !items.is_empty()
    {
        guess.allow(DataType::Vector(items.len() as u32));
    }
    // A number could be a time in microseconds, but a guess would be bold.
    guess.take_in(|data_type| {
        from_json(data_type, json).is_some() && !(data_type == DataType::Timestamp && json.is_number())
    });
}

fn mixed(row: usize, column: String, json: &Json) -> StoreError {
    let expected = "the values before it".to_owned();
    StoreError::BadValue { row: row as u64 + 1, column, expected, found: json.to_string().chars().take(80).collect() }
}
