use std::{
    collections::VecDeque,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use oast_core::{Batch, Schema, Timestamp};

use super::{
    Seal, Segment,
    frame::{decode_events, decode_source},
    segment::SegmentReader,
    wal::WalReader,
};
use crate::Result;

/// Some events of one source and one schema, in offset order: at least one and at most [`BATCH_ROWS`](crate::BATCH_ROWS).
#[derive(Debug, Clone, PartialEq)]
pub struct EventBatch {
    /// The source.
    pub source: Arc<str>,
    /// The schema of the rows.
    pub schema: Arc<Schema>,
    /// The offset of each row, rising.
    pub offsets: Vec<u64>,
    /// The ingest time of each row.
    pub ingest_times: Vec<Timestamp>,
    /// The rows.
    pub rows: Batch,
}

impl EventBatch {
    /// The events whose offset is in a range, or nothing when there is none.
    fn within(self, range: &Range<u64>) -> Option<Self> {
        let start = self.offsets.partition_point(|offset| *offset < range.start);
        let end = self.offsets.partition_point(|offset| *offset < range.end);
        match (start, end) {
            (0, end) if end == self.offsets.len() => Some(self).filter(|events| !events.offsets.is_empty()),
            (start, end) if start < end => Some(self.slice(start, end)),
            _ => None,
        }
    }

    /// Some of the events, by their numbers in the batch.
    #[must_use]
    pub fn slice(&self, start: usize, end: usize) -> Self {
        Self {
            source: Arc::clone(&self.source),
            schema: Arc::clone(&self.schema),
            offsets: self.offsets[start..end].to_vec(),
            ingest_times: self.ingest_times[start..end].to_vec(),
            rows: self.rows.slice(start, end),
        }
    }
}

/// Reads events in offset order, from the segments and then from the write-ahead files, as far as they were durable when the
/// scan began. It keeps one batch a segment in memory; appending and sealing go on meanwhile.
pub struct Scan {
    folder: PathBuf,
    source: Option<String>,
    range: Range<u64>,
    parts: VecDeque<Part>,
    current: Option<Current>,
}

/// What is still to be read.
pub(super) enum Part {
    Sealed(Arc<Seal>),
    Wal(WalReader),
}

enum Current {
    Segments(Vec<Cursor>),
    Wal(WalReader),
}

impl Scan {
    /// A scan over these parts, which are in offset order.
    pub(super) fn new(folder: &Path, source: Option<&str>, range: Range<u64>, parts: VecDeque<Part>) -> Self {
        Self { folder: folder.to_owned(), source: source.map(str::to_owned), range, parts, current: None }
    }

    fn try_next(&mut self) -> Result<Option<EventBatch>> {
        loop {
            let events = match &mut self.current {
                None => None,
                Some(Current::Segments(cursors)) => next_in_order(cursors, &self.range)?,
                Some(Current::Wal(reader)) => next_of_wal(reader, self.source.as_deref(), &self.range)?,
            };
            if events.is_some() {
                return Ok(events);
            }
            self.current = match self.parts.pop_front() {
                None => return Ok(None),
                Some(Part::Wal(reader)) => Some(Current::Wal(reader)),
                Some(Part::Sealed(seal)) => Some(Current::Segments(self.open(&seal)?)),
            };
        }
    }

    fn open(&self, seal: &Seal) -> Result<Vec<Cursor>> {
        let wanted = |segment: &&Segment| {
            segment.first_offset < self.range.end
                && segment.last_offset >= self.range.start
                && self.source.as_ref().is_none_or(|source| *source == segment.source)
        };
        seal.segments.iter().filter(wanted).map(|segment| Cursor::open(&self.folder, segment, &self.range)).collect()
    }
}

impl Iterator for Scan {
    type Item = Result<EventBatch>;

    /// The next events. After an error there are no more.
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.try_next();
        if next.is_err() {
            (self.parts, self.current) = (VecDeque::new(), None);
        }
        next.transpose()
    }
}

/// A segment and the events read from it but not yet given out.
struct Cursor {
    reader: SegmentReader,
    pending: Option<EventBatch>,
}

impl Cursor {
    fn open(folder: &Path, segment: &Segment, range: &Range<u64>) -> Result<Self> {
        let mut cursor = Self { reader: SegmentReader::open(folder, segment)?, pending: None };
        cursor.fill(range)?;
        Ok(cursor)
    }

    fn fill(&mut self, range: &Range<u64>) -> Result<()> {
        while self.pending.is_none() {
            let Some(events) = self.reader.next()? else { return Ok(()) };
            let is_past = events.offsets.first().is_some_and(|first| *first >= range.end);
            self.pending = events.within(range);
            if is_past {
                return Ok(());
            }
        }
        Ok(())
    }

    fn first_offset(&self) -> Option<u64> {
        self.pending.as_ref().and_then(|events| events.offsets.first().copied())
    }

    /// Gives out the events before `bound`.
    fn take_until(&mut self, bound: u64) -> Option<EventBatch> {
        let events = self.pending.take()?;
        let end = events.offsets.partition_point(|offset| *offset < bound);
        if end < events.offsets.len() {
            self.pending = Some(events.slice(end, events.offsets.len()));
            return Some(events.slice(0, end));
        }
        Some(events)
    }
}

/// The events of the segment whose turn it is, up to where another segment of the same seal has the next offset.
fn next_in_order(cursors: &mut Vec<Cursor>, range: &Range<u64>) -> Result<Option<EventBatch>> {
    cursors.retain(|cursor| cursor.pending.is_some());
    cursors.sort_by_key(Cursor::first_offset);
    let bound = cursors.get(1).and_then(Cursor::first_offset).unwrap_or(u64::MAX);
    let Some(first) = cursors.first_mut() else { return Ok(None) };
    let events = first.take_until(bound);
    first.fill(range)?;
    Ok(events)
}

fn next_of_wal(reader: &mut WalReader, source: Option<&str>, range: &Range<u64>) -> Result<Option<EventBatch>> {
    loop {
        let next = reader.next(|frame| frame.first_offset < range.end && frame.end_offset() > range.start)?;
        let Some(payload) = next else { return Ok(None) };
        if source.is_some() && decode_source(&payload).as_deref() != source {
            continue;
        }
        let events = decode_events(&payload).ok_or_else(|| reader.damaged())?;
        if let Some(events) = events.within(range) {
            return Ok(Some(events));
        }
    }
}
