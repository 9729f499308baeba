use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use oast_core::{Batch, Column, ColumnBuilder, EntityKey, Field, Status, Timestamp};

use crate::{
    Progress, RuntimeError,
    fold::{Features, Fold, KeyState},
    online::{FoldOrder, prepare, times},
    replay::{History, Spine},
    view::View,
};

/// How many events and lookups a chunk of keys has, unless a single key has more.
const STEPS_PER_CHUNK: usize = 16_384;

/// How many events a thread transforms at a time.
const EVENTS_PER_PART: usize = 65_536;

/// The events of a view after its transforms.
struct Events {
    rows: Batch,
    keys: Vec<EntityKey>,
    orders: Vec<FoldOrder>,
    times: Vec<Timestamp>,
    /// How many events a transform rejected or failed on.
    failed: u64,
    /// How many rows were run again, alone.
    audited: u64,
}

/// What is to be done for one key, in order of time.
struct KeyWork {
    events: Vec<u32>,
    lookups: Vec<u32>,
}

/// What a chunk of keys came to: the features of these spine rows.
struct ChunkResult {
    rows: Vec<u32>,
    features: Vec<Features>,
}

/// The features of a view for every spine row, in spine order.
pub(super) fn compute_view(
    view: &View,
    history: &History,
    spine: &Spine,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Features, RuntimeError> {
    progress.phase(&format!("replaying {}", view.spec.name), Some(spine.rows.rows as u64));
    let events = transform(view, history, threads)?;
    let chunks = chunk(group(&events, &spine_keys(view, spine)?, spine));
    let results = in_parallel(threads, chunks.len(), &|index| {
        let result = run_chunk(view, &events, spine, &chunks[index])?;
        progress.advance(result.rows.len() as u64);
        Ok(result)
    })?;
    let mut features = in_spine_order(view, results, spine.rows.rows);
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

/// Runs the view's transforms over all events.
fn transform(view: &View, history: &History, threads: usize) -> Result<Events, RuntimeError> {
    let source = super::in_schema(&view.source_schema, &history.schema, &history.rows, &view.spec.source.name)?;
    let parts = source.rows.div_ceil(EVENTS_PER_PART);
    let prepared = in_parallel(threads, parts, &|part| {
        let start = part * EVENTS_PER_PART;
        prepare(view, &source.slice(start, source.rows.min(start + EVENTS_PER_PART)), Some(start as u64))
    })?;
    let mut rows: Option<Batch> = None;
    let mut kept = Vec::new();
    let (mut failed, mut audited) = (0, 0);
    for (part, prepared) in prepared.into_iter().enumerate() {
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
        keys: kept.iter().map(|row| view.key_of(&source, *row)).collect::<Result<_, _>>()?,
        orders: kept.iter().map(|row| history.orders[*row]).collect(),
        times: kept.iter().map(|row| event_times[*row]).collect(),
    })
}

/// The entity key of each spine row; none where a part of it is null.
fn spine_keys(view: &View, spine: &Spine) -> Result<Vec<Option<EntityKey>>, RuntimeError> {
    let columns: Vec<&Column> = view.spec.entity.iter().map(|name| spine.column(name)).collect();
    let key = |row: usize| {
        if columns.iter().any(|column| !column.is_valid(row)) {
            return Ok(None);
        }
        let parts = view.spec.entity.iter().zip(&columns);
        let parts = parts.map(|(name, column)| (name.as_str(), column.get(row)));
        Ok(Some(EntityKey::encode(parts)?))
    };
    (0..spine.rows.rows).map(key).collect()
}

/// The work of each key that the spine asks for, in order of key. Events stay in fold order; spine rows are put in order of
/// time.
fn group(events: &Events, spine_keys: &[Option<EntityKey>], spine: &Spine) -> Vec<KeyWork> {
    let mut lookups: Vec<u32> = (0..spine_keys.len() as u32).collect();
    lookups.sort_by_key(|row| (&spine_keys[*row as usize], spine.times[*row as usize], *row));
    let mut order: Vec<u32> = (0..events.keys.len() as u32).collect();
    order.sort_by_key(|event| (&events.keys[*event as usize], *event));
    let mut rest = &order[..];
    let same_key = |left: &u32, right: &u32| spine_keys[*left as usize] == spine_keys[*right as usize];
    let of_key = |rows: &[u32]| {
        let Some(key) = &spine_keys[rows[0] as usize] else {
            return KeyWork { events: Vec::new(), lookups: rows.to_vec() };
        };
        let skipped = rest.partition_point(|event| events.keys[*event as usize] < *key);
        rest = &rest[skipped..];
        let (mine, after) = rest.split_at(rest.partition_point(|event| events.keys[*event as usize] <= *key));
        rest = after;
        KeyWork { events: mine.to_vec(), lookups: rows.to_vec() }
    };
    lookups.chunk_by(same_key).map(of_key).collect()
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

fn run_chunk(view: &View, events: &Events, spine: &Spine, chunk: &[KeyWork]) -> Result<ChunkResult, RuntimeError> {
    let mut fold = Fold::audited(view);
    let mut result = ChunkResult { rows: Vec::new(), features: Vec::new() };
    for work in chunk {
        let mut key = KeyState::new(view);
        for part in happenings(work, events, spine).chunks(STEPS_PER_CHUNK) {
            run_part(&mut fold, &mut key, part, events, spine, &mut result);
            if fold.pending() >= STEPS_PER_CHUNK {
                result.features.push(fold.evaluate()?);
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
    result: &mut ChunkResult,
) {
    let numbers: Vec<u32> =
        part.iter().filter_map(|each| if let Happening::Event(event) = each { Some(*event) } else { None }).collect();
    let mut row = fold.add_rows(events.rows.take(&numbers));
    fold.place_rows(&numbers);
    for happening in part {
        match happening {
            Happening::Event(event) => {
                let event = *event as usize;
                fold.event(key, row, events.times[event], events.orders[event].1);
                row += 1;
            }
            Happening::Lookup(lookup) => {
                fold.lookup(key, spine.times[*lookup as usize]);
                result.rows.push(*lookup);
            }
        }
    }
    // A replay reads nothing back, so it need not remember what changed.
    key.changed.clear();
}

/// Puts the features of all chunks together in spine order.
fn in_spine_order(view: &View, results: Vec<ChunkResult>, rows: usize) -> Features {
    let mut places = vec![0_u32; rows];
    for (row, place) in results.iter().flat_map(|result| &result.rows).zip(0..) {
        places[*row as usize] = place;
    }
    let parts: Vec<&Features> = results.iter().flat_map(|result| &result.features).collect();
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
