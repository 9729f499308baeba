use std::collections::HashSet;

use oast_core::{Batch, Canonical, Column, Field, Schema, TimeSpan, Timestamp, Value};
use serde::{Deserialize, Serialize};

use crate::{
    RuntimeError, json,
    spec::{CheckSpec, SourceSpec, schema_of},
};

/// Events as they are sent.
#[derive(Debug, Clone, Copy)]
pub enum Events<'a> {
    /// One JSON object a line.
    JsonLines(&'a [u8]),
    /// An Arrow IPC stream.
    ArrowStream(&'a [u8]),
    /// Comma-separated values with a header.
    Csv(&'a [u8]),
    /// A Parquet file.
    Parquet(&'a [u8]),
    /// Rows whose columns are the source's, sorted by name, each of them nullable.
    Batch(&'a Batch),
}

/// How events come, which decides when they became known if their source does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrival {
    /// They happen now: they became known when the log took them.
    Live,
    /// They are history: each became known when it happened.
    History,
}

/// What became of events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IngestReport {
    /// Events that are in the log now.
    pub accepted: u64,
    /// Events that were in the log before, by their idempotency key.
    pub duplicates: u64,
    /// Events that were not logged, and why.
    pub quarantined: Vec<Quarantined>,
    /// The offset that the next event will have.
    pub offset: u64,
    /// Of the accepted events of a file, how many happened longer ago than their source keeps events.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub past_retention: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// An event that was not logged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The event's place in what was sent, from 1.
    pub row: u64,
    /// The column at fault; empty when the event as a whole is.
    pub field: String,
    /// `syntax`, `unknown_field`, `missing`, `null`, `type`, `min`, `max`, `one_of`, `range` or `future`.
    pub code: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A quarantined event with what was sent, as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refused {
    pub(crate) report: Quarantined,
    pub(crate) raw: serde_json::Value,
}

/// A source, ready to gate events.
pub(crate) struct Source {
    pub(crate) spec: SourceSpec,
    pub(crate) schema: Schema,
    /// The same columns, all nullable: how events are read before it is known which of them are sound.
    pub(crate) loose: Schema,
    pub(crate) event_time: usize,
    pub(crate) available_time: Option<usize>,
    idempotency_key: Option<usize>,
    checks: Vec<Gate>,
}

struct Gate {
    column: usize,
    min: Option<Value>,
    max: Option<Value>,
    one_of: Option<Vec<Value>>,
}

/// Rows that passed, and what stopped the others.
#[derive(Debug, Default)]
pub(crate) struct Gated {
    /// The rows' numbers in what was gated.
    pub(crate) passed: Vec<u32>,
    pub(crate) duplicates: u64,
    pub(crate) quarantined: Vec<Refused>,
}

/// Hashes of the idempotency keys that have been seen.
pub(crate) type Seen = HashSet<[u8; 16]>;

impl Source {
    pub(crate) fn new(spec: SourceSpec) -> Result<Self, RuntimeError> {
        let schema = schema_of(&spec.columns)?;
        let damaged = || RuntimeError::Catalog { kind: "source", name: spec.name.clone() };
        let index = |name: &String| schema.index_of(name).ok_or_else(damaged);
        let loose = schema.fields().iter().map(|field| Field { nullable: true, ..field.clone() }).collect();
        let gate = |check: &CheckSpec| Gate::new(check, &schema).ok_or_else(damaged);
        Ok(Self {
            event_time: index(&spec.event_time)?,
            available_time: spec.available_time.as_ref().map(index).transpose()?,
            idempotency_key: spec.idempotency_key.as_ref().map(index).transpose()?,
            checks: spec.checks.iter().map(gate).collect::<Result<_, _>>()?,
            loose: Schema::new(loose).map_err(|_| damaged())?,
            schema,
            spec,
        })
    }

    /// Reads JSON lines. Lines that are no event of this source are reported; blank lines are passed over.
    pub(crate) fn read_json(&self, body: &[u8]) -> (Batch, Vec<u64>, Vec<Refused>) {
        let lines = body.split(|byte| *byte == b'\n').zip(1..);
        self.read_lines(lines.filter(|(line, _)| !line.trim_ascii().is_empty()))
    }

    /// Reads numbered lines. Each is among the rows, with its number, or is reported.
    pub(crate) fn read_lines<'l>(
        &self,
        lines: impl Iterator<Item = (&'l [u8], u64)>,
    ) -> (Batch, Vec<u64>, Vec<Refused>) {
        let mut builders: Vec<_> =
            self.schema.fields().iter().map(|field| oast_core::ColumnBuilder::new(field.data_type)).collect();
        let (mut rows, mut quarantined) = (Vec::new(), Vec::new());
        for (line, row) in lines {
            match self.read_line(line) {
                Ok(values) => {
                    builders.iter_mut().zip(&values).for_each(|(builder, value)| builder.push(value.as_ref()));
                    rows.push(row);
                }
                Err((field, code, message)) => {
                    let report = Quarantined { row, field, code: code.to_owned(), message };
                    quarantined.push(Refused { report, raw: raw_line(line) });
                }
            }
        }
        let columns = builders.into_iter().map(oast_core::ColumnBuilder::finish).collect();
        (Batch { rows: rows.len(), columns }, rows, quarantined)
    }

    fn read_line(&self, line: &[u8]) -> Result<Vec<Option<Value>>, (String, &'static str, String)> {
        let parsed: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(line);
        let event = parsed.map_err(|error| (String::new(), "syntax", format!("not a JSON object: {error}")))?;
        if let Some(name) = event.keys().find(|name| self.schema.index_of(name).is_none()) {
            let message = format!(
                "`{name}` is no column of `{}`; its columns are {}",
                self.spec.name,
                self.schema.names_quoted()
            );
            return Err((name.clone(), "unknown_field", message));
        }
        let value = |field: &Field| {
            let value = json::from_json(field, event.get(&field.name));
            value.map_err(|mismatch| (field.name.clone(), mismatch.code, mismatch.message))
        };
        self.schema.fields().iter().map(value).collect()
    }

    /// When each row became known, if that is not when the log takes it.
    pub(crate) fn known_times(&self, rows: &Batch, arrival: Arrival) -> Option<Vec<Timestamp>> {
        let column = match arrival {
            Arrival::Live => self.available_time?,
            Arrival::History => self.available_time.unwrap_or(self.event_time),
        };
        Some(crate::online::times(rows, column))
    }

    /// Puts numbers of rows in the order in which the log takes them: by when they became known, then as they came.
    pub(crate) fn put_in_order(&self, numbers: &mut [u32], rows: &Batch, arrival: Arrival) {
        if let Some(known) = self.known_times(rows, arrival) {
            numbers.sort_by_key(|row| known[*row as usize]);
        }
    }

    /// Lets rows through that are sound and new. `numbers` says where each stood in what was sent; events that come live
    /// became known at `now` if their source does not say.
    pub(crate) fn gate(&self, rows: &Batch, numbers: &[u64], now: Option<Timestamp>, seen: &mut Seen) -> Gated {
        let mut gated = Gated::default();
        for (row, number) in numbers.iter().enumerate() {
            match self.fault(rows, row, now) {
                Some((field, code, message)) => {
                    let report = Quarantined { row: *number, field, code: code.to_owned(), message };
                    gated.quarantined.push(Refused { report, raw: self.raw_row(rows, row) });
                }
                None if self.is_duplicate(rows, row, seen) => gated.duplicates += 1,
                None => gated.passed.push(row as u32),
            }
        }
        gated
    }

    /// A row as a JSON object, so that it can be sent again.
    fn raw_row(&self, rows: &Batch, row: usize) -> serde_json::Value {
        let columns = self.schema.fields().iter().zip(&rows.columns);
        let values = columns.map(|(field, column)| (field.name.clone(), json::to_json(column.get(row).as_ref())));
        serde_json::Value::Object(values.collect())
    }

    fn fault(&self, rows: &Batch, row: usize, now: Option<Timestamp>) -> Option<(String, &'static str, String)> {
        for (field, column) in self.schema.fields().iter().zip(&rows.columns) {
            if !field.nullable && !column.is_valid(row) {
                let message = format!("`{}` is null; it must be {}", field.name, field.data_type);
                return Some((field.name.clone(), "null", message));
            }
        }
        let fault = self.checks.iter().find_map(|gate| {
            let field = &self.schema.fields()[gate.column].name;
            gate.fault(&rows.columns[gate.column], row, field).map(|(code, message)| (field.clone(), code, message))
        });
        fault.or_else(|| self.out_of_time(rows, row, now))
    }

    /// An event at a time that no calendar has, or that claims to lie further ahead than the source allows.
    fn out_of_time(&self, rows: &Batch, row: usize, now: Option<Timestamp>) -> Option<(String, &'static str, String)> {
        let time = |column: usize| match rows.columns[column].get(row) {
            Some(Value::Timestamp(time)) => Some(time),
            _ => None,
        };
        let event_time = time(self.event_time)?;
        let known = self.available_time.map_or(now, time);
        for (column, each) in [(Some(self.event_time), Some(event_time)), (self.available_time, known)] {
            if let (Some(column), Some(each)) = (column, each.filter(|each| !each.is_in_range())) {
                let name = &self.schema.fields()[column].name;
                return Some((
                    name.clone(),
                    "range",
                    format!("`{name}` is {} microseconds, which is no time", each.as_micros()),
                ));
            }
        }
        let known = known?;
        let span = TimeSpan::from_micros(self.spec.max_future_us.max(0));
        (event_time > known.saturating_add(span)).then(|| {
            let message =
                format!("the event time {event_time} is more than {span} after {known}, when the event became known");
            (self.spec.event_time.clone(), "future", message)
        })
    }

    fn is_duplicate(&self, rows: &Batch, row: usize, seen: &mut Seen) -> bool {
        self.idempotency_key.is_some_and(|column| !seen.insert(key_hash(&rows.columns[column], row)))
    }

    /// Remembers the idempotency keys of events that are in the log.
    pub(crate) fn remember(&self, rows: &Batch, schema: &Schema, seen: &mut Seen) {
        let column = self.spec.idempotency_key.as_ref().and_then(|name| schema.index_of(name));
        if let Some(column) = column {
            seen.extend((0..rows.rows).map(|row| key_hash(&rows.columns[column], row)));
        }
    }

    /// Forgets keys of rows that did not reach the log after all.
    pub(crate) fn forget(&self, rows: &Batch, seen: &mut Seen) {
        if let Some(column) = self.idempotency_key {
            (0..rows.rows).for_each(|row| {
                seen.remove(&key_hash(&rows.columns[column], row));
            });
        }
    }
}

/// A line as it came: the JSON it is, or else its text.
fn raw_line(line: &[u8]) -> serde_json::Value {
    serde_json::from_slice(line).unwrap_or_else(|_| String::from_utf8_lossy(line).into())
}

/// Half of a BLAKE3 hash: enough that two keys never meet by chance.
fn key_hash(column: &Column, row: usize) -> [u8; 16] {
    let hash = blake3::hash(Canonical::new().cell(column, row).as_bytes());
    let (half, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
    *half
}

impl Gate {
    fn new(check: &CheckSpec, schema: &Schema) -> Option<Self> {
        let column = schema.index_of(&check.field)?;
        let field = Field { nullable: false, ..schema.fields()[column].clone() };
        let bound = |json: &serde_json::Value| json::from_json(&field, Some(json)).ok().flatten();
        let one_of = check.one_of.as_ref().map(|values| values.iter().map(bound).collect::<Option<Vec<_>>>());
        Some(Self {
            column,
            min: check.min.as_ref().and_then(bound),
            max: check.max.as_ref().and_then(bound),
            one_of: match one_of {
                Some(values) => Some(values?),
                None => None,
            },
        })
    }

    /// Why the value of a row does not pass; null passes.
    fn fault(&self, column: &Column, row: usize, field: &str) -> Option<(&'static str, String)> {
        let value = column.get(row)?;
        let shown = |value: &Value| json::to_json(Some(value)).to_string();
        if let Some(min) = self.min.as_ref().filter(|min| !at_least(&value, min)) {
            return Some(("min", format!("`{field}` is {}, below the minimum of {}", shown(&value), shown(min))));
        }
        if let Some(max) = self.max.as_ref().filter(|max| !at_least(max, &value)) {
            return Some(("max", format!("`{field}` is {}, above the maximum of {}", shown(&value), shown(max))));
        }
        let allowed = self.one_of.as_ref()?;
        let known = allowed.iter().any(|each| each.same_bits(&value));
        (!known).then(|| {
            let allowed: Vec<_> = allowed.iter().map(shown).collect();
            ("one_of", format!("`{field}` is {}, and must be one of {}", shown(&value), allowed.join(", ")))
        })
    }
}

/// Whether `value` is not below `bound`; a NaN never is.
fn at_least(value: &Value, bound: &Value) -> bool {
    match (value, bound) {
        (Value::Int64(value), Value::Int64(bound)) => value >= bound,
        (Value::Float64(value), Value::Float64(bound)) => value >= bound,
        (Value::Timestamp(value), Value::Timestamp(bound)) => value >= bound,
        _ => false,
    }
}
