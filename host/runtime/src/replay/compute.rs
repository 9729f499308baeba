//! From the events and lookups of a bucket to features, through the same step as in the daemon.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use oast_core::{Batch, Timestamp, Values};

use super::{
    buckets::{Buckets, timestamps, view_rows},
    check_stopped,
    latest::Latest,
    resources::Resources,
    results::Results,
    storage::Cut,
    unfinished::Done,
};
use crate::{
    Progress, RuntimeError,
    fold::{Features, Fold, KeyState},
    view::View,
};

/// How many events and lookups go by before they are computed.
const STEPS_PER_PART: usize = 8_192;

/// How many rows plugins failed on in a bucket, and how many were folded again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Counts {
    pub(super) failed_rows: u64,
    pub(super) audited_rows: u64,
}

/// The spine rows of a bucket, in spine order.
pub(super) struct Lookups {
    pub(super) rows: Vec<u32>,
    pub(super) times: Vec<Timestamp>,
}

/// Some events of a bucket, in fold order.
struct Events {
    /// After the view's transforms, without the values of columns that no feature is made from.
    rows: Batch,
    /// The events of each key.
    of_key: Vec<Vec<u32>>,
    visible: Vec<Timestamp>,
    times: Vec<Timestamp>,
    offsets: Vec<u64>,
}

/// The keys that the lookups of a bucket ask for, numbered as they come.
pub(super) type Numbers<'k> = HashMap<&'k [u8], u32>;

/// A key of a bucket, as far as its events and lookups have gone by.
#[derive(Default)]
pub(super) struct Key {
    /// None before its first event or lookup, and after its last lookup.
    state: Option<KeyState>,
    /// Its lookups in order of time, and how many have been made.
    pub(super) lookups: Vec<u32>,
    pub(super) next: usize,
    /// The time of the last one that was made.
    seen: Option<Timestamp>,
}

impl Key {
    pub(super) fn is_done(&self) -> bool {
        self.next == self.lookups.len()
    }
}

/// Something that happens to a key.
enum Happening {
    /// The next lookup comes at this time, after some events.
    Ahead(Timestamp),
    Event(u32),
    Lookup(u32),
}

/// A view whose features are computed.
pub(super) struct ComputedView<'a> {
    pub(super) view: &'a View,
    pub(super) buckets: &'a Buckets<'a>,
    /// Where its features go.
    pub(super) results: &'a Results<'a>,
    pub(super) progress: &'a dyn Progress,
}

impl ComputedView<'_> {
    /// Keeps the features of these rows of the spine.
    pub(super) fn keep(&self, rows: &[u32], features: &Features) -> Result<(), RuntimeError> {
        self.results.add(rows, features)?;
        self.progress.advance(rows.len() as u64);
        Ok(())
    }
}

