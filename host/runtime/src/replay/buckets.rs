//! The work of a view in buckets of entity keys: each has the events of some keys, in fold order, and the spine rows that ask
//! for them.
//!
//! Which bucket a key is in, and how many there are, follows from the inputs alone: not from memory, threads or files.

use std::sync::Mutex;

use oast_core::{Batch, Blobs, Column, ColumnBuilder, DataType, EntityKey, Timestamp, Values};

use super::{
    History, Spine, check_stopped,
    events::{Collected, OrderedEvents, in_schema},
    in_parallel,
    sort::micros,
    spine::SpineRows,
    storage::{Partitions, Storage},
};
use crate::{
    Progress, RuntimeError,
    binding::{TransformStep, row_schema},
    online::prepare,
    retention::Retired,
    view::{Shape, View},
};

/// How many events and lookups a bucket has, more or less, so that a guest call has many rows and a bucket fits into memory.
pub(super) const STEPS_PER_BUCKET: u64 = 16_384;

/// The most buckets of a view: with more, what memory holds of each would be too little to write at once.
const BUCKETS_MAX: u64 = 4096;

/// How many spine rows are put into buckets at once.
const SPINE_ROWS: usize = 16_384;

/// How many parts of the events each thread has to do before all go on: the parts are in memory.
const PARTS_PER_THREAD: usize = 4;

/// The first columns of an event in a bucket; those that the view uses follow.
pub(super) const EVENT_COLUMNS: [DataType; 4] =
    [DataType::Binary, DataType::Timestamp, DataType::Timestamp, DataType::Int64];

/// The columns of a lookup in a bucket: key, time, row of the spine.
const LOOKUP_COLUMNS: [DataType; 3] = [DataType::Binary, DataType::Timestamp, DataType::Int64];

/// The work of one view.
pub(super) struct Buckets<'s> {
    pub(super) count: usize,
    /// Key (none where a part of it is null), time and row.
    pub(super) lookups: Partitions<'s>,
    /// Key, the time it is visible from, event time, offset, and the columns that features are made from.
    pub(super) events: Partitions<'s>,
    /// Which columns of the view's rows those are.
    pub(super) used: Vec<usize>,
    /// The types of all columns of the view's rows.
    pub(super) row_types: Vec<DataType>,
    asked: Asked,
    /// How many events a transform rejected or failed on.
    pub(super) failed: u64,
    /// How many rows were run again, alone.
    pub(super) audited: u64,
}

impl<'s> Buckets<'s> {
    /// No work yet, for so many events and spine rows.
    pub(super) fn new(view: &View, events: u64, spine: u64, storage: &'s Storage) -> Self {
        let count = (events + spine).div_ceil(STEPS_PER_BUCKET).clamp(1, BUCKETS_MAX).next_power_of_two() as usize;
        let row = view.transforms.last().map(TransformStep::row).cloned();
        let row = row.unwrap_or_else(|| row_schema(&view.source_schema));
        let row_types: Vec<DataType> = row.fields().iter().map(|field| field.data_type).collect();
        let used = used_columns(view);
        let event_types = EVENT_COLUMNS.into_iter().chain(used.iter().map(|column| row_types[*column])).collect();
        Self {
            count,
            lookups: Partitions::new(storage, LOOKUP_COLUMNS.to_vec(), count),
            events: Partitions::new(storage, event_types, count),
            used,
            row_types,
            asked: Asked::new(spine),
            failed: 0,
            audited: 0,
        }
    }

    /// How many events and lookups there are in a bucket.
    pub(super) fn steps(&self, bucket: usize) -> u64 {
        self.events.rows(bucket) + self.lookups.rows(bucket)
    }

    fn bucket(&self, hash: u64) -> usize {
        // The lower bits tell which keys are asked for.
        (hash >> 40) as usize % self.count
    }

    fn add_lookups(&mut self, view: &View, spine: &Spine, rows: &Batch, first: u64) -> Result<(), RuntimeError> {
        let columns: Vec<&Column> = view.spec.entity.iter().map(|name| &rows.columns[spine.column(name)]).collect();
        let (mut keys, mut valid, mut buckets) = (Blobs::default(), Vec::with_capacity(rows.rows), Vec::new());
        let mut key = Vec::new();
        for row in 0..rows.rows {
            let is_whole = columns.iter().all(|column| column.is_valid(row));
            valid.push(u8::from(is_whole));
            if !is_whole {
                keys.push(&[]);
                buckets.push((first as usize + row) % self.count);
                continue;
            }
            key.clear();
            let parts = view.spec.entity.iter().map(String::as_str).zip(columns.iter().copied());
            EntityKey::encode_row(&mut key, parts, row)?;
            let hash = hash(&key);
            self.asked.add(hash);
            keys.push(&key);
            buckets.push(self.bucket(hash));
        }
        let validity = valid.contains(&0).then_some(valid);
        let places = (first as i64..first as i64 + rows.rows as i64).collect();
        let times = rows.columns[spine.column(&spine.time_column)].clone();
        let columns = vec![Column { values: Values::Binary(keys), validity }, times, whole(Values::Int64(places))];
        self.lookups.append(split(&Batch { rows: rows.rows, columns }, &buckets, self.count))
    }

