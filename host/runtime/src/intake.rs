mod file;
mod flight;
mod read;

use std::{
    path::Path,
    sync::{Arc, MutexGuard, atomic::Ordering},
};

use oast_core::{Batch, ColumnError, Schema, Timestamp};
use oast_store::{AppendRequest, EventBatch, Format, IngestTimes, StoreError, Submitted};

use crate::{
    Arrival, ClockMode, Events, IngestReport, Progress, Runtime, RuntimeError,
    ingest::{Refused, Seen, Source},
    live::{Live, LiveView},
    online::times,
    runtime::{IngestState, SeenOfColumn},
    view::View,
};

pub(crate) use file::{EventBatches, EventFile};
use flight::Flight;
pub(crate) use flight::Flights;
use read::{read_events, read_file};

/// How many rows of a file go into the log with one sync.
const ROWS_PER_APPEND: usize = 65_536;

/// How many events a view may leave for the next to fold with its own, while more of them come.
const EVENTS_LEFT_TO_FOLD: usize = 256;

/// Rows that could be read, their numbers in what was sent, and what could not be read.
pub(crate) type ReadEvents = (Batch, Vec<u64>, Vec<Refused>);

/// Rows that passed the gates, in log order, and what became of the others.
pub(crate) struct Admitted {
    pub(crate) passed: Batch,
    /// The numbers of the rows that passed.
    pub(crate) numbers: Vec<u64>,
    pub(crate) duplicates: u64,
    pub(crate) refused: Vec<Refused>,
}

/// Events that have their place in the log, and are not durable yet or not shown to the views.
#[must_use]
struct Departed<'r> {
    flight: Flight<'r>,
    /// Nothing if there are no events, but what they are duplicates of may be under way.
    submitted: Option<Submitted>,
    /// The views that are to see them.
    live: Option<Arc<Live>>,
    source: Arc<Source>,
    rows: Batch,
    /// Whether the log's clock gave them their times.
    by_clock: bool,
}

impl Runtime {
    /// Gates events, logs those that pass, and shows them to the views. When it returns, what was accepted is on disk.
    pub fn ingest(&self, source: &str, events: Events<'_>, arrival: Arrival) -> Result<IngestReport, RuntimeError> {
        let reader = self.source(source)?;
        let read = read_events(&reader, events)?;
        let mut state = self.intake();
        // While this waited, definitions may have been exchanged: what is logged now is as they are now.
        let source = self.source(source)?;
        let read = if source.schema == reader.schema { read } else { read_events(&source, events)? };
        let (departed, report) = self.take_in(&mut state, &source, read, arrival)?;
        drop(state);
        self.land_apart(departed, report)
    }

