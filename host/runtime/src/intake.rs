use std::{
    fs::File,
    io::Read,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use oast_core::{Batch, ColumnError, Schema, Timestamp};
use oast_store::{AppendRequest, Columns, EventBatch, Format, IngestTimes, TableFiles, TableReader};

use crate::{
    Arrival, ClockMode, ColumnNames, Events, IngestReport, Progress, Runtime, RuntimeError,
    ingest::{Refused, Seen, Source},
    live::Live,
    runtime::{IngestState, NOTHING_IN_FLIGHT},
};

/// How many rows of a file go into the log with one sync.
const ROWS_PER_APPEND: usize = 65_536;

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
        let source = self.source(source)?;
        match events {
            Events::JsonLines(body) => {
                let (rows, numbers, quarantined) = source.read_json(body);
                self.take_in(&source, rows, &numbers, quarantined, arrival)
            }
            Events::ArrowStream(body) => {
                let columns = Columns::Exactly(source.loose.clone());
                let input = std::io::Cursor::new(body.to_vec());
                let rows = read_all(TableReader::from_read("request body", Format::Arrow, input, columns)?, &source)?;
                let numbers = row_numbers(&rows);
                self.take_in(&source, rows, &numbers, Vec::new(), arrival)
            }
            Events::Batch(rows) => self.take_in(&source, rows.clone(), &row_numbers(rows), Vec::new(), arrival),
        }
    }

    /// Ingests a file, or standard input for `-`. A file of history is put in order of availability first.
    pub fn ingest_file(
        &self,
        source: &str,
        path: &Path,
        format: Option<Format>,
        progress: &dyn Progress,
    ) -> Result<IngestReport, RuntimeError> {
        let source = self.source(source)?;
        progress.phase("reading", None);
        let (rows, numbers, quarantined) = read_file(&source, path, format)?;
        progress.phase("ingesting", Some(rows.rows as u64));
        let mut order: Vec<u32> = (0..rows.rows as u32).collect();
        source.put_in_order(&mut order, &rows, Arrival::History);
        let quarantined = self.keep(&source, quarantined, Arrival::History)?;
        let mut report = IngestReport { quarantined, offset: self.log.next_offset(), ..IngestReport::default() };
        for part in order.chunks(ROWS_PER_APPEND) {
            let part_numbers: Vec<u64> = part.iter().map(|row| numbers[*row as usize]).collect();
            let taken = self.take_in(&source, rows.take(part), &part_numbers, Vec::new(), Arrival::History)?;
            report.accepted += taken.accepted;
            report.duplicates += taken.duplicates;
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
        source: &Source,
        rows: Batch,
        numbers: &[u64],
        mut refused: Vec<Refused>,
        arrival: Arrival,
    ) -> Result<IngestReport, RuntimeError> {
        let mut state = self.ingest.lock().expect("no thread panics while it ingests");
        let admitted = self.admit(&mut state, source, rows, numbers, arrival)?;
        self.log_admitted(&mut state, source, &admitted, arrival)?;
        refused.extend(admitted.refused);
        refused.sort_by_key(|each| each.report.row);
        let quarantined = self.keep(source, refused, arrival)?;
        let (accepted, duplicates) = (admitted.passed.rows as u64, admitted.duplicates);
        Ok(IngestReport { accepted, duplicates, quarantined, offset: self.log.next_offset() })
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
        let passed = rows.take(&order).into_canonical(&source.schema).map_err(wrong_types)?;
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
        if logged.is_err() {
            source.forget(&admitted.passed, self.seen(state, source)?);
        }
        logged
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

    /// The idempotency keys of a source, read from the log when they are first needed.
    fn seen<'s>(&self, state: &'s mut IngestState, source: &Source) -> Result<&'s mut Seen, RuntimeError> {
        let name = &source.spec.name;
        if !state.seen.contains_key(name) {
            let mut seen = Seen::new();
            if source.spec.idempotency_key.is_some() {
                for events in self.log.scan(Some(name), ..)? {
                    let events = events?;
                    source.remember(&events.rows, &events.schema, &mut seen);
                }
            }
            state.seen.insert(name.clone(), seen);
        }
        Ok(state.seen.get_mut(name).expect("the keys were just put there"))
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

fn row_numbers(rows: &Batch) -> Vec<u64> {
    (1..=rows.rows as u64).collect()
}

fn read_all(reader: TableReader, source: &Source) -> Result<Batch, RuntimeError> {
    let mut rows = Batch::empty(&source.loose);
    for batch in reader {
        rows.append(&batch?);
    }
    Ok(rows)
}

/// The rows of a file of events, their numbers in it, and the lines that are no events.
pub(crate) fn read_file(
    source: &Source,
    path: &Path,
    format: Option<Format>,
) -> Result<(Batch, Vec<u64>, Vec<Refused>), RuntimeError> {
    let stdin = path == Path::new("-");
    let format = match format {
        Some(format) => format,
        None if stdin => {
            return Err(RuntimeError::request(
                "standard input has no extension to tell its format by",
                "say `--format parquet`, `csv`, `jsonl` or `arrow`",
            ));
        }
        None => TableFiles::find(path)?.format()?,
    };
    if let (Format::JsonLines, Some(body)) = (format, json_lines(path)?) {
        return Ok(source.read_json(&body));
    }
    let columns = Columns::Exactly(source.loose.clone());
    let reader = if stdin {
        TableReader::from_read("standard input", format, std::io::stdin(), columns)?
    } else {
        TableReader::open(path, Some(format), columns)?
    };
    let rows = read_all(reader, source)?;
    let numbers = row_numbers(&rows);
    Ok((rows, numbers, Vec::new()))
}

/// Reads a file whose columns have other names. One line of JSON that cannot be read is then an error of the whole.
pub(crate) fn read_mapped(
    source: &Source,
    path: &Path,
    names: &ColumnNames,
) -> Result<(Batch, Vec<u64>), RuntimeError> {
    let columns = names.in_table(&source.loose, &format!("`{}`", path.display()))?;
    let rows = read_all(TableReader::open(path, None, Columns::Exactly(columns))?, source)?;
    let numbers = row_numbers(&rows);
    Ok((rows, numbers))
}

/// All lines of standard input or of the files that a path names, so that each can be judged by itself. Not those of a
/// partitioned table, whose rows are not whole without their paths.
fn json_lines(path: &Path) -> Result<Option<Vec<u8>>, RuntimeError> {
    let read = |path: &Path, input: &mut dyn Read, body: &mut Vec<u8>| {
        let read = input.read_to_end(body);
        read.map_err(|error| RuntimeError::File { action: "read", path: path.to_owned(), source: error })
    };
    let mut body = Vec::new();
    if path == Path::new("-") {
        read(path, &mut std::io::stdin(), &mut body)?;
        return Ok(Some(body));
    }
    let files = TableFiles::find(path)?;
    if files.is_partitioned() {
        return Ok(None);
    }
    for path in files.paths() {
        let file = File::open(path);
        let file = file.map_err(|error| RuntimeError::File { action: "open", path: path.to_owned(), source: error });
        read(path, &mut file?, &mut body)?;
        if !body.ends_with(b"\n") && !body.is_empty() {
            body.push(b'\n');
        }
    }
    Ok(Some(body))
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