    /// Transforms events and says which bucket each belongs to. Those that nobody asks for are left out.
    fn prepare(&self, view: &View, source: &Events<'_>) -> Result<Prepared, RuntimeError> {
        let part = source.part;
        // The column behind those of the source says when each event became known.
        let known = source.schema.len();
        let rows = Batch { rows: part.rows.rows, columns: part.rows.columns[..known].to_vec() };
        let rows = in_schema(&view.source_schema, source.schema, &rows, &view.spec.source.name)?;
        let prepared = prepare(view, &rows, Some(part.first))?;
        let known = micros(&part.rows, known);
        let event_times = micros(&rows, view.event_time);
        let (mut chosen, mut buckets, mut keys) = (Vec::new(), Vec::new(), Blobs::default());
        let (mut visible, mut times, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
        let mut key = Vec::new();
        for (at, event) in prepared.kept.iter().enumerate() {
            let event = *event as usize;
            key.clear();
            view.encode_key(&mut key, &rows, event)?;
            let hash = hash(&key);
            if !self.asked.may_have(hash) {
                continue;
            }
            chosen.push(at as u32);
            buckets.push(self.bucket(hash));
            keys.push(&key);
            visible.push(event_times[event].max(known[event]));
            times.push(event_times[event]);
            offsets.push(part.offsets[event] as i64);
        }
        let is_all = chosen.len() == prepared.rows.rows;
        let used = self.used.iter().map(|column| &prepared.rows.columns[*column]);
        let used = used.map(|column| if is_all { column.clone() } else { column.take(&chosen) });
        let own = [Values::Binary(keys), Values::Timestamp(visible), Values::Timestamp(times), Values::Int64(offsets)];
        let columns = own.map(whole).into_iter().chain(used).collect();
        Ok(Prepared {
            rows: split(&Batch { rows: chosen.len(), columns }, &buckets, self.count),
            failed: prepared.failed,
            audited: prepared.audited,
        })
    }
}

/// Events of a source, in its schema.
struct Events<'e> {
    schema: &'e oast_core::Schema,
    part: &'e OrderedEvents,
}

/// Transformed events by bucket.
struct Prepared {
    rows: Vec<(usize, Batch)>,
    failed: u64,
    audited: u64,
}

/// A view, and the work there is for it.
pub(super) struct ViewWork<'v, 's> {
    /// Its place in the service.
    pub(super) at: usize,
    pub(super) view: &'v View,
    /// The events that it may lack.
    pub(super) retired: Option<Retired>,
    pub(super) buckets: Buckets<'s>,
}

/// Puts the rows of the spine into the buckets of views of one source. Rows that need events that retention removed are
/// refused.
pub(super) fn add_spine(
    views: &mut [ViewWork<'_, '_>],
    spine: &Spine,
    rows: &SpineRows<'_>,
    progress: &dyn Progress,
) -> Result<(), RuntimeError> {
    let mut lacking = vec![0; views.len()];
    let mut first = 0;
    for rows in rows.read(SPINE_ROWS) {
        check_stopped(progress)?;
        let rows = rows?;
        let times = spine.times(&rows);
        for (work, lacking) in views.iter_mut().zip(&mut lacking) {
            *lacking += work.retired.as_ref().map_or(0, |retired| retired.lacking(&times));
            work.buckets.add_lookups(work.view, spine, &rows, first)?;
        }
        first += rows.rows as u64;
    }
    let refused = views.iter().zip(lacking).find_map(|(work, lacking)| {
        work.retired.as_ref().filter(|_| lacking > 0).map(|retired| retired.refusal(lacking, first))
    });
    refused.map_or(Ok(()), Err)
}

