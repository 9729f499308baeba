mod checkpoint;
mod keys;
mod sweep;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use indexmap::IndexMap;
use oast_core::{Batch, EngineFingerprint, EntityKey, Outcome, Timestamp};
use oast_store::{EventBatch, Op, State as StateStore};

pub(crate) use self::checkpoint::checkpoint;
use self::{checkpoint::Unwritten, keys::read_key};
use crate::{
    RuntimeError,
    audit::Places,
    binding::row_batch,
    fold::{Fold, KeyState},
    replay::in_schema,
    view::View,
};

/// The events that a fold takes in one go.
const EVENTS_PER_FOLD: usize = 16_384;

/// The moment from which a view sees an event, and the event's place in the log: events are folded in this order.
pub(crate) type FoldOrder = (Timestamp, u64);

/// The entity keys in memory. A step hashes each key once and then knows it by its place.
type Keys = IndexMap<EntityKey, Held>;

/// The state of an entity key in memory.
struct Held {
    state: KeyState,
    /// Whether it is among those that the next checkpoint writes.
    is_touched: bool,
}

/// Events that became known together and stand behind each other in a batch and in the log: nothing is folded between them.
struct Run {
    batch: Arc<Batch>,
    first: u32,
    events: u32,
}

/// The state of one view version as the daemon keeps it: tiles and blocks in memory over those in sled.
pub(crate) struct OnlineView {
    view: Arc<View>,
    engine: EngineFingerprint,
    tree: Arc<str>,
    keys: Keys,
    /// The keys that changed since the last checkpoint.
    touched: Vec<EntityKey>,
    /// Events that are logged but not visible yet, or not folded yet; runs of them, by where they begin.
    pending: BTreeMap<FoldOrder, Run>,
    /// How many events the runs have.
    pending_events: usize,
    /// The last event that was folded.
    folded: Option<FoldOrder>,
    /// Every event below this offset has been offered.
    next_offset: u64,
    /// Where to read the log from: after opening, events from here on may not have been folded.
    resume_offset: u64,
    /// The time of the last lookup: what becomes known later must not change what it saw.
    looked_up: Option<Timestamp>,
    /// The state must be rebuilt before it is used: an event came that belongs before one already folded, or a step broke off
    /// half-way.
    must_rebuild: bool,
    changed: bool,
    unwritten: Arc<Mutex<Unwritten>>,
    /// Where the next sweep of the state on disk begins.
    sweep_from: Vec<u8>,
    /// What sweeps found to be of no use, to be removed with the next checkpoint.
    swept: Vec<Op>,
    /// What lookups before this time may need is perhaps removed.
    swept_until: Option<Timestamp>,
}

impl OnlineView {
    /// Opens the state of a view version as of its last checkpoint.
    /// Another engine may make other states of the same events, so each engine has its own.
    pub(crate) fn open(view: Arc<View>, engine: EngineFingerprint, store: &StateStore) -> Result<Self, RuntimeError> {
        let tree: Arc<str> = format!("{}-{}", view.version, engine.short()).into();
        let unwritten = Arc::new(Mutex::new(Unwritten::of(&tree)));
        let mut online = Self {
            view,
            engine,
            tree,
            keys: Keys::new(),
            touched: Vec::new(),
            pending: BTreeMap::new(),
            pending_events: 0,
            folded: None,
            next_offset: 0,
            resume_offset: 0,
            looked_up: None,
            must_rebuild: false,
            changed: false,
            unwritten,
            sweep_from: Vec::new(),
            swept: Vec::new(),
            swept_until: None,
        };
        online.resume(store)?;
        Ok(online)
    }

    /// Forgets everything, to be rebuilt from the log.
    pub(crate) fn reset(&mut self, store: &StateStore) -> Result<(), RuntimeError> {
        self.discard(store)?;
        let looked_up = self.looked_up;
        *self = Self::open(self.view.clone(), self.engine, store)?;
        self.looked_up = looked_up;
        Ok(())
    }

