//! The event log: raw events of all sources in one sequence of offsets, append-only, durable once acknowledged.
//!
//! An append goes to one thread, which writes all requests that wait as frames of the active write-ahead file, syncs once and
//! acknowledges them together. A file that has grown to [`LogOptions::seal_bytes`] is closed; a second thread seals it: one
//! Parquet segment a source and schema, then a line of the chain, which is the commit point, then the file is removed.
//!
//! | in `log/` | what |
//! |---|---|
//! | `active-<first offset>.wal` | the active file, and closed ones that are not sealed yet; see `frame.rs` for the format |
//! | `<source>-<first offset>-<hash>.parquet` | a segment, readable by any Parquet reader |
//! | `chain.jsonl` | the seals, each covering the one before; see `chain.rs` |
//! | `.*.aside` | unfinished; removed when the log is opened |
//!
//! A crash at any point loses nothing that was acknowledged and repeats nothing: frames behind the last sound one of the last
//! file were never acknowledged and are cut off, segments without a line in the chain are removed and written again, and a
//! write-ahead file whose offsets the chain covers is removed.

mod chain;
mod frame;
mod recover;
mod scan;
mod seal;
mod segment;
mod wal;
mod writer;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    iter,
    ops::{Bound, Range, RangeBounds},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, mpsc},
    thread::JoinHandle,
};

use oast_core::{Batch, ChainHash, DataType, Field, Schema, SegmentHash, TimeSpan, Timestamp};

pub use chain::{Seal, Segment};
pub(crate) use frame::{Reader as ColumnReader, put_column};
pub use scan::{EventBatch, Scan};
pub use segment::{INGEST_TIME_COLUMN, OFFSET_COLUMN};

use self::{
    frame::OpenFrame,
    scan::Part,
    seal::SealCommand,
    wal::Wal,
    writer::{Command, Pending},
};
use crate::{BATCH_ROWS, DataDir, EVENTS_PER_TICK, LogClock, Result, StoreError, disk};

/// How a log behaves.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The size at which a write-ahead file is sealed, in bytes.
    pub seal_bytes: u64,
    /// How many appends may wait before the next caller does; one write takes in all that wait.
    pub queue: usize,
    /// The clock that gives live events their ingest times.
    pub clock: LogClock,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { seal_bytes: 64 << 20, queue: 256, clock: LogClock::system() }
    }
}

/// What opening a log found and put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// How many bytes of unacknowledged frames a crash left behind.
    pub torn_bytes: u64,
    /// Segments of a seal that a crash interrupted, now removed.
    pub orphan_segments: Vec<PathBuf>,
    /// The offset of the next event.
    pub next_offset: u64,
}

/// Where the ingest times of an append come from.
#[derive(Debug, Clone, Copy)]
pub enum IngestTimes<'a> {
    /// From the log's clock, one tick for every [`EVENTS_PER_TICK`](crate::EVENTS_PER_TICK) events, drawn when the request takes its
    /// place in line: later offsets have later ticks or the same.
    Clock,
    /// From the caller, one a row, for imported history. They may be in any order and never move the clock.
    Given(&'a [Timestamp]),
}

/// Events to append.
#[derive(Debug, Clone, Copy)]
pub struct AppendRequest<'a> {
    /// The source.
    pub source: &'a str,
    /// The schema of the rows.
    pub schema: &'a Schema,
    /// When the log took them.
    pub ingest: IngestTimes<'a>,
    /// The events; they are logged in canonical form.
    pub rows: &'a Batch,
}

/// What an append is acknowledged with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The offsets of the events.
    pub offsets: Range<u64>,
    /// The ingest time of each event.
    pub ingest_times: Vec<Timestamp>,
}

/// Events that have their place in the log, and are about to be durable.
#[derive(Debug)]
pub struct Submitted {
    ingest_times: Vec<Timestamp>,
    answer: mpsc::Receiver<Result<u64>>,
}

impl Submitted {
    /// Waits until the events are durable, with all that was submitted before them; see [`EventLog::append`].
    pub fn wait(self) -> Result<Appended> {
        let first = self.answer.recv().map_err(|_| StoreError::LogClosed)??;
        let rows = self.ingest_times.len() as u64;
        Ok(Appended { offsets: first..first + rows, ingest_times: self.ingest_times })
    }
}

