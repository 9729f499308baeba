//! The events of a replay: read batch by batch from the log or a snapshot, gated, and put in fold order.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use oast_core::{Batch, Column, DataType, DatasetHash, DatasetHasher, Field, Schema, Timestamp, Values};
use oast_store::Segment;

use super::{
    LogEnd,
    ahead::each_ahead,
    check_stopped, names,
    sort::{Order, Sorted, Sorter},
    storage::Storage,
};
use crate::{
    Arrival, ColumnNames, Progress, Runtime, RuntimeError,
    ingest::{Seen, Source},
    intake::{EventBatches, EventFile},
    spec::SourceSpec,
};

/// What there is to say of the events of one source, once all have been read.
pub(crate) struct History {
    /// How many there are.
    pub(crate) rows: u64,
    /// The hash of the events in fold order with the times they became known: the same from the log and from a snapshot.
    pub(crate) hash: DatasetHash,
    pub(crate) origin: Origin,
    /// What the columns are called in the snapshot.
    pub(crate) names: ColumnNames,
    pub(crate) duplicates: u64,
    pub(crate) quarantined: u64,
}

/// Where events came from.
pub(crate) enum Origin {
    /// The log below this offset, of which these segments are sealed.
    Log { end: u64, segments: Vec<Segment> },
    /// A snapshot file.
    File(PathBuf),
}

impl Origin {
    /// Whether the events come from the log, and not from a file.
    pub(crate) fn is_log(&self) -> bool {
        matches!(self, Self::Log { .. })
    }
}

/// The events of one source that have been read, not yet in order.
pub(super) struct Collected<'s> {
    pub(super) source: Source,
    pub(super) origin: Origin,
    sorter: Sorter<'s>,
    names: ColumnNames,
    duplicates: u64,
    quarantined: u64,
}

impl<'s> Collected<'s> {
    /// Reads the events of a source in the log.
    pub(super) fn from_log(
        runtime: &Runtime,
        spec: &SourceSpec,
        end: LogEnd,
        threads: usize,
        storage: &'s Storage,
        progress: &dyn Progress,
    ) -> Result<Self, RuntimeError> {
        let end = end.unwrap_or_else(|| runtime.log.next_offset());
        let segments = runtime.log.segments(Some(&spec.name)).into_iter().filter(|segment| segment.first_offset < end);
        let origin = Origin::Log { end, segments: segments.collect() };
        let mut collected = Self::new(spec, origin, ColumnNames::default(), storage)?;
        each_ahead(threads, runtime.log.scan(Some(&spec.name), ..end)?, |events| {
            check_stopped(progress)?;
            let events = events?;
            let schema = &collected.source.schema;
            let mut rows = in_schema(schema, &events.schema, &events.rows, &spec.name)?.into_owned();
            let offsets = events.offsets.iter().map(|offset| *offset as i64).collect();
            rows.columns.push(times_column(&events.ingest_times));
            rows.columns.push(Column { values: Values::Int64(offsets), validity: None });
            progress.advance(rows.rows as u64);
            collected.sorter.push(rows)
        })?;
        Ok(collected)
    }

    /// Reads the events of a snapshot file, gated as if they were ingested now.
    pub(super) fn from_file(
        spec: &SourceSpec,
        path: &Path,
        names: ColumnNames,
        threads: usize,
        storage: &'s Storage,
        progress: &dyn Progress,
    ) -> Result<Self, RuntimeError> {
        let new = || Self::new(spec, Origin::File(path.to_owned()), names.clone(), storage);
        let source = Source::new(spec.clone())?;
        let file = EventFile::find(&source, path, None, &names)?;
        let mut collected = new()?;
        match file.batches(threads).and_then(|batches| collected.take_in(batches, threads, progress)) {
            Err(error) if file.is_for_each_row(&error) => {
                collected = new()?;
                collected.take_in(file.row_by_row()?, threads, progress)?;
            }
            taken => taken.map_err(|error| {
                names::explained(error, "the snapshot", || {
                    let (name, wanted) = (&spec.name, source.loose.names_quoted());
                    format!(
                        "`{name}` has {wanted}; `--map {name}.NAME=COLUMN` says what the snapshot calls one of them"
                    )
                })
            })?,
        }
        Ok(collected)
    }

    fn new(spec: &SourceSpec, origin: Origin, names: ColumnNames, storage: &'s Storage) -> Result<Self, RuntimeError> {
        let source = Source::new(spec.clone())?;
        let mut types: Vec<DataType> = source.schema.fields().iter().map(|field| field.data_type).collect();
        let known = types.len();
        types.push(DataType::Timestamp);
        if origin.is_log() {
            types.push(DataType::Int64);
        }
        let order = Order { event_time: source.event_time, known, by_known: !origin.is_log() };
        let sorter = Sorter::new(storage, types, order);
        Ok(Self { source, origin, sorter, names, duplicates: 0, quarantined: 0 })
    }

