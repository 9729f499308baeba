use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use oast_core::{Batch, Column, ColumnBuilder, EntityKey, Field, Status, Timestamp};

use crate::{
    Progress, RuntimeError,
    binding::row_columns,
    fold::{Features, Fold, KeyState},
    online::{FoldOrder, Prepared, prepare, times},
    replay::{History, Spine, latest},
    view::{Shape, View},
};

/// How many events and lookups a chunk of keys has, unless a single key has more.
pub(super) const STEPS_PER_CHUNK: usize = 16_384;

/// How many events a thread transforms at a time.
const EVENTS_PER_PART: usize = 65_536;

/// The entity keys that the spine asks for, numbered as they come.
struct Asked {
    numbers: HashMap<EntityKey, u32>,
    /// The number of each spine row's key; none where a part of it is null.
    of_rows: Vec<Option<u32>>,
}

impl Asked {
    /// The number of the key of each of these events; none if the spine does not ask for it.
    fn keys_of(
        &self,
        view: &View,
        events: &Batch,
        rows: impl Iterator<Item = usize>,
    ) -> Result<Vec<Option<u32>>, RuntimeError> {
        let mut bytes = Vec::new();
        rows.map(|row| {
            bytes.clear();
            view.encode_key(&mut bytes, events, row)?;
            Ok(self.numbers.get(&bytes[..]).copied())
        })
        .collect()
    }
}

/// The events of a view after its transforms.
pub(super) struct Events {
    /// Without the values of columns that no feature is made from.
    pub(super) rows: Batch,
    /// The number of each event's key; none if the spine does not ask for it.
    keys: Vec<Option<u32>>,
    pub(super) orders: Vec<FoldOrder>,
    pub(super) times: Vec<Timestamp>,
    /// How many events a transform rejected or failed on.
    failed: u64,
    /// How many rows were run again, alone.
    audited: u64,
}

/// What is to be done for one key, in order of time.
pub(super) struct KeyWork {
    pub(super) events: Vec<u32>,
    pub(super) lookups: Vec<u32>,
}

/// What a chunk of keys came to: the features of these spine rows.
pub(super) struct Chunk {
    pub(super) rows: Vec<u32>,
    pub(super) features: Vec<Features>,
}

/// The features of a view for every spine row, in spine order. Chunks that are done already are not done again, and those that
/// are done when the replay is stopped stay.
pub(super) fn compute_view(
    view: &View,
    history: &History,
    spine: &Spine,
    threads: usize,
    progress: &dyn Progress,
    done: &mut BTreeMap<usize, Chunk>,
) -> Result<Features, RuntimeError> {
    progress.phase(&format!("replaying {}", view.spec.name), Some(spine.rows.rows as u64));
    let asked = asked(view, spine)?;
    let events = transform(view, history, &asked, threads, progress)?;
    let chunks = chunk(group(&events, &asked, spine));
    done.values().for_each(|chunk| progress.advance(chunk.rows.len() as u64));
    let missing: Vec<usize> = (0..chunks.len()).filter(|index| !done.contains_key(index)).collect();
    let finished = Mutex::new(std::mem::take(done));
    let outcome = in_parallel(threads, missing.len(), &|at| {
        check_stopped(progress)?;
        let index = missing[at];
        let result = run_chunk(view, &events, spine, &chunks[index])?;
        progress.advance(result.rows.len() as u64);
        finished.lock().expect("no thread panics while it files a chunk").insert(index, result);
        Ok(())
    });
    *done = finished.into_inner().expect("no thread panics while it files a chunk");
    outcome?;
    let mut features = in_spine_order(view, done, spine.rows.rows);
    features.failed_rows += events.failed;
    features.audited_rows += events.audited;
    Ok(features)
}

/// Runs numbered pieces of work on some threads and returns what they came to, in order of number.
pub(crate) fn in_parallel<T: Send>(
    threads: usize,
    count: usize,
    work: &(dyn Fn(usize) -> Result<T, RuntimeError> + Sync),
) -> Result<Vec<T>, RuntimeError> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let results: Mutex<Vec<(usize, Result<T, RuntimeError>)>> = Mutex::new(Vec::with_capacity(count));
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count || failed.load(Ordering::Relaxed) {
                        return;
                    }
                    let result = work(index);
                    failed.fetch_or(result.is_err(), Ordering::Relaxed);
                    results.lock().expect("no thread panics while it files a result").push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no thread panics while it files a result");
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Ends the replay if whoever watches it wants that.
pub(super) fn check_stopped(progress: &dyn Progress) -> Result<(), RuntimeError> {
    if progress.is_stopped() { Err(RuntimeError::Stopped) } else { Ok(()) }
}