/// Puts the events of a source into the buckets of each of its views, in fold order.
pub(super) fn add_events(
    events: Collected<'_>,
    views: &mut [ViewWork<'_, '_>],
    threads: usize,
    progress: &dyn Progress,
) -> Result<History, RuntimeError> {
    progress.phase(&format!("sorting {}", events.source.spec.name), Some(events.rows()));
    let (mut ordered, mut hasher) = events.in_order()?;
    let mut before = Vec::new();
    loop {
        check_stopped(progress)?;
        let parts = ordered.next_parts(threads * PARTS_PER_THREAD, threads)?;
        if parts.is_empty() {
            file(views, before)?;
            return Ok(ordered.finish(hasher));
        }
        let (hashed, filed) = (Mutex::new(&mut hasher), Mutex::new(before));
        // Hash and buckets take one part after the other, so that each is a piece of work by itself.
        let prepared = in_parallel(threads, 2 + parts.len() * views.len(), &|piece| match piece {
            0 => {
                let mut hasher = hashed.lock().expect("one thread hashes");
                parts.iter().for_each(|part| hasher.update(&part.rows));
                Ok(None)
            }
            1 => file(views, std::mem::take(&mut filed.lock().expect("one thread files"))).map(|()| None),
            piece => {
                let (part, view) = ((piece - 2) / views.len(), (piece - 2) % views.len());
                let events = Events { schema: &ordered.source.schema, part: &parts[part] };
                views[view].buckets.prepare(views[view].view, &events).map(Some)
            }
        })?;
        let count = views.len();
        let count_in = |(piece, prepared): (usize, Prepared)| {
            let view = piece % count;
            views[view].buckets.failed += prepared.failed;
            views[view].buckets.audited += prepared.audited;
            (view, prepared.rows)
        };
        before = prepared.into_iter().flatten().enumerate().map(count_in).collect();
        progress.advance(parts.iter().map(|part| part.rows.rows as u64).sum());
    }
}

/// Puts events into the buckets of views, which are given by their place.
fn file(views: &[ViewWork<'_, '_>], prepared: Vec<(usize, Vec<(usize, Batch)>)>) -> Result<(), RuntimeError> {
    prepared.into_iter().try_for_each(|(view, rows)| views[view].buckets.events.append(rows))
}

/// The columns that features are made from.
fn used_columns(view: &View) -> Vec<usize> {
    let mut used: Vec<usize> = match &view.shape {
        Shape::Aggregates { aggregates, .. } => aggregates.iter().flat_map(|each| each.bound.input.clone()).collect(),
        Shape::Latest(columns) => columns.clone(),
    };
    used.sort_unstable();
    used.dedup();
    used
}

pub(super) fn whole(values: Values) -> Column {
    Column { values, validity: None }
}

/// Rows by bucket, those of each in their order.
pub(super) fn split(rows: &Batch, of_rows: &[usize], count: usize) -> Vec<(usize, Batch)> {
    if count == 1 {
        return vec![(0, rows.clone())];
    }
    let mut of_bucket: Vec<Vec<u32>> = vec![Vec::new(); count];
    of_rows.iter().zip(0..).for_each(|(bucket, row)| of_bucket[*bucket].push(row));
    let filled = of_bucket.iter().enumerate().filter(|(_, chosen)| !chosen.is_empty());
    filled.map(|(bucket, chosen)| (bucket, rows.take(chosen))).collect()
}

/// Which keys the spine may ask for, by a bit of their hash: a key that it does not ask for may seem to be one that it does,
/// and then takes up some room.
struct Asked {
    bits: Vec<u64>,
}

impl Asked {
    /// A bit for every key, and room enough that few others share it: 16 MiB at most.
    fn new(keys: u64) -> Self {
        let bits = (keys * 16).clamp(1 << 10, 1 << 27).next_power_of_two();
        Self { bits: vec![0; (bits / 64) as usize] }
    }

    fn place(&self, hash: u64) -> (usize, u64) {
        let bit = hash as usize % (self.bits.len() * 64);
        (bit / 64, 1 << (bit % 64))
    }

    fn add(&mut self, hash: u64) {
        let (word, bit) = self.place(hash);
        self.bits[word] |= bit;
    }

    fn may_have(&self, hash: u64) -> bool {
        let (word, bit) = self.place(hash);
        self.bits[word] & bit != 0
    }
}

/// FNV-1a with its bits mixed afterwards. It decides where rows lie, and no value.
fn hash(bytes: &[u8]) -> u64 {
    let folded = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (folded ^ folded >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 29
}

/// The rows of a view out of what a bucket has of them: the columns that nothing uses are empty.
pub(super) fn view_rows(buckets: &Buckets<'_>, rows: &mut Batch) -> Batch {
    let used = rows.columns.split_off(EVENT_COLUMNS.len());
    let mut columns: Vec<Column> =
        buckets.row_types.iter().map(|data_type| ColumnBuilder::new(*data_type).finish()).collect();
    buckets.used.iter().zip(used).for_each(|(at, column)| columns[*at] = column);
    Batch { rows: rows.rows, columns }
}

/// A column of times.
pub(super) fn timestamps(rows: &Batch, column: usize) -> Vec<Timestamp> {
    micros(rows, column).iter().copied().map(Timestamp::from_micros).collect()
}