/// How large a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSize {
    /// The bytes of all segments.
    pub segment_bytes: u64,
    /// The bytes of all write-ahead files.
    pub wal_bytes: u64,
}

/// What [`EventLog::verify`] went through without finding anything wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many segments there are.
    pub segments: usize,
    /// Their size.
    pub bytes: u64,
    /// The last link of the chain over them.
    pub head: Option<ChainHash>,
}

/// The event log of a data directory. Clones are handles to the same log; it is closed when the last one is dropped.
#[derive(Clone)]
pub struct EventLog {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    clock: LogClock,
    shared: Arc<Shared>,
    /// Held while a request gets its ticks and takes its place in line, so that both are in one order.
    line: Mutex<()>,
    /// Taken when the log is dropped, which ends the threads.
    channels: Option<(mpsc::SyncSender<Command>, mpsc::Sender<SealCommand>)>,
    threads: Vec<JoinHandle<()>>,
    _dir: DataDir,
}

impl EventLog {
    /// Opens the log of a data directory and puts right what a crash left, or says what is damaged.
    pub fn open(dir: &DataDir, options: LogOptions) -> Result<(Self, Recovery)> {
        recover::open(dir, options)
    }

    /// Appends events and returns once they are durable. Callers on many threads share a write and a sync.
    ///
    /// After a failed write or sync, this and every later append fails with [`StoreError::LogFailed`] until the log is opened
    /// again; whether the events of the failed append are then in the log is unknown, as after any crash.
    pub fn append(&self, request: AppendRequest<'_>) -> Result<Appended> {
        self.submit(request)?.wait()
    }

    /// Puts events in line for the log, in the order of the calls, and does not wait until they are durable; for a place in
    /// line it does. What is appended later is durable only if these are.
    pub fn submit(&self, request: AppendRequest<'_>) -> Result<Submitted> {
        check(&request)?;
        // What is acknowledged must be possible to seal, whatever the caller thinks of its rows.
        let canonical = request.rows.clone().into_canonical(request.schema)?;
        let request = AppendRequest { rows: &canonical, ..request };
        let rows = canonical.rows;
        let rows_per_frame = match request.ingest {
            IngestTimes::Clock => EVENTS_PER_TICK,
            IngestTimes::Given(_) => BATCH_ROWS,
        };
        let starts = (0..rows).step_by(rows_per_frame);
        let frames = starts.map(|from| OpenFrame::encode(&request, from, rows.min(from + rows_per_frame)));
        let frames = frames.collect::<Result<Vec<_>>>()?;
        let (reply, answer) = mpsc::channel();
        if rows == 0 {
            drop(reply.send(Ok(self.next_offset())));
            return Ok(Submitted { ingest_times: Vec::new(), answer });
        }
        let in_line = self.inner.line.lock().expect("no thread panics while it takes its place in line");
        let tick_of = |frame: &OpenFrame| (self.inner.clock.tick(), frame.rows as usize);
        let (ticks, ingest_times) = match request.ingest {
            IngestTimes::Given(times) => (Vec::new(), times.to_vec()),
            IngestTimes::Clock => {
                let ticks: Vec<_> = frames.iter().map(tick_of).collect();
                let times = ticks.iter().flat_map(|(tick, rows)| iter::repeat_n(*tick, *rows)).collect();
                (ticks.into_iter().map(|(tick, _)| tick).collect(), times)
            }
        };
        self.send(Command::Append(Pending { source: request.source.to_owned(), frames, ticks, reply }))?;
        drop(in_line);
        Ok(Submitted { ingest_times, answer })
    }

    fn send(&self, command: Command) -> Result<()> {
        let (writer, _) = self.inner.channels.as_ref().ok_or(StoreError::LogClosed)?;
        writer.send(command).map_err(|_| StoreError::LogClosed)
    }

    /// Seals everything appended so far, and returns the seals that this made.
    pub fn seal(&self) -> Result<Vec<Seal>> {
        let (reply, rotated) = mpsc::channel();
        self.send(Command::Rotate(reply))?;
        rotated.recv().map_err(|_| StoreError::LogClosed)??;
        let (_, sealer) = self.inner.channels.as_ref().ok_or(StoreError::LogClosed)?;
        let (reply, sealed) = mpsc::channel();
        sealer.send(SealCommand { reply: Some(reply) }).map_err(|_| StoreError::LogClosed)?;
        sealed.recv().map_err(|_| StoreError::LogClosed)?
    }