/// Runs the view's transforms over all events.
fn transform(
    view: &View,
    history: &History,
    asked: &Asked,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Events, RuntimeError> {
    let source = super::in_schema(&view.source_schema, &history.schema, &history.rows, &view.spec.source.name)?;
    let parts = source.rows.div_ceil(EVENTS_PER_PART);
    let prepared = in_parallel(threads, parts, &|part| {
        check_stopped(progress)?;
        let start = part * EVENTS_PER_PART;
        let end = source.rows.min(start + EVENTS_PER_PART);
        let prepared = prepare_used(view, &source, start, end)?;
        let keys = asked.keys_of(view, &source, prepared.kept.iter().map(|row| start + *row as usize))?;
        Ok((prepared, keys))
    })?;
    let mut rows: Option<Batch> = None;
    let (mut kept, mut keys) = (Vec::new(), Vec::new());
    let (mut failed, mut audited) = (0, 0);
    for (part, (prepared, of_part)) in prepared.into_iter().enumerate() {
        keys.extend(of_part);
        failed += prepared.failed;
        audited += prepared.audited;
        kept.extend(prepared.kept.iter().map(|row| part * EVENTS_PER_PART + *row as usize));
        match &mut rows {
            Some(rows) => rows.append(&prepared.rows),
            None => rows = Some(prepared.rows),
        }
    }
    let event_times = times(&source, view.event_time);
    Ok(Events {
        failed,
        audited,
        rows: rows.unwrap_or_default(),
        keys,
        orders: kept.iter().map(|row| history.orders[*row]).collect(),
        times: kept.iter().map(|row| event_times[*row]).collect(),
    })
}

/// The rows of some events after the view's transforms. Columns that no feature is made from are empty, since a replay holds the
/// rows of all events.
fn prepare_used(view: &View, source: &Batch, start: usize, end: usize) -> Result<Prepared, RuntimeError> {
    let used: BTreeSet<usize> = match &view.shape {
        Shape::Aggregates { aggregates, .. } => aggregates.iter().flat_map(|each| each.bound.input.clone()).collect(),
        Shape::Latest(columns) => columns.iter().copied().collect(),
    };
    let unused = |column: &Column| ColumnBuilder::new(column.data_type()).finish();
    if view.transforms.is_empty() {
        // Nothing else looks at the rows, so what is not used is not even copied.
        let columns = row_columns(source, view.event_time, &view.source_schema).enumerate();
        let used_part = |(at, column): (usize, &Column)| match used.contains(&at) {
            true => column.slice(start, end),
            false => unused(column),
        };
        let rows = Batch { rows: end - start, columns: columns.map(used_part).collect() };
        return Ok(Prepared { rows, kept: (0..(end - start) as u32).collect(), failed: 0, audited: 0 });
    }
    let mut prepared = prepare(view, &source.slice(start, end), Some(start as u64))?;
    for (_, column) in prepared.rows.columns.iter_mut().enumerate().filter(|(at, _)| !used.contains(at)) {
        *column = unused(column);
    }
    Ok(prepared)
}

/// Numbers the entity keys of the spine.
fn asked(view: &View, spine: &Spine) -> Result<Asked, RuntimeError> {
    let columns: Vec<&Column> = view.spec.entity.iter().map(|name| spine.column(name)).collect();
    let mut numbers: HashMap<EntityKey, u32> = HashMap::new();
    let mut bytes = Vec::new();
    let mut of_rows = Vec::with_capacity(spine.rows.rows);
    for row in 0..spine.rows.rows {
        if columns.iter().any(|column| !column.is_valid(row)) {
            of_rows.push(None);
            continue;
        }
        let parts = || view.spec.entity.iter().map(String::as_str).zip(columns.iter().copied());
        bytes.clear();
        EntityKey::encode_row(&mut bytes, parts(), row)?;
        if let Some(number) = numbers.get(&bytes[..]) {
            of_rows.push(Some(*number));
            continue;
        }
        let next = u32::try_from(numbers.len()).expect("a spine has fewer than 4 billion rows");
        numbers.insert(EntityKey::encode(parts().map(|(name, column)| (name, column.get(row))))?, next);
        of_rows.push(Some(next));
    }
    Ok(Asked { numbers, of_rows })
}

/// The work of each key that the spine asks for. Events stay in fold order; spine rows are put in order of time.
fn group(events: &Events, asked: &Asked, spine: &Spine) -> Vec<KeyWork> {
    let empty = || KeyWork { events: Vec::new(), lookups: Vec::new() };
    // Rows without a key come last.
    let mut keys: Vec<KeyWork> = std::iter::repeat_with(empty).take(asked.numbers.len() + 1).collect();
    for (key, event) in events.keys.iter().zip(0..) {
        if let Some(key) = key {
            keys[*key as usize].events.push(event);
        }
    }
    for (key, row) in asked.of_rows.iter().zip(0..) {
        keys[key.map_or(asked.numbers.len(), |key| key as usize)].lookups.push(row);
    }
    for key in &mut keys {
        key.lookups.sort_by_key(|row| spine.times[*row as usize]);
    }
    keys
}

/// Puts small keys together, so that a guest call has many rows.
fn chunk(keys: Vec<KeyWork>) -> Vec<Vec<KeyWork>> {
    let mut chunks: Vec<Vec<KeyWork>> = Vec::new();
    let mut steps = usize::MAX;
    for key in keys {
        let own = key.events.len() + key.lookups.len();
        if steps.saturating_add(own) > STEPS_PER_CHUNK {
            chunks.push(Vec::new());
            steps = 0;
        }
        steps += own;
        chunks.last_mut().expect("a chunk was begun").push(key);
    }
    chunks
}

/// Something that happens to a key.
enum Happening {
    Event(u32),
    Lookup(u32),
}

/// The events and lookups of a key in order of time: a lookup comes before the events visible at its very time.
fn happenings(work: &KeyWork, events: &Events, spine: &Spine) -> Vec<Happening> {
    let mut happenings = Vec::with_capacity(work.events.len() + work.lookups.len());
    let mut next = 0;
    for row in &work.lookups {
        let time = spine.times[*row as usize];
        while next < work.events.len() && events.orders[work.events[next] as usize].0 < time {
            happenings.push(Happening::Event(work.events[next]));
            next += 1;
        }
        happenings.push(Happening::Lookup(*row));
    }
    happenings
}

fn run_chunk(view: &View, events: &Events, spine: &Spine, chunk: &[KeyWork]) -> Result<Chunk, RuntimeError> {
    if let Shape::Latest(columns) = &view.shape {
        return Ok(latest::run_chunk(view, columns, events, spine, chunk));
    }
    let mut fold = Fold::audited(view, &events.rows);
    let mut result = Chunk { rows: Vec::new(), features: Vec::new() };
    for work in chunk {
        let mut key = KeyState::new(view);
        let before = result.rows.len();
        for part in happenings(work, events, spine).chunks(STEPS_PER_CHUNK) {
            run_part(&mut fold, &mut key, part, events, spine, &mut result);
            if fold.pending() >= STEPS_PER_CHUNK {
                result.features.push(fold.evaluate()?);
                if let Some(lookup) = result.rows[before..].last() {
                    key.forget_before(view, spine.times[*lookup as usize]);
                }
                fold.settle(&mut key);
                fold.clear();
            }
        }
    }
    result.features.push(fold.evaluate()?);
    Ok(result)
}

fn run_part(
    fold: &mut Fold<'_>,
    key: &mut KeyState,
    part: &[Happening],
    events: &Events,
    spine: &Spine,
    result: &mut Chunk,
) {
    for happening in part {
        match happening {
            Happening::Event(number) => {
                let event = *number as usize;
                fold.event(key, *number, events.times[event], events.orders[event].1);
            }
            Happening::Lookup(lookup) => {
                fold.lookup(key, spine.times[*lookup as usize]);
                result.rows.push(*lookup);
            }
        }
    }
}

/// Puts the features of all chunks together in spine order.
fn in_spine_order(view: &View, chunks: &BTreeMap<usize, Chunk>, rows: usize) -> Features {
    let mut places = vec![0_u32; rows];
    for (row, place) in chunks.values().flat_map(|chunk| &chunk.rows).zip(0..) {
        places[*row as usize] = place;
    }
    let parts: Vec<&Features> = chunks.values().flat_map(|chunk| &chunk.features).collect();
    let newest: Vec<_> = parts.iter().flat_map(|part| &part.newest).copied().collect();
    Features {
        columns: view
            .features
            .iter()
            .enumerate()
            .map(|(at, field)| ordered_column(&parts, at, field, &places))
            .collect(),
        statuses: (0..view.features.len()).map(|at| ordered_statuses(&parts, at, &places)).collect(),
        newest: places.iter().map(|place| newest[*place as usize]).collect(),
        failed_rows: parts.iter().map(|part| part.failed_rows).sum(),
        audited_rows: parts.iter().map(|part| part.audited_rows).sum(),
    }
}

fn ordered_column(parts: &[&Features], at: usize, field: &Field, places: &[u32]) -> Column {
    let mut column = ColumnBuilder::new(field.data_type).finish();
    parts.iter().for_each(|part| column.append(&part.columns[at]));
    column.take(places)
}

fn ordered_statuses(parts: &[&Features], at: usize, places: &[u32]) -> Vec<Status> {
    let statuses: Vec<Status> = parts.iter().flat_map(|part| &part.statuses[at]).copied().collect();
    places.iter().map(|place| statuses[*place as usize]).collect()
}