    /// Keeps others from gating events and putting them in line for the log.
    fn intake(&self) -> MutexGuard<'_, IngestState> {
        self.ingest.lock().expect("no thread panics while it ingests")
    }

    /// The same, with nothing under way any more: what is in the log, the views have seen.
    pub(crate) fn quiet_intake(&self) -> MutexGuard<'_, IngestState> {
        let state = self.intake();
        self.flights.wait_for_all();
        state
    }

    /// Ingests a file, or standard input for `-`. A file of history is put in order of availability first.
    pub fn ingest_file(
        &self,
        source: &str,
        path: &Path,
        format: Option<Format>,
        progress: &dyn Progress,
    ) -> Result<IngestReport, RuntimeError> {
        let name = source;
        let source = self.source(name)?;
        progress.phase("reading", None);
        let (rows, numbers, quarantined) = read_file(&source, path, format)?;
        progress.phase("ingesting", Some(rows.rows as u64));
        let mut order: Vec<u32> = (0..rows.rows as u32).collect();
        source.put_in_order(&mut order, &rows, Arrival::History);
        let quarantined = self.keep(&source, quarantined, Arrival::History)?;
        let mut report = IngestReport { quarantined, offset: self.log.next_offset(), ..IngestReport::default() };
        for part in order.chunks(ROWS_PER_APPEND) {
            let part_numbers: Vec<u64> = part.iter().map(|row| numbers[*row as usize]).collect();
            let mut state = self.intake();
            let current = self.source(name)?;
            if current.schema != source.schema {
                return Err(changed_meanwhile(name, report.accepted));
            }
            let read = (rows.take(part), part_numbers, Vec::new());
            let (departed, taken) = self.take_in(&mut state, &current, read, Arrival::History)?;
            drop(state);
            let taken = self.land_apart(departed, taken)?;
            report.accepted += taken.accepted;
            report.duplicates += taken.duplicates;
            report.past_retention += taken.past_retention;
            report.quarantined.extend(taken.quarantined);
            report.offset = taken.offset;
            progress.advance(part.len() as u64);
        }
        report.quarantined.sort_by_key(|each| each.row);
        self.log.seal()?;
        Ok(report)
    }

    /// A current source.
    pub(crate) fn source(&self, name: &str) -> Result<Arc<Source>, RuntimeError> {
        if let Some(live) = self.live_now() {
            return live.sources.get(name).cloned().ok_or_else(|| self.unknown("source", name));
        }
        Ok(Arc::new(Source::new(self.current_spec("source", name)?)?))
    }

    /// Takes events in as far as their place in the log, and returns what they are on the way to.
    fn take_in(
        &self,
        state: &mut IngestState,
        source: &Arc<Source>,
        (rows, numbers, mut refused): ReadEvents,
        arrival: Arrival,
    ) -> Result<(Departed<'_>, IngestReport), RuntimeError> {
        let mut admitted = self.admit(state, source, rows, &numbers, arrival)?;
        refused.append(&mut admitted.refused);
        refused.sort_by_key(|each| each.report.row);
        // First of all: were the others logged and these could not be kept, whoever sends all of them again would double them.
        let kept = self.keep(source, refused, arrival);
        if kept.is_err() {
            self.forget(state, source, &admitted.passed)?;
        }
        let quarantined = kept?;
        let (accepted, duplicates) = (admitted.passed.rows as u64, admitted.duplicates);
        let past_retention = match arrival {
            Arrival::Live => 0,
            Arrival::History => self.past_retention(source, &admitted.passed),
        };
        let departed = self.depart(state, source, admitted.passed, arrival)?;
        Ok((departed, IngestReport { accepted, duplicates, quarantined, offset: 0, past_retention }))
    }

    /// Waits for events while others may be taken in.
    fn land_apart(&self, departed: Departed<'_>, report: IngestReport) -> Result<IngestReport, RuntimeError> {
        let (source, rows) = (Arc::clone(&departed.source), departed.rows.clone());
        if let Err(error) = self.land(departed) {
            self.forget(&mut self.intake(), &source, &rows)?;
            return Err(error);
        }
        Ok(IngestReport { offset: self.log.next_offset(), ..report })
    }

    /// How many events happened so long ago that the log removes them once it is sealed again.
    fn past_retention(&self, source: &Source, rows: &Batch) -> u64 {
        let (Some(kept), ClockMode::Wall) = (source.spec.retention(), self.clock_mode) else { return 0 };
        let oldest = self.wall_time().saturating_sub(kept);
        times(rows, source.event_time).into_iter().filter(|time| *time < oldest).count() as u64
    }

    /// Lets rows through the source's gates, in the order in which the log is to take them.
    pub(crate) fn admit(
        &self,
        state: &mut IngestState,
        source: &Source,
        rows: Batch,
        numbers: &[u64],
        arrival: Arrival,
    ) -> Result<Admitted, RuntimeError> {
        let wrong_types =
            |error: ColumnError| RuntimeError::request(error.to_string(), "send columns of the source's types");
        let rows = rows.into_canonical(&source.loose).map_err(wrong_types)?;
        let seen = self.seen(state, source)?;
        let now = if arrival == Arrival::Live { self.now() } else { None };
        let gated = source.gate(&rows, numbers, now, seen);
        let mut order = gated.passed;
        source.put_in_order(&mut order, &rows, arrival);
        let passed = match rows.take(&order).into_canonical(&source.schema) {
            Ok(passed) => passed,
            Err(error) => {
                self.forget(state, source, &rows.take(&order))?;
                return Err(wrong_types(error));
            }
        };
        let numbers = order.iter().map(|row| numbers[*row as usize]).collect();
        Ok(Admitted { passed, numbers, duplicates: gated.duplicates, refused: gated.quarantined })
    }

    /// Logs what was admitted, and shows it to the views.
    pub(crate) fn log_admitted(
        &self,
        state: &mut IngestState,
        source: &Arc<Source>,
        admitted: &Admitted,
        arrival: Arrival,
    ) -> Result<(), RuntimeError> {
        let departed = self.depart(state, source, admitted.passed.clone(), arrival)?;
        let landed = self.land(departed);
        if landed.is_err() {
            self.forget(state, source, &admitted.passed)?;
        }
        landed
    }

    /// Forgets the keys of rows that were admitted and not logged: they may come again.
    pub(crate) fn forget(&self, state: &mut IngestState, source: &Source, rows: &Batch) -> Result<(), RuntimeError> {
        source.forget(rows, self.seen(state, source)?);
        Ok(())
    }

    /// Puts events that were admitted in line for the log. If that fails, their keys are forgotten.
    fn depart(
        &self,
        state: &mut IngestState,
        source: &Arc<Source>,
        rows: Batch,
        arrival: Arrival,
    ) -> Result<Departed<'_>, RuntimeError> {
        // A simulated clock moves with lookups only, and so cannot pass anything by.
        let begun = (self.clock_mode == ClockMode::Wall).then(|| self.clock.tick());
        let flight = self.flights.begin(begun.unwrap_or(Timestamp::MAX));
        let live = self.live_now();
        let mut known = source.known_times(&rows, arrival);
        if let (Arrival::Live, Some(known)) = (arrival, &mut known) {
            let looked_up = live.as_ref().and_then(|live| live.looked_up(&source.spec.name));
            if let Some(looked_up) = looked_up {
                not_before(looked_up.max(begun.unwrap_or(looked_up)), known);
            }
        }
        let by_clock = known.is_none();
        let ingest = known.as_deref().map_or(IngestTimes::Clock, IngestTimes::Given);
        let request = AppendRequest { source: &source.spec.name, schema: &source.schema, ingest, rows: &rows };
        let submitted = (rows.rows > 0).then(|| self.log.submit(request)).transpose();
        if submitted.is_err() {
            self.forget(state, source, &rows)?;
        }
        Ok(Departed { flight, submitted: submitted?, live, source: Arc::clone(source), rows, by_clock })
    }

    /// Waits until events are durable and shows them to the live views. Once they are durable they are acknowledged, whatever
    /// becomes of a view: one that cannot take them is rebuilt from the log before it is next used.
    fn land(&self, departed: Departed<'_>) -> Result<(), RuntimeError> {
        let Departed { flight, submitted, live, source, rows, by_clock } = departed;
        let appended = submitted.map(Submitted::wait).transpose().inspect_err(|error| {
            if let StoreError::LogFailed { source } = error {
                flight.fail(Arc::clone(source));
            }
        })?;
        // Also for duplicates: what they are duplicates of is durable then, or not.
        flight.wait_for_turn().map_err(|source| StoreError::LogFailed { source })?;
        if let (Some(appended), Some(live)) = (appended, live) {
            let events = EventBatch {
                source: source.spec.name.as_str().into(),
                schema: Arc::new(source.schema.clone()),
                offsets: appended.offsets.collect(),
                ingest_times: appended.ingest_times,
                rows,
            };
            self.show(&live, flight, &events, by_clock);
        }
        Ok(())
    }

    /// Offers logged events to every live view of their source. Those that became known at one moment are offered while all of
    /// the views are locked, so that no lookup sees half of them; between one moment and the next, lookups go on.
    fn show(&self, live: &Live, flight: Flight<'_>, events: &EventBatch, by_clock: bool) {
        let views = live.views.values().filter(|view| *view.view.spec.source.name == *events.source);
        let views: Vec<&LiveView> = views.map(|view| &**view).collect();
        let times = &events.ingest_times;
        let mut begin = 0;
        while by_clock && let Some(length) = times[begin..].iter().position(|time| *time != times[begin]) {
            let end = begin + length;
            self.show_moment(&views, &events.slice(begin, end), EVENTS_LEFT_TO_FOLD, || flight.reach(times[end]));
            views.iter().for_each(|view| view.give_way());
            begin = end;
        }
        // Where others come right behind, the last of them has everything folded at once.
        let left = if flight.is_followed() { EVENTS_LEFT_TO_FOLD } else { 0 };
        self.show_moment(&views, &events.slice(begin, times.len()), left, || drop(flight));
    }

    /// Offers events to views; `let_pass` lets lookups come to a time at which they see them. Views with no more than `left` events
    /// that wait are left to fold them later.
    fn show_moment(&self, views: &[&LiveView], events: &EventBatch, left: usize, let_pass: impl FnOnce()) {
        let mut locked: Vec<_> = views.iter().map(|view| (&view.view, view.lock())).collect();
        let log = |view: &View, error: RuntimeError| {
            let error = &error as &dyn std::error::Error;
            tracing::error!(view = view.spec.name, error, "a view did not take events");
        };
        for (view, online) in &mut locked {
            online.offer(events).unwrap_or_else(|error| log(view, error));
        }
        self.applied.store(events.offsets.last().map_or(0, |last| last + 1), Ordering::Release);
        let_pass();
        for (view, online) in locked.iter_mut().filter(|(_, online)| !online.must_rebuild() && online.pending() > left)
        {
            online.advance(self.settled_time(), &self.state).unwrap_or_else(|error| log(view, error));
        }
    }

    /// The idempotency keys of a source, read from the log when they are first needed, and again when the source tells
    /// duplicates by another column than before.
    fn seen<'s>(&self, state: &'s mut IngestState, source: &Source) -> Result<&'s mut Seen, RuntimeError> {
        let (name, column) = (&source.spec.name, &source.spec.idempotency_key);
        if state.seen.get(name).is_none_or(|seen| seen.column != *column) {
            let mut keys = Seen::new();
            if column.is_some() {
                for events in self.log.scan(Some(name), ..)? {
                    let events = events?;
                    source.remember(&events.rows, &events.schema, &mut keys);
                }
            }
            state.seen.insert(name.clone(), SeenOfColumn { column: column.clone(), keys });
        }
        Ok(&mut state.seen.get_mut(name).expect("the keys were just put there").keys)
    }
}