    /// The clock of the log. When the log was opened it was advanced past every tick recorded in it.
    pub fn clock(&self) -> &LogClock {
        &self.inner.clock
    }

    /// The offset that the next event will get; all before it are durable.
    pub fn next_offset(&self) -> u64 {
        self.inner.shared.lock().end_offset()
    }

    /// The sources that have events, sorted.
    pub fn sources(&self) -> Vec<String> {
        self.inner.shared.lock().sources.iter().cloned().collect()
    }

    /// How large the log is.
    pub fn size(&self) -> LogSize {
        let state = self.inner.shared.lock();
        LogSize {
            segment_bytes: state.kept().map(|segment| segment.bytes).sum(),
            wal_bytes: state.wals.iter().map(|wal| wal.length).sum(),
        }
    }

    /// The seals, in order.
    pub fn seals(&self) -> Vec<Arc<Seal>> {
        self.inner.shared.lock().seals.clone()
    }

    /// The segments of one source, or of all, in the order of the chain, without those that retention removed.
    pub fn segments(&self, source: Option<&str>) -> Vec<Segment> {
        let state = self.inner.shared.lock();
        state.kept().filter(|segment| source.is_none_or(|source| source == segment.source)).cloned().collect()
    }

    /// From now on, segments of these sources are removed once all of their events were taken in longer ago than this. That
    /// happens when the log is sealed, and a seal says so.
    pub fn set_retention(&self, retention: BTreeMap<String, TimeSpan>) {
        self.inner.shared.lock().retention = retention;
    }

    /// The latest ingest time of a source's events that retention removed, if it removed any.
    pub fn retired_until(&self, source: &str) -> Option<Timestamp> {
        let state = self.inner.shared.lock();
        let all = state.seals.iter().flat_map(|seal| &seal.segments);
        let retired = all.filter(|segment| segment.source == source && state.retired.contains(&segment.hash));
        retired.filter_map(|segment| segment.newest).max()
    }

    /// The hash that covers every sealed event.
    pub fn chain_head(&self) -> Option<ChainHash> {
        self.inner.shared.lock().seals.last().map(|seal| seal.hash)
    }

    /// Reads every segment and compares its hash with the chain, whose links were checked when the log was opened. The error
    /// names the first segment that was edited, cut short or removed.
    pub fn verify(&self) -> Result<Verified> {
        let segments = self.segments(None);
        segments.iter().try_for_each(|segment| self.verify_segment(segment))?;
        let bytes = segments.iter().map(|segment| segment.bytes).sum();
        Ok(Verified { segments: segments.len(), bytes, head: self.chain_head() })
    }

    /// Reads one segment and compares its hash with the chain.
    pub fn verify_segment(&self, segment: &Segment) -> Result<()> {
        segment::verify(&self.inner.folder, segment)
    }

    /// Reads the events of one source, or of all, in a range of offsets, in offset order.
    pub fn scan(&self, source: Option<&str>, offsets: impl RangeBounds<u64>) -> Result<Scan> {
        let state = self.inner.shared.lock();
        let range = absolute(offsets, state.end_offset());
        let overlaps = |first: u64, end: u64| first < range.end && range.start < end;
        let sealed = state.seals.iter().filter(|seal| overlaps(seal.first_offset, seal.through_offset + 1));
        let mut parts: VecDeque<_> = sealed.map(|seal| Part::Sealed(state.without_retired(seal))).collect();
        // Opened under the lock, since the sealer removes a file once it is sealed.
        for wal in state.wals.iter().filter(|wal| overlaps(wal.first_offset, wal.end_offset)) {
            parts.push_back(Part::Wal(wal.read()?));
        }
        drop(state);
        Ok(Scan::new(&self.inner.folder, source, range, parts))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.channels = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the event log panicked");
            }
        }
    }
}

fn absolute(offsets: impl RangeBounds<u64>, end: u64) -> Range<u64> {
    let from = match offsets.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match offsets.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(to) => *to,
        Bound::Unbounded => end,
    };
    from..to.min(end)
}