/// Computes the features of views, bucket by bucket. Buckets that are done already are not done again, and those that are
/// done when the replay is stopped stay.
pub(super) fn compute_views(
    views: &[ComputedView<'_>],
    resources: &Resources,
    progress: &dyn Progress,
    done: &mut Vec<Done>,
) -> Result<(), RuntimeError> {
    done.resize_with(views.len(), Done::new);
    let of_view = |(at, (view, done)): (usize, (&ComputedView<'_>, &Done))| {
        let missing: Vec<usize> = (0..view.buckets.count).filter(|bucket| !done.contains_key(bucket)).collect();
        missing.into_iter().map(move |bucket| (at, bucket))
    };
    let mut missing: Vec<(usize, usize)> = views.iter().zip(&*done).enumerate().flat_map(of_view).collect();
    // What takes longest goes first, so that no thread is left alone with it at the end.
    missing.sort_by_cached_key(|(view, bucket)| Reverse(views[*view].buckets.steps(*bucket)));
    let finished = Mutex::new(std::mem::take(done));
    let outcome = in_parallel(resources.threads(), missing.len(), &|at| {
        check_stopped(progress)?;
        let (view, bucket) = missing[at];
        let counts = run_bucket(&views[view], bucket, resources.events_at_once())?;
        finished.lock().expect("no thread panics while it files a bucket")[view].insert(bucket, counts);
        Ok(())
    });
    *done = finished.into_inner().expect("no thread panics while it files a bucket");
    outcome.map(drop)
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

/// Computes the features of the spine rows in a bucket. Of a bucket with more events than are computed with at once, the keys
/// keep their states from one slice of the events to the next.
fn run_bucket(of: &ComputedView<'_>, bucket: usize, events_at_once: usize) -> Result<Counts, RuntimeError> {
    let buckets = of.buckets;
    let lookups = buckets.lookups.take_all(bucket)?;
    let numbers = number_keys(&lookups);
    let (lookups, mut keys) = group_lookups(&lookups, &numbers);
    let mut counts = Counts::default();
    let mut slices = Cut::new(buckets.events.take(bucket), events_at_once).peekable();
    let mut latest = Latest::of(of, &lookups);
    loop {
        let slice = slices.next().transpose()?.unwrap_or_else(|| buckets.events.no_rows());
        let is_last = slices.peek().is_none();
        if let Some(latest) = &mut latest {
            latest.run(slice, &numbers, &mut keys, is_last)?;
        } else {
            let events = group_events(buckets, slice, &numbers, keys.len());
            Slice { of, lookups: &lookups, events: &events, is_last, counts: &mut counts }.run(&mut keys)?;
        }
        if is_last {
            return Ok(counts);
        }
    }
}

fn number_keys(lookups: &Batch) -> Numbers<'_> {
    let mut numbers = HashMap::new();
    for row in (0..lookups.rows).filter(|row| lookups.columns[0].is_valid(*row)) {
        let next = u32::try_from(numbers.len()).expect("a spine has fewer than 4 billion rows");
        numbers.entry(key_of(lookups, row)).or_insert(next);
    }
    numbers
}

fn key_of(rows: &Batch, row: usize) -> &[u8] {
    match &rows.columns[0].values {
        Values::Binary(keys) => keys.get(row),
        _ => unreachable!("the first column of a bucket has the keys"),
    }
}

/// The lookups, and those of each key in order of time. Lookups without a key come last, as a key that has no events.
fn group_lookups(rows: &Batch, numbers: &Numbers<'_>) -> (Lookups, Vec<Key>) {
    let lookups =
        Lookups { rows: integers(rows, 2).iter().map(|row| *row as u32).collect(), times: timestamps(rows, 1) };
    let mut keys: Vec<Key> = std::iter::repeat_with(Key::default).take(numbers.len() + 1).collect();
    for row in 0..rows.rows {
        let is_whole = rows.columns[0].is_valid(row);
        let key = if is_whole { numbers[key_of(rows, row)] as usize } else { numbers.len() };
        keys[key].lookups.push(row as u32);
    }
    keys.iter_mut().for_each(|key| key.lookups.sort_by_key(|lookup| lookups.times[*lookup as usize]));
    (lookups, keys)
}

/// The events of each key.
pub(super) fn events_of_keys(rows: &Batch, numbers: &Numbers<'_>, keys: usize) -> Vec<Vec<u32>> {
    let mut of_keys = vec![Vec::new(); keys];
    for row in 0..rows.rows {
        if let Some(key) = numbers.get(key_of(rows, row)) {
            of_keys[*key as usize].push(row as u32);
        }
    }
    of_keys
}

fn group_events(buckets: &Buckets<'_>, mut rows: Batch, numbers: &Numbers<'_>, keys: usize) -> Events {
    let of_key = events_of_keys(&rows, numbers, keys);
    let offsets = integers(&rows, 3).iter().map(|offset| *offset as u64).collect();
    let (visible, times) = (timestamps(&rows, 1), timestamps(&rows, 2));
    Events { rows: view_rows(buckets, &mut rows), of_key, visible, times, offsets }
}

pub(super) fn integers(rows: &Batch, column: usize) -> &[i64] {
    match &rows.columns[column].values {
        Values::Int64(values) => values,
        _ => unreachable!("buckets are made with this column of integers"),
    }
}

/// Some events of a bucket, and the lookups that see no event after them.
struct Slice<'a> {
    of: &'a ComputedView<'a>,
    lookups: &'a Lookups,
    events: &'a Events,
    is_last: bool,
    counts: &'a mut Counts,
}

impl Slice<'_> {
    fn run(&mut self, keys: &mut [Key]) -> Result<(), RuntimeError> {
        let mut fold = Fold::audited(self.of.view, &self.events.rows);
        let (mut rows, mut touched) = (Vec::new(), Vec::new());
        for number in 0..keys.len() {
            let (happenings, next) = self.happenings(&keys[number], number);
            for part in happenings.chunks(STEPS_PER_PART) {
                touched.push(number);
                self.put_in(&mut fold, &mut keys[number], part, &mut rows);
                if fold.pending() >= STEPS_PER_PART {
                    self.evaluate(&mut fold, keys, &mut rows, &mut touched)?;
                }
            }
            keys[number].next = next;
            if keys[number].is_done() {
                keys[number].state = None;
            }
        }
        self.evaluate(&mut fold, keys, &mut rows, &mut touched)
    }

    /// The events and lookups of a key in order of time, and how many lookups will have been made then. A lookup comes before
    /// the events visible at its very time.
    fn happenings(&self, key: &Key, number: usize) -> (Vec<Happening>, usize) {
        let Self { lookups, events, .. } = self;
        let mine = &events.of_key[number];
        let seen = events.visible.last().copied().filter(|_| !self.is_last);
        let mut happenings = Vec::with_capacity(mine.len());
        let mut next = 0;
        for (made, lookup) in key.lookups.iter().enumerate().skip(key.next) {
            let time = lookups.times[*lookup as usize];
            // A later one may see events of the next slice.
            let is_now = self.is_last || seen.is_some_and(|seen| time <= seen);
            let is_before = |event: &&u32| events.visible[**event as usize] < time || !is_now;
            let before = mine[next..].iter().take_while(is_before).count();
            if before > 0 {
                happenings.push(Happening::Ahead(time));
                happenings.extend(mine[next..next + before].iter().map(|event| Happening::Event(*event)));
                next += before;
            }
            if !is_now {
                return (happenings, made);
            }
            happenings.push(Happening::Lookup(*lookup));
        }
        (happenings, key.lookups.len())
    }

    fn put_in(&self, fold: &mut Fold<'_>, key: &mut Key, part: &[Happening], rows: &mut Vec<u32>) {
        let state = key.state.get_or_insert_with(|| KeyState::new(self.of.view));
        for happening in part {
            match happening {
                Happening::Ahead(time) => fold.look_ahead(*time),
                Happening::Event(number) => {
                    let event = *number as usize;
                    fold.event(state, *number, self.events.times[event], self.events.offsets[event]);
                }
                Happening::Lookup(lookup) => {
                    let time = self.lookups.times[*lookup as usize];
                    fold.lookup(state, time);
                    key.seen = Some(time);
                    rows.push(self.lookups.rows[*lookup as usize]);
                }
            }
        }
    }

    /// Computes what was put in, keeps the features, and readies the keys that took part for what is still to come.
    fn evaluate(
        &mut self,
        fold: &mut Fold<'_>,
        keys: &mut [Key],
        rows: &mut Vec<u32>,
        touched: &mut Vec<usize>,
    ) -> Result<(), RuntimeError> {
        if touched.is_empty() {
            return Ok(());
        }
        let features: Features = fold.evaluate()?;
        self.counts.failed_rows += features.failed_rows;
        self.counts.audited_rows += features.audited_rows;
        self.of.keep(&std::mem::take(rows), &features)?;
        for number in touched.drain(..) {
            let Key { state: Some(state), seen, .. } = &mut keys[number] else { continue };
            if let Some(time) = *seen {
                state.forget_before(self.of.view, time);
            }
            fold.settle(state);
        }
        fold.clear();
        Ok(())
    }
}