    /// Where to read the log from: after opening, and as far as it was read since.
    pub(crate) fn resume_offset(&self) -> u64 {
        self.resume_offset
    }

    /// The log has been read up to here.
    pub(crate) fn was_fed(&mut self, end: u64) {
        self.resume_offset = end;
    }

    /// The view.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.clone()
    }

    /// Whether an event was folded that a lookup at `time` must not see, or something removed that it needs. Only a clock that was set back, or a simulated one
    /// after a real one, asks for such a time.
    pub(crate) fn is_past(&self, time: Timestamp) -> bool {
        self.folded.is_some_and(|(visible, _)| visible >= time) || self.swept_until.is_some_and(|swept| swept > time)
    }

    /// Whether the state must be rebuilt before it can be trusted.
    pub(crate) fn must_rebuild(&self) -> bool {
        self.must_rebuild
    }

    /// Whether nothing was folded yet.
    pub(crate) fn is_new(&self) -> bool {
        self.folded.is_none()
    }

    /// How many entity keys are in memory.
    pub(crate) fn keys_in_memory(&self) -> usize {
        self.keys.len()
    }

    /// How many events are not folded yet.
    pub(crate) fn pending(&self) -> usize {
        self.pending_events
    }

    /// When the newest event that was offered becomes visible, or became so.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        let waiting = self.pending.last_key_value().map(|(order, _)| *order);
        waiting.max(self.folded).map(|(visible, _)| visible)
    }

    /// The time of the last lookup, if there was one.
    pub(crate) fn looked_up(&self) -> Option<Timestamp> {
        self.looked_up
    }

    /// Every event below this offset has been offered.
    pub(crate) fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// Has the state rebuilt before it is next used.
    pub(crate) fn distrust(&mut self) {
        self.must_rebuild = true;
    }

    /// Remembers that something broke off half-way, if it did.
    fn noting_failure<T>(&mut self, result: Result<T, RuntimeError>) -> Result<T, RuntimeError> {
        self.must_rebuild |= result.is_err();
        result
    }

    /// Takes in events of the view's source, in the order of the log. They are folded once they are visible.
    pub(crate) fn offer(&mut self, events: &EventBatch) -> Result<(), RuntimeError> {
        let result = self.take_in(events);
        self.noting_failure(result)
    }

    fn take_in(&mut self, events: &EventBatch) -> Result<(), RuntimeError> {
        let rows = in_schema(&self.view.source_schema, &events.schema, &events.rows, &events.source)?.into_owned();
        let rows = Arc::new(rows);
        let event_times = times(&rows, self.view.event_time);
        // The run that the next event may belong to: its first event, and where it ends.
        let mut open: Option<(FoldOrder, Run)> = None;
        for (row, offset) in events.offsets.iter().enumerate() {
            let visible = event_times[row].max(events.ingest_times[row]);
            let order = (visible, *offset);
            let folded_before = self.folded.is_some_and(|folded| order <= folded);
            if folded_before && *offset < self.next_offset {
                continue;
            }
            self.must_rebuild |= folded_before;
            self.pending_events += 1;
            match &mut open {
                Some((first, run)) if run.goes_on_with(*first, order, row) => run.events += 1,
                _ => {
                    let run = Run { batch: rows.clone(), first: row as u32, events: 1 };
                    self.pending.extend(open.replace((order, run)));
                }
            }
        }
        self.pending.extend(open);
        self.next_offset = self.next_offset.max(events.offsets.last().map_or(0, |last| last + 1));
        self.changed = true;
        Ok(())
    }

    /// Folds every event that is visible strictly before `time`.
    pub(crate) fn advance(&mut self, time: Timestamp, store: &StateStore) -> Result<(), RuntimeError> {
        if self.pending.first_key_value().is_none_or(|(order, _)| order.0 >= time) {
            return Ok(());
        }
        let later = self.pending.split_off(&(time, 0));
        let mut visible = std::mem::replace(&mut self.pending, later).into_iter().peekable();
        while visible.peek().is_some() {
            let mut events = 0;
            let mut part = Vec::new();
            while let Some(run) = visible.next_if(|(_, run)| part.is_empty() || events + run.len() <= EVENTS_PER_FOLD) {
                events += run.1.len();
                part.push(run);
            }
            self.pending_events -= events;
            let result = self.fold(&part, store);
            self.noting_failure(result)?;
        }
        Ok(())
    }

    fn fold(&mut self, runs: &[(FoldOrder, Run)], store: &StateStore) -> Result<(), RuntimeError> {
        let rows = gather(runs);
        let offsets: Vec<u64> =
            runs.iter().flat_map(|((_, first), run)| *first..first + u64::from(run.events)).collect();
        let view = self.view.clone();
        let prepared = prepare(&view, &rows, None)?;
        let mut fold = Fold::new(&view);
        let first = fold.add_rows(prepared.rows);
        let event_times = times(&rows, view.event_time);
        let mut places = Vec::with_capacity(prepared.kept.len());
        for (at, row) in prepared.kept.iter().map(|row| *row as usize).enumerate() {
            let place = self.place_of(&view.key_of(&rows, row)?, store)?;
            fold.event(&mut self.keys[place].state, first + at as u32, event_times[row], offsets[row]);
            places.push(place);
        }
        let features = fold.evaluate()?;
        let failed = prepared.failed + features.failed_rows;
        if failed > 0 {
            tracing::warn!(view = view.spec.name, rows = failed, "a plugin failed on rows, which were left out");
        }
        for place in once_each(places) {
            fold.settle(&mut self.keys[place].state);
            self.touch(place);
        }
        let last = runs.last().map(|((visible, first), run)| (*visible, first + u64::from(run.events) - 1));
        self.folded = last.max(self.folded);
        self.changed = true;
        Ok(())
    }

    /// Where the state of a key is in memory, read from sled if it is not there yet.
    fn place_of(&mut self, key: &EntityKey, store: &StateStore) -> Result<usize, RuntimeError> {
        if let Some(place) = self.keys.get_index_of(key) {
            return Ok(place);
        }
        let state = read_key(&self.view, &self.tree, key, store)?;
        Ok(self.keys.insert_full(key.clone(), Held { state, is_touched: false }).0)
    }

    /// Has the next checkpoint write what changed in a state.
    fn touch(&mut self, place: usize) {
        let (key, held) = self.keys.get_index_mut(place).expect("it was just used");
        if !std::mem::replace(&mut held.is_touched, true) {
            self.touched.push(key.clone());
        }
    }

    /// Whether a lookup of these entities finds everything folded and in memory.
    pub(crate) fn is_at_hand<'k>(&self, mut keys: impl Iterator<Item = &'k EntityKey>, time: Timestamp) -> bool {
        let folded = self.pending.first_key_value().is_none_or(|(order, _)| order.0 >= time);
        folded && !self.must_rebuild && !self.is_past(time) && keys.all(|key| self.keys.contains_key(key))
    }

    /// Gathers what the view's features are made from, for these entities as of `time`. The step needs the view's state no
    /// more: [`fold::answer`](crate::fold::answer) makes the features while others have it.
    pub(crate) fn gather<'v>(
        &mut self,
        view: &'v View,
        keys: &[Option<EntityKey>],
        time: Timestamp,
        store: &StateStore,
    ) -> Result<Fold<'v>, RuntimeError> {
        self.advance(time, store)?;
        let result = self.gather_states(view, keys, time, store);
        self.noting_failure(result)
    }

    fn gather_states<'v>(
        &mut self,
        view: &'v View,
        keys: &[Option<EntityKey>],
        time: Timestamp,
        store: &StateStore,
    ) -> Result<Fold<'v>, RuntimeError> {
        let mut fold = Fold::new(view);
        let mut nobody = KeyState::new(view);
        let mut places = Vec::with_capacity(keys.len());
        for key in keys {
            let place = key.as_ref().map(|key| self.place_of(key, store)).transpose()?;
            fold.lookup(place.map_or(&mut nobody, |place| &mut self.keys[place].state), time);
            places.extend(place);
        }
        fold.compute()?;
        let mut unknown = Vec::new();
        for place in once_each(places) {
            let state = &mut self.keys[place].state;
            fold.settle(state);
            if !state.changed.is_empty() {
                self.touch(place);
            } else if state.newest.is_none() {
                unknown.push(place);
            }
        }
        // Nobody has heard of these entities; do not let requests fill the memory. From the last to the first, since the last
        // key in memory moves to where one is removed.
        for place in unknown.into_iter().rev() {
            self.keys.swap_remove_index(place);
        }
        self.looked_up = self.looked_up.max(Some(time));
        self.changed = true;
        Ok(fold)
    }
}

