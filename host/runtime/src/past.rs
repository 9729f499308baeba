use std::collections::{BTreeMap, BTreeSet};

use oast_core::{Batch, Column, ColumnBuilder, EntityKey, Status, Timestamp};

use crate::{
    Progress, Runtime, RuntimeError,
    fold::{Features, Fold, KeyState},
    online::{FoldOrder, prepare, times},
    replay::in_schema,
    view::View,
};

/// How many events and lookups are put in before they are computed.
const STEPS: usize = 16_384;

/// A row of a lookup that was answered once: whom it asked for in one view, and what it saw.
pub(crate) struct PastRow {
    pub(crate) key: Option<EntityKey>,
    /// It saw what was visible strictly before this time…
    pub(crate) time: Timestamp,
    /// …and below this offset.
    pub(crate) offset: u64,
}

/// The logged events of the keys that are asked for, after a view's transforms.
#[derive(Default)]
pub(crate) struct PastEvents {
    pub(crate) rows: Option<Batch>,
    times: Vec<Timestamp>,
    orders: Vec<FoldOrder>,
    /// The events of each key, in fold order.
    of_key: BTreeMap<EntityKey, Vec<u32>>,
}

impl Runtime {
    /// The features of a view for lookups of the past, derived from the log alone: one row each, in their order.
    pub(crate) fn past_features(
        &self,
        view: &View,
        rows: &[PastRow],
        progress: &dyn Progress,
    ) -> Result<Features, RuntimeError> {
        let keys: BTreeSet<&EntityKey> = rows.iter().filter_map(|row| row.key.as_ref()).collect();
        let end = rows.iter().map(|row| row.offset).max().unwrap_or(0);
        let events = self.past_events(view, end, &|key| keys.contains(key), progress)?;
        events.features(view, rows, progress)
    }

    /// Reads the events below an offset of the keys that are asked for.
    pub(crate) fn past_events(
        &self,
        view: &View,
        end: u64,
        asked: &dyn Fn(&EntityKey) -> bool,
        progress: &dyn Progress,
    ) -> Result<PastEvents, RuntimeError> {
        progress.phase(&format!("reading events of {}", view.spec.source.name), None);
        let mut past = PastEvents::default();
        for events in self.log.scan(Some(&view.spec.source.name), ..end)? {
            let events = events?;
            let rows = in_schema(&view.source_schema, &events.schema, &events.rows, &events.source)?;
            let (mut wanted, mut keys) = (Vec::new(), Vec::new());
            for row in 0..rows.rows {
                let key = view.key_of(&rows, row)?;
                if asked(&key) {
                    wanted.push(row as u32);
                    keys.push(key);
                }
            }
            let event_times = times(&rows, view.event_time);
            let order = |row: usize| (event_times[row].max(events.ingest_times[row]), events.offsets[row]);
            let prepared = prepare(view, &rows.take(&wanted), None)?;
            for kept in prepared.kept {
                let row = wanted[kept as usize] as usize;
                past.push(keys[kept as usize].clone(), event_times[row], order(row));
            }
            match &mut past.rows {
                Some(rows) => rows.append(&prepared.rows),
                none => *none = Some(prepared.rows),
            }
        }
        for events in past.of_key.values_mut() {
            events.sort_by_key(|event| past.orders[*event as usize]);
        }
        Ok(past)
    }
}

impl PastEvents {
    /// The features of a view for lookups whose events these are: one row each, in their order.
    pub(crate) fn features(
        &self,
        view: &View,
        rows: &[PastRow],
        progress: &dyn Progress,
    ) -> Result<Features, RuntimeError> {
        let mut of_key: BTreeMap<Option<&EntityKey>, Vec<usize>> = BTreeMap::new();
        for (at, row) in rows.iter().enumerate() {
            of_key.entry(row.key.as_ref()).or_default().push(at);
        }
        let mut derivation = Derivation::new(view, self);
        for (key, mut lookups) in of_key {
            lookups.sort_by_key(|at| rows[*at].time);
            derivation.key(key, &lookups, rows)?;
            progress.advance(lookups.len() as u64);
        }
        derivation.finish(rows.len())
    }

    fn push(&mut self, key: EntityKey, time: Timestamp, order: FoldOrder) {
        self.of_key.entry(key).or_default().push(self.times.len() as u32);
        self.times.push(time);
        self.orders.push(order);
    }

