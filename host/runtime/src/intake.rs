mod file;
mod read;

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use oast_core::{Batch, ColumnError, Schema, Timestamp};
use oast_store::{AppendRequest, EventBatch, Format, IngestTimes, StoreError};

use crate::{
    Arrival, ClockMode, Events, IngestReport, Progress, Runtime, RuntimeError,
    ingest::{Refused, Seen, Source},
    live::Live,
    online::times,
    runtime::{IngestState, NOTHING_IN_FLIGHT, SeenOfColumn},
};

pub(crate) use file::EventFile;
use read::{read_events, read_file};

/// How many rows of a file go into the log with one sync.
const ROWS_PER_APPEND: usize = 65_536;

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

impl Runtime {
    /// Gates events, logs those that pass, and shows them to the views. When it returns, what was accepted is on disk.
    pub fn ingest(&self, source: &str, events: Events<'_>, arrival: Arrival) -> Result<IngestReport, RuntimeError> {
        let reader = self.source(source)?;
        let read = read_events(&reader, events)?;
        let mut state = self.ingest.lock().expect("no thread panics while it ingests");
        // While this waited, definitions may have been exchanged: what is logged now is as they are now.
        let source = self.source(source)?;
        let read = if source.schema == reader.schema { read } else { read_events(&source, events)? };
        self.take_in(&mut state, &source, read, arrival)
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
            let mut state = self.ingest.lock().expect("no thread panics while it ingests");
            let current = self.source(name)?;
            if current.schema != source.schema {
                return Err(changed_meanwhile(name, report.accepted));
            }
            let read = (rows.take(part), part_numbers, Vec::new());
            let taken = self.take_in(&mut state, &current, read, Arrival::History)?;
            drop(state);
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

    fn take_in(
        &self,
        state: &mut IngestState,
        source: &Source,
        (rows, numbers, mut refused): ReadEvents,
        arrival: Arrival,
    ) -> Result<IngestReport, RuntimeError> {
        let mut admitted = self.admit(state, source, rows, &numbers, arrival)?;
        refused.append(&mut admitted.refused);
        refused.sort_by_key(|each| each.report.row);
        // First of all: were the others logged and these could not be kept, whoever sends all of them again would double them.
        let kept = self.keep(source, refused, arrival);
        if kept.is_err() {
            self.forget(state, source, &admitted.passed)?;
        }
        let quarantined = kept?;
        self.log_admitted(state, source, &admitted, arrival)?;
        let (accepted, duplicates) = (admitted.passed.rows as u64, admitted.duplicates);
        let past_retention = match arrival {
            Arrival::Live => 0,
            Arrival::History => self.past_retention(source, &admitted.passed),
        };
        Ok(IngestReport { accepted, duplicates, quarantined, offset: self.log.next_offset(), past_retention })
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

    /// Logs what was admitted.
    pub(crate) fn log_admitted(
        &self,
        state: &mut IngestState,
        source: &Source,
        admitted: &Admitted,
        arrival: Arrival,
    ) -> Result<(), RuntimeError> {
        if admitted.passed.rows == 0 {
            return Ok(());
        }
        let logged = self.log_and_show(source, &admitted.passed, arrival);
        if let Err(error) = &logged {
            if let RuntimeError::Store(StoreError::LogFailed { source }) = error {
                state.log_failure = Some(Arc::clone(source));
            }
            self.forget(state, source, &admitted.passed)?;
        }
        logged
    }

    /// Forgets the keys of rows that were admitted and not logged: they may come again.
    pub(crate) fn forget(&self, state: &mut IngestState, source: &Source, rows: &Batch) -> Result<(), RuntimeError> {
        source.forget(rows, self.seen(state, source)?);
        Ok(())
    }

    /// Logs events and shows them to the live views. Once they are logged they are acknowledged, whatever becomes of a view:
    /// one that cannot take them is rebuilt from the log before it is next used.
    fn log_and_show(&self, source: &Source, rows: &Batch, arrival: Arrival) -> Result<(), RuntimeError> {
        let live = self.live_now();
        let mut known = source.known_times(rows, arrival);
        let begun = self.begin_flight();
        let looked_up = live.as_ref().and_then(|live| live.looked_up(&source.spec.name));
        if let (Arrival::Live, Some(known), Some(looked_up)) = (arrival, &mut known, looked_up) {
            not_before(begun.unwrap_or(looked_up), known);
        }
        let ingest = known.as_deref().map_or(IngestTimes::Clock, IngestTimes::Given);
        let request = AppendRequest { source: &source.spec.name, schema: &source.schema, ingest, rows };
        let appended = self.log.append(request).inspect_err(|_| self.nothing_in_flight())?;
        if let Some(live) = live {
            let events = EventBatch {
                source: source.spec.name.as_str().into(),
                schema: Arc::new(source.schema.clone()),
                offsets: appended.offsets.clone().collect(),
                ingest_times: appended.ingest_times,
                rows: rows.clone(),
            };
            self.show(&live, &events, appended.offsets.end);
        }
        self.nothing_in_flight();
        Ok(())
    }

    /// Offers logged events to every live view of their source, all of which are locked so that no lookup sees half of it.
    fn show(&self, live: &Live, events: &EventBatch, end: u64) {
        let views = live.views.values().filter(|view| *view.view.spec.source.name == *events.source);
        let mut views: Vec<_> = views.map(|view| (&view.view, view.lock())).collect();
        for (view, online) in &mut views {
            let offered = online.offer(events);
            let shown = if online.must_rebuild() { offered } else { online.advance(self.settled_time(), &self.state) };
            if let Err(error) = shown {
                tracing::error!(
                    view = view.spec.name,
                    error = &error as &dyn std::error::Error,
                    "a view did not take events"
                );
            }
        }
        self.applied.store(end, Ordering::Release);
        // While the views are still locked: the next lookup draws a time at which it sees these events.
        self.nothing_in_flight();
    }

    /// Holds lookups back at the present until the views have seen what is about to be logged. A simulated clock moves with
    /// lookups only, and so cannot pass anything by.
    fn begin_flight(&self) -> Option<Timestamp> {
        let begun = (self.clock_mode == ClockMode::Wall).then(|| self.clock.tick())?;
        self.in_flight.store(begun.as_micros(), Ordering::SeqCst);
        Some(begun)
    }

    fn nothing_in_flight(&self) {
        self.in_flight.store(NOTHING_IN_FLIGHT, Ordering::SeqCst);
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