impl Run {
    fn len(&self) -> usize {
        self.events as usize
    }

    /// Whether the event in row `row` comes right behind the run, which begins with `first`.
    fn goes_on_with(&self, (visible, first): FoldOrder, order: FoldOrder, row: usize) -> bool {
        let events = self.len();
        events < EVENTS_PER_FOLD
            && row == self.first as usize + events
            && order == (visible, first + u64::from(self.events))
    }

    /// The rows of the events, which are often all of a batch.
    fn rows(&self) -> Cow<'_, Batch> {
        let (first, events) = (self.first as usize, self.len());
        if events == self.batch.rows {
            return Cow::Borrowed(&self.batch);
        }
        Cow::Owned(self.batch.slice(first, first + events))
    }
}

/// Each of the numbers once.
fn once_each(mut numbers: Vec<usize>) -> Vec<usize> {
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// The rows of events, in fold order, gathered from the batches they came in.
fn gather(runs: &[(FoldOrder, Run)]) -> Cow<'_, Batch> {
    let mut runs = runs.iter().map(|(_, run)| run.rows());
    let mut gathered = runs.next().unwrap_or_default();
    runs.for_each(|rows| gathered.to_mut().append(&rows));
    gathered
}

/// Rows after a view's transforms.
pub(crate) struct Prepared {
    pub(crate) rows: Batch,
    /// The number of the event that each row came from.
    pub(crate) kept: Vec<u32>,
    /// How many events a transform rejected or failed on; they are left out. Those it dropped were meant to be.
    pub(crate) failed: u64,
    /// How many rows were run again, alone.
    pub(crate) audited: u64,
}