    pub(crate) fn of(&self, key: Option<&EntityKey>) -> &[u32] {
        key.and_then(|key| self.of_key.get(key)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn time(&self, event: u32) -> Timestamp {
        self.times[event as usize]
    }

    pub(crate) fn visible(&self, event: u32) -> Timestamp {
        self.orders[event as usize].0
    }

    pub(crate) fn offset(&self, event: u32) -> u64 {
        self.orders[event as usize].1
    }
}

/// Drives the fold over one key after the other.
struct Derivation<'v> {
    view: &'v View,
    events: &'v PastEvents,
    fold: Fold<'v>,
    /// Which row each lookup was, in the order in which the fold was asked.
    asked: Vec<usize>,
    answers: Vec<Features>,
}

impl<'v> Derivation<'v> {
    fn new(view: &'v View, events: &'v PastEvents) -> Self {
        Self { view, events, fold: Fold::new(view), asked: Vec::new(), answers: Vec::new() }
    }

    /// Answers the lookups of one key, in order of time.
    fn key(&mut self, key: Option<&EntityKey>, lookups: &[usize], rows: &[PastRow]) -> Result<(), RuntimeError> {
        let events = self.events.of(key);
        // History that was imported later, with times before the lookup's, is there now and was not there then.
        let mut highest: Vec<u64> = events.iter().map(|event| self.events.offset(*event)).collect();
        for at in 1..highest.len() {
            highest[at] = highest[at].max(highest[at - 1]);
        }
        let (later, plain): (Vec<usize>, Vec<usize>) = lookups.iter().partition(|at| {
            let PastRow { time, offset, .. } = rows[**at];
            let visible = events.partition_point(|event| self.events.visible(*event) < time);
            visible > 0 && highest[visible - 1] >= offset
        });
        self.run(events, &plain, rows)?;
        for at in later {
            let known: Vec<u32> =
                events.iter().copied().filter(|event| self.events.offset(*event) < rows[at].offset).collect();
            self.run(&known, &[at], rows)?;
        }
        Ok(())
    }

    /// Folds events into an empty state, with lookups in between where their times say.
    fn run(&mut self, events: &[u32], lookups: &[usize], rows: &[PastRow]) -> Result<(), RuntimeError> {
        let mut key = KeyState::new(self.view);
        let mut rest = events;
        for at in lookups {
            let time = rows[*at].time;
            let (seen, after) = rest.split_at(rest.partition_point(|event| self.events.visible(*event) < time));
            rest = after;
            self.fold.look_ahead(time);
            for part in seen.chunks(STEPS) {
                self.fold_events(&mut key, part);
                self.compute_if_many(&mut key)?;
            }
            self.fold.lookup(&mut key, time);
            self.asked.push(*at);
            self.compute_if_many(&mut key)?;
        }
        Ok(())
    }

    fn fold_events(&mut self, key: &mut KeyState, events: &[u32]) {
        let Some(rows) = self.events.rows.as_ref().filter(|_| !events.is_empty()) else { return };
        let first = self.fold.add_rows(rows.take(events));
        for (row, event) in (first..).zip(events) {
            self.fold.event(key, row, self.events.time(*event), self.events.offset(*event));
        }
        key.forget_changes();
    }

    fn compute_if_many(&mut self, key: &mut KeyState) -> Result<(), RuntimeError> {
        if self.fold.pending() < STEPS {
            return Ok(());
        }
        self.answers.push(self.fold.evaluate()?);
        self.fold.settle(key);
        self.fold.clear();
        Ok(())
    }

    fn finish(mut self, rows: usize) -> Result<Features, RuntimeError> {
        self.answers.push(self.fold.evaluate()?);
        let mut places = vec![0_u32; rows];
        for (row, place) in self.asked.iter().zip(0..) {
            places[*row] = place;
        }
        Ok(in_order(self.view, &self.answers, &places))
    }
}

/// Puts answers that came in parts into the order of the places.
fn in_order(view: &View, parts: &[Features], places: &[u32]) -> Features {
    let column = |at: usize| {
        let mut column: Column = ColumnBuilder::new(view.features[at].data_type).finish();
        parts.iter().for_each(|part| column.append(&part.columns[at]));
        column.take(places)
    };
    let statuses = |at: usize| {
        let all: Vec<Status> = parts.iter().flat_map(|part| &part.statuses[at]).copied().collect();
        places.iter().map(|place| all[*place as usize]).collect()
    };
    let newest: Vec<_> = parts.iter().flat_map(|part| &part.newest).copied().collect();
    let features = 0..view.features.len();
    Features {
        columns: features.clone().map(column).collect(),
        statuses: features.map(statuses).collect(),
        newest: places.iter().map(|place| newest[*place as usize]).collect(),
        failed_rows: 0,
        audited_rows: 0,
    }
}