impl Live {
    /// The time of the last lookup that a source's events took part in.
    fn looked_up(&self, source: &str) -> Option<Timestamp> {
        let views = self.views.values().filter(|view| view.view.spec.source.name == source);
        views.filter_map(|view| view.lock().looked_up()).max()
    }
}

/// Live events that say they became known before a lookup that did not see them became known at that time instead: the past
/// that was served stays as it was.
fn not_before(time: Timestamp, known: &mut [Timestamp]) {
    known.iter_mut().for_each(|known| *known = (*known).max(time));
}

fn changed_meanwhile(source: &str, accepted: u64) -> RuntimeError {
    RuntimeError::request(
        format!("the columns of `{source}` changed while a file was ingested; {accepted} of its events are in the log"),
        "ingest the file again: events with an idempotency key are not logged twice",
    )
}

/// Rows as an Arrow IPC stream, the form in which a daemon takes events of any file.
pub fn arrow_stream(schema: &Schema, rows: &Batch) -> Result<Vec<u8>, RuntimeError> {
    let batch = oast_store::arrow::to_record_batch(schema, rows)?;
    let mut stream = Vec::new();
    let mut write = || {
        let mut writer = arrow::ipc::writer::StreamWriter::try_new(&mut stream, &batch.schema())?;
        writer.write(&batch)?;
        writer.finish()
    };
    write().map_err(oast_store::StoreError::Arrow)?;
    Ok(stream)
}