/// Runs a view's transforms over events of its source; in a replay, which says where the first of them stands, some again.
pub(crate) fn prepare(view: &View, events: &Batch, first: Option<u64>) -> Result<Prepared, RuntimeError> {
    let rows = row_batch(events, view.event_time, &view.source_schema);
    let kept = (0..events.rows as u32).collect();
    let mut prepared = Prepared { rows, kept, failed: 0, audited: 0 };
    for step in &view.transforms {
        let places = first.map(|first| Places { first, kept: Some(&prepared.kept) });
        let transformed = step.run(&prepared.rows, places)?;
        prepared.audited += transformed.audited;
        for outcome in transformed.outcomes.iter() {
            match outcome {
                Outcome::Keep | Outcome::Drop => {}
                Outcome::Reject(_) | Outcome::Fail(_) => prepared.failed += 1,
            }
        }
        prepared.kept = transformed.kept.iter().map(|row| prepared.kept[*row as usize]).collect();
        prepared.rows = transformed.rows;
    }
    Ok(prepared)
}

/// The times in a timestamp column.
pub(crate) fn times(batch: &Batch, column: usize) -> Vec<Timestamp> {
    match &batch.columns[column].values {
        oast_core::Values::Timestamp(times) => times.iter().copied().map(Timestamp::from_micros).collect(),
        _ => unreachable!("the definition makes sure that times are timestamps"),
    }
}
