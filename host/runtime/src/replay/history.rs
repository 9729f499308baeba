use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use oast_core::{Batch, Column, DatasetHash, DatasetHasher, Field, Schema, Timestamp};
use oast_store::Segment;

use crate::{
    Arrival, ColumnNames, Runtime, RuntimeError,
    ingest::{Seen, Source},
    intake::{read_file, read_mapped},
    online::{FoldOrder, times},
    replay::LogEnd,
    spec::SourceSpec,
};

/// The events of one source, in fold order.
pub(crate) struct History {
    pub(crate) schema: Schema,
    pub(crate) rows: Batch,
    pub(crate) orders: Vec<FoldOrder>,
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

impl History {
    /// Whether the events come from the log, and not from a file.
    pub(crate) fn is_from_log(&self) -> bool {
        matches!(self.origin, Origin::Log { .. })
    }

    /// The events of a source in the log.
    pub(crate) fn from_log(runtime: &Runtime, spec: &SourceSpec, end: LogEnd) -> Result<Self, RuntimeError> {
        let source = Source::new(spec.clone())?;
        let end = end.unwrap_or_else(|| runtime.log.next_offset());
        let mut rows = Batch::empty(&source.schema);
        let (mut known, mut offsets) = (Vec::new(), Vec::new());
        for events in runtime.log.scan(Some(&spec.name), ..end)? {
            let events = events?;
            rows.append(in_schema(&source.schema, &events.schema, &events.rows, &spec.name)?.as_ref());
            known.extend(events.ingest_times);
            offsets.extend(events.offsets);
        }
        let segments = runtime.log.segments(Some(&spec.name)).into_iter().filter(|segment| segment.first_offset < end);
        let origin = Origin::Log { end, segments: segments.collect() };
        Ok(Self::new(&source, rows, &known, &offsets, origin))
    }

    /// The events of a snapshot file, gated as if they were ingested now.
    pub(crate) fn from_file(spec: &SourceSpec, path: &Path, names: ColumnNames) -> Result<Self, RuntimeError> {
        let source = Source::new(spec.clone())?;
        let (rows, numbers, unreadable) = if names.is_empty() {
            read_file(&source, path, None)?
        } else {
            let (rows, numbers) = read_mapped(&source, path, &names)?;
            (rows, numbers, Vec::new())
        };
        let gated = source.gate(&rows, &numbers, None, &mut Seen::new());
        let mut order = gated.passed;
        source.put_in_order(&mut order, &rows, Arrival::History);
        let passed = rows.take(&order).into_canonical(&source.schema);
        let passed = passed
            .map_err(|error| RuntimeError::request(error.to_string(), "replay from columns of the source's types"))?;
        let known = source.known_times(&passed, Arrival::History).unwrap_or_default();
        let offsets: Vec<u64> = (0..passed.rows as u64).collect();
        let mut history = Self::new(&source, passed, &known, &offsets, Origin::File(path.to_owned()));
        history.names = names;
        history.duplicates = gated.duplicates;
        history.quarantined = (gated.quarantined.len() + unreadable.len()) as u64;
        Ok(history)
    }

    fn new(source: &Source, rows: Batch, known: &[Timestamp], offsets: &[u64], origin: Origin) -> Self {
        let event_times = times(&rows, source.event_time);
        let mut order: Vec<u32> = (0..rows.rows as u32).collect();
        let place = |row: u32| (event_times[row as usize].max(known[row as usize]), offsets[row as usize]);
        order.sort_by_key(|row| place(*row));
        let orders = order.iter().map(|row| place(*row)).collect();
        let rows = if order.is_sorted() { rows } else { rows.take(&order) };
        let known: Vec<Timestamp> = order.iter().map(|row| known[*row as usize]).collect();
        let hash = hash(&source.schema, &rows, &known);
        Self {
            schema: source.schema.clone(),
            rows,
            orders,
            hash,
            origin,
            names: ColumnNames::default(),
            duplicates: 0,
            quarantined: 0,
        }
    }
}

/// Hashes events with the times they became known.
fn hash(schema: &Schema, rows: &Batch, known: &[Timestamp]) -> DatasetHash {
    let mut fields = schema.fields().to_vec();
    fields.push(Field::new(oast_store::INGEST_TIME_COLUMN, oast_core::DataType::Timestamp));
    let schema = Schema::new(fields).expect("no source has a column of that reserved name");
    let values = oast_core::Values::Timestamp(known.iter().map(|time| time.as_micros()).collect());
    let mut columns = rows.columns.clone();
    columns.push(Column { values, validity: None });
    let mut hasher = DatasetHasher::new(&schema);
    hasher.update(&Batch { rows: rows.rows, columns });
    hasher.finish()
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
