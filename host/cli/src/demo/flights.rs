use std::path::Path;

use anyhow::Context;
use oast_runtime::{Batch, Columns, RuntimeError, Schema, TableReader, Timestamp, Value};
use serde_json::{Map, Value as Json};

pub(super) const DEFINITION: &str = "oast.toml";
pub(super) const DEPARTURES: &str = "departures.parquet";
pub(super) const SPINE: &str = "spine.parquet";

/// What the demo ships.
const SHIPPED: [(&str, &[u8]); 3] = [
    (DEFINITION, include_bytes!("../../demo/oast.toml")),
    (DEPARTURES, include_bytes!("../../demo/departures.parquet")),
    (SPINE, include_bytes!("../../demo/spine.parquet")),
];

/// The shipped flights.
pub(super) struct Flights {
    /// What happened, in order of arrival.
    pub(super) departures: Table,
    /// What is asked, in spine order.
    pub(super) asked: Vec<Asked>,
}

/// One row of the spine.
pub(super) struct Asked {
    pub(super) flight: String,
    pub(super) carrier: String,
    pub(super) origin: String,
    pub(super) distance: f64,
    pub(super) at: Timestamp,
}

/// A table in memory.
pub(super) struct Table {
    pub(super) schema: Schema,
    pub(super) rows: Batch,
}

impl Flights {
    /// Writes the shipped files to a folder and reads them.
    pub(super) fn unpack(dir: &Path) -> anyhow::Result<Self> {
        for (name, bytes) in SHIPPED {
            let path = dir.join(name);
            std::fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        let spine = Table::read(&dir.join(SPINE))?;
        let asked = (0..spine.rows.rows).map(|row| Asked::read(&spine, row)).collect::<Option<_>>();
        let asked = asked.context("the shipped spine lacks a value")?;
        Ok(Self { departures: Table::read(&dir.join(DEPARTURES))?, asked })
    }
}

impl Asked {
    fn read(spine: &Table, row: usize) -> Option<Self> {
        Some(Self {
            flight: spine.text(row, "flight_id")?,
            carrier: spine.text(row, "carrier")?,
            origin: spine.text(row, "origin")?,
            distance: match spine.value(row, "distance")? {
                Value::Float64(distance) => distance,
                _ => return None,
            },
            at: spine.time(row, "event_timestamp")?,
        })
    }
}

impl Table {
    /// Reads a whole file.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let reader = TableReader::open(path, None, Columns::AsFound).map_err(RuntimeError::from)?;
        let schema = reader.schema().clone();
        let mut rows = Batch::empty(&schema);
        for batch in reader {
            rows.append(&batch.map_err(RuntimeError::from)?);
        }
        Ok(Self { schema, rows })
    }

    pub(super) fn value(&self, row: usize, column: &str) -> Option<Value> {
        self.rows.columns[self.schema.index_of(column)?].get(row)
    }

    pub(super) fn text(&self, row: usize, column: &str) -> Option<String> {
        match self.value(row, column)? {
            Value::Utf8(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn time(&self, row: usize, column: &str) -> Option<Timestamp> {
        match self.value(row, column)? {
            Value::Timestamp(time) => Some(time),
            _ => None,
        }
    }

    /// A row as a line of JSON.
    pub(super) fn json_line(&self, row: usize) -> String {
        let cells = self.schema.fields().iter().zip(&self.rows.columns);
        let object: Map<_, _> = cells.map(|(field, column)| (field.name.clone(), cell(column.get(row)))).collect();
        format!("{}\n", Json::from(object))
    }
}

fn cell(value: Option<Value>) -> Json {
    match value {
        Some(Value::Utf8(text)) => Json::from(text),
        Some(Value::Float64(number)) => Json::from(number),
        Some(Value::Timestamp(time)) => Json::from(time.to_string()),
        Some(other) => unreachable!("the shipped flights have no column of type {}", other.data_type()),
        None => Json::Null,
    }
}