fn check(request: &AppendRequest<'_>) -> Result<()> {
    disk::check_name(request.source)?;
    let AppendRequest { schema, rows, .. } = request;
    schema.fields().iter().try_for_each(check_field)?;
    match request.ingest {
        IngestTimes::Given(times) if times.len() != rows.rows => {
            Err(StoreError::IngestTimes { rows: rows.rows, found: times.len() })
        }
        _ if schema.len() > usize::from(u16::MAX) => Err(too_large("a schema", schema.len())),
        _ => Ok(()),
    }
}

fn check_field(field: &Field) -> Result<()> {
    let name = &field.name;
    if let Some(reserved) = [OFFSET_COLUMN, INGEST_TIME_COLUMN].into_iter().find(|reserved| reserved == name) {
        return Err(StoreError::ReservedColumn(reserved));
    }
    if name.len() > usize::from(u16::MAX) {
        return Err(too_large("a column's name", name.len()));
    }
    // No segment could be made of it.
    if field.data_type == DataType::Vector(0) {
        let (expected, found) = ("vector[N], N > 0".to_owned(), field.data_type.to_string());
        return Err(StoreError::ColumnType { column: name.clone(), expected, found });
    }
    Ok(())
}

fn too_large(what: &'static str, size: usize) -> StoreError {
    StoreError::TooLarge { what, bytes: size as u64, limit: u16::MAX.into() }
}

/// What the log's threads and its callers all see.
struct Shared(Mutex<LogState>);

struct LogState {
    seals: Vec<Arc<Seal>>,
    /// Segments that retention removed.
    retired: BTreeSet<SegmentHash>,
    /// How long the events of a source are kept.
    retention: BTreeMap<String, TimeSpan>,
    /// Those that are closed but not sealed, then the active one.
    wals: VecDeque<Wal>,
    sources: BTreeSet<String>,
}

impl LogState {
    /// The segments that retention left, in the order of the chain.
    fn kept(&self) -> impl Iterator<Item = &Segment> {
        let all = self.seals.iter().flat_map(|seal| &seal.segments);
        all.filter(|segment| !self.retired.contains(&segment.hash))
    }

    /// The segments that their sources need no longer keep at a time: of each source the oldest, up to one that it keeps.
    fn too_old(&self, now: Option<Timestamp>) -> Vec<SegmentHash> {
        let Some(now) = now else { return Vec::new() };
        let of_source = |(source, span): (&String, &TimeSpan)| {
            let end = now.saturating_sub(*span);
            let mine = self.kept().filter(move |segment| segment.source == *source);
            let old = mine.take_while(move |segment| segment.newest.is_some_and(|newest| newest < end));
            old.map(|segment| segment.hash).collect::<Vec<_>>()
        };
        self.retention.iter().flat_map(of_source).collect()
    }

    fn without_retired(&self, seal: &Arc<Seal>) -> Arc<Seal> {
        if !seal.segments.iter().any(|segment| self.retired.contains(&segment.hash)) {
            return Arc::clone(seal);
        }
        let mut seal = Seal::clone(seal);
        seal.segments.retain(|segment| !self.retired.contains(&segment.hash));
        Arc::new(seal)
    }

    fn end_offset(&self) -> u64 {
        self.wals.back().expect("there is always an active file").end_offset
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, LogState> {
        self.0.lock().expect("nothing panics under this lock")
    }

    /// The active file has grown.
    fn appended(&self, active: Wal, sources: impl Iterator<Item = String>) {
        let mut state = self.lock();
        *state.wals.back_mut().expect("there is always an active file") = active;
        state.sources.extend(sources);
    }

    /// Another file is active.
    fn rotated(&self, active: Wal) {
        self.lock().wals.push_back(active);
    }

    /// The closed file that is to be sealed next, and the seal it comes after.
    fn oldest_closed(&self) -> Option<(Wal, Option<Arc<Seal>>)> {
        let state = self.lock();
        let oldest = state.wals.front().filter(|_| state.wals.len() > 1)?;
        Some((oldest.clone(), state.seals.last().cloned()))
    }

    /// The oldest closed file is sealed.
    fn sealed(&self, seal: Arc<Seal>) {
        let mut state = self.lock();
        state.retired.extend(&seal.retired);
        state.seals.push(seal);
        state.wals.pop_front();
    }
}

#[cfg(test)]
mod tests;