    /// Gates events of a snapshot. A key that was seen before is a duplicate, for which the hash of every key stays in memory.
    fn take_in(
        &mut self,
        batches: EventBatches<'_>,
        threads: usize,
        progress: &dyn Progress,
    ) -> Result<(), RuntimeError> {
        let mut seen = Seen::new();
        each_ahead(threads, batches, |batch| {
            check_stopped(progress)?;
            let (rows, numbers, unreadable) = batch?;
            let gated = self.source.gate(&rows, &numbers, None, &mut seen);
            self.duplicates += gated.duplicates;
            self.quarantined += (gated.quarantined.len() + unreadable.len()) as u64;
            let passed = if gated.passed.len() == rows.rows { rows } else { rows.take(&gated.passed) };
            let passed = passed.into_canonical(&self.source.schema);
            let mut passed = passed.map_err(|error| {
                RuntimeError::request(error.to_string(), "replay from columns of the source's types")
            })?;
            let known = self.source.known_times(&passed, Arrival::History).unwrap_or_default();
            passed.columns.push(times_column(&known));
            progress.advance(passed.rows as u64);
            self.sorter.push(passed)
        })
    }

    /// How many events there are.
    pub(super) fn rows(&self) -> u64 {
        self.sorter.rows()
    }

    /// The events in fold order, and what they are hashed by.
    pub(super) fn in_order(self) -> Result<(Ordered<'s>, DatasetHasher), RuntimeError> {
        let Self { source, origin, sorter, names, duplicates, quarantined } = self;
        let hasher = DatasetHasher::new(&with_known_times(&source.schema));
        let rows = sorter.rows();
        let sorted = sorter.finish()?;
        let facts = Facts { rows, origin, names, duplicates, quarantined };
        Ok((Ordered { source, sorted, next: 0, facts }, hasher))
    }
}

/// What is known of events before they are hashed.
struct Facts {
    rows: u64,
    origin: Origin,
    names: ColumnNames,
    duplicates: u64,
    quarantined: u64,
}

/// The events of one source in fold order, part by part.
pub(super) struct Ordered<'s> {
    pub(super) source: Source,
    sorted: Sorted<'s>,
    next: u64,
    facts: Facts,
}

/// Some events in fold order.
pub(super) struct OrderedEvents {
    /// The columns of the source, and as the last one when each became known.
    pub(super) rows: Batch,
    /// The place of the first among all events.
    pub(super) first: u64,
    /// Where each stands among those that happened at the same time: its offset in the log, or its place. Of two events of a
    /// snapshot that happened at once, the one that was known first comes first in both.
    pub(super) offsets: Vec<u64>,
}

impl Ordered<'_> {
    /// The next events, in so many parts, which are put together on so many threads.
    pub(super) fn next_parts(&mut self, parts: usize, threads: usize) -> Result<Vec<OrderedEvents>, RuntimeError> {
        let is_log = self.facts.origin.is_log();
        let mut found = Vec::new();
        for mut rows in self.sorted.next_parts(parts, threads)? {
            let first = self.next;
            self.next += rows.rows as u64;
            let offsets = match is_log.then(|| rows.columns.pop()).flatten() {
                Some(Column { values: Values::Int64(offsets), .. }) => {
                    offsets.into_iter().map(|offset| offset as u64).collect()
                }
                _ => (first..self.next).collect(),
            };
            found.push(OrderedEvents { rows, first, offsets });
        }
        Ok(found)
    }

    /// What there is to say of the events, once all of them were hashed.
    pub(super) fn finish(self, hasher: DatasetHasher) -> History {
        let Facts { rows, origin, names, duplicates, quarantined } = self.facts;
        History { rows, hash: hasher.finish(), origin, names, duplicates, quarantined }
    }
}

fn times_column(times: &[Timestamp]) -> Column {
    Column { values: Values::Timestamp(times.iter().map(|time| time.as_micros()).collect()), validity: None }
}

/// The schema of events with the times they became known.
fn with_known_times(schema: &Schema) -> Schema {
    let known = Field::new(oast_store::INGEST_TIME_COLUMN, DataType::Timestamp);
    let fields = schema.fields().iter().cloned().chain([known]);
    Schema::new(fields.collect()).expect("no source has a column of that reserved name")
}

/// Logged rows in the schema that a source has now, or had when a view was published.
pub(crate) fn in_schema<'r>(
    wanted: &Schema,
    found: &Schema,
    rows: &'r Batch,
    source: &str,
) -> Result<Cow<'r, Batch>, RuntimeError> {
    if wanted == found {
        return Ok(Cow::Borrowed(rows));
    }
    let column = |field: &Field| match found.index_of(&field.name) {
        Some(index) if found.fields()[index].data_type == field.data_type => {
            let column = rows.columns[index].clone();
            column.into_canonical(field, rows.rows).map_err(|_| missing(source, field))
        }
        None if field.nullable => Ok(Column::nulls(field.data_type, rows.rows)),
        _ => Err(missing(source, field)),
    };
    let columns = wanted.fields().iter().map(column).collect::<Result<_, _>>()?;
    Ok(Cow::Owned(Batch { rows: rows.rows, columns }))
}

fn missing(source: &str, field: &Field) -> RuntimeError {
    RuntimeError::request(
        format!("older events of `{source}` have no column `{field}`"),
        "make the column nullable in the definition, so that older events can go without it, or give the source a new name",
    )
}
