//! The bytes of one frame of the write-ahead file: some rows of one source.
//!
//! Everything is little-endian. A frame is a header and a payload:
//!
//! | header | bytes |
//! |---|---|
//! | magic | `OFR1` |
//! | length of the payload | u32 |
//! | durable: the length of the file that was synced before this frame was written | u64 |
//! | CRC32 (IEEE) of length, durable and payload | u32 |
//!
//! | payload | bytes |
//! |---|---|
//! | version | u8, 1 |
//! | first offset | u64 |
//! | rows | u32 |
//! | ingest times: 1 one tick of the log's clock for all rows, 0 given by the caller | u8 |
//! | the tick, or 0 | i64 |
//! | source | u16 length, UTF-8 |
//! | schema | u16 number of columns, then each: u16 length and name, type as in oast-core's canonical encoding, u8 nullable |
//! | given ingest times | rows × i64; absent when there is a tick |
//! | columns | u8 1 and rows × u8 validity, or u8 0; then the values |
//!
//! Values are rows × u8 for bool; rows × 8 bytes for int64, float64 (IEEE 754 bits) and timestamp; (rows + 1) × u32 offsets
//! and the bytes for utf8 and binary; rows × width × 4 bytes for vectors.

use std::sync::Arc;

use oast_core::{Batch, Blobs, Canonical, Column, DataType, Field, Schema, Timestamp, Values};

use super::{AppendRequest, EventBatch, IngestTimes};
use crate::{Result, StoreError};

/// The bytes of a frame's header.
pub(super) const HEADER: usize = 20;
const MAGIC: [u8; 4] = *b"OFR1";
const VERSION: u8 = 1;
/// Where in the payload the tick stands.
const TICK: usize = 14;
/// More than any request body; what a damaged length can make a reader allocate.
const PAYLOAD_MAX: usize = 1 << 30;

/// A frame whose offset, tick and place in the file are still open; see [`Self::stamp`].
pub(super) struct OpenFrame {
    bytes: Vec<u8>,
    pub(super) rows: u32,
}

impl OpenFrame {
    /// Encodes some rows of a request.
    pub(super) fn encode(request: &AppendRequest<'_>, from: usize, to: usize) -> Result<Self> {
        let rows = to - from;
        let mut bytes = vec![0; HEADER];
        bytes.push(VERSION);
        bytes.extend(0_u64.to_le_bytes());
        bytes.extend((rows as u32).to_le_bytes());
        bytes.push(u8::from(matches!(request.ingest, IngestTimes::Clock)));
        bytes.extend(0_i64.to_le_bytes());
        put_text(&mut bytes, request.source);
        put_schema(&mut bytes, request.schema);
        if let IngestTimes::Given(times) = request.ingest {
            times[from..to].iter().for_each(|time| bytes.extend(time.as_micros().to_le_bytes()));
        }
        request.rows.columns.iter().for_each(|column| put_column(&mut bytes, column, from, to));
        let payload = bytes.len() - HEADER;
        if payload > PAYLOAD_MAX {
            let (bytes, limit) = (payload as u64, PAYLOAD_MAX as u64);
            return Err(StoreError::TooLarge { what: "a frame of 8192 events", bytes, limit });
        }
        Ok(Self { bytes, rows: rows as u32 })
    }

    /// How many bytes the frame has.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The finished frame. `durable` is the length of the file before the group of frames that this one is written with.
    pub(super) fn stamp(&mut self, first_offset: u64, tick: Option<Timestamp>, durable: u64) -> &[u8] {
        self.bytes[HEADER + 1..HEADER + 9].copy_from_slice(&first_offset.to_le_bytes());
        let tick = tick.map_or(0, Timestamp::as_micros);
        self.bytes[HEADER + TICK..HEADER + TICK + 8].copy_from_slice(&tick.to_le_bytes());
        let length = (self.bytes.len() - HEADER) as u32;
        let crc = crc(length, durable, &self.bytes[HEADER..]);
        self.bytes[..4].copy_from_slice(&MAGIC);
        self.bytes[4..8].copy_from_slice(&length.to_le_bytes());
        self.bytes[8..16].copy_from_slice(&durable.to_le_bytes());
        self.bytes[16..20].copy_from_slice(&crc.to_le_bytes());
        &self.bytes
    }
}

fn crc(length: u32, durable: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(&durable.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("names are checked when a request arrives");
    bytes.extend(length.to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn put_schema(bytes: &mut Vec<u8>, schema: &Schema) {
    let columns = u16::try_from(schema.len()).expect("the number of columns is checked when a request arrives");
    bytes.extend(columns.to_le_bytes());
    for field in schema.fields() {
        put_text(bytes, &field.name);
        bytes.extend(Canonical::new().data_type(field.data_type).u8(u8::from(field.nullable)).as_bytes());
    }
}

/// Adds some rows of a column.
pub(crate) fn put_column(bytes: &mut Vec<u8>, column: &Column, from: usize, to: usize) {
    match &column.validity {
        None => bytes.push(0),
        Some(validity) => {
            bytes.push(1);
            bytes.extend_from_slice(&validity[from..to]);
        }
    }
    match &column.values {
        Values::Bool(values) => bytes.extend_from_slice(&values[from..to]),
        Values::Int64(values) | Values::Timestamp(values) => put_numbers(bytes, &values[from..to], |v| v.to_le_bytes()),
        Values::Float64(values) => put_numbers(bytes, &values[from..to], |v| v.to_bits().to_le_bytes()),
        Values::Utf8(blobs) | Values::Binary(blobs) => {
            let offsets = &blobs.offsets[from..=to];
            let (start, end) = (offsets[0], offsets[to - from]);
            put_numbers(bytes, offsets, |offset| (offset - start).to_le_bytes());
            bytes.extend_from_slice(&blobs.bytes[start as usize..end as usize]);
        }
        Values::Vector { width, values } => {
            let width = *width as usize;
            put_numbers(bytes, &values[from * width..to * width], |v| v.to_bits().to_le_bytes());
        }
    }
}

/// Writes into place rather than pushing, so that the loop becomes a copy.
fn put_numbers<T: Copy, const N: usize>(bytes: &mut Vec<u8>, values: &[T], encode: impl Fn(T) -> [u8; N]) {
    let start = bytes.len();
    bytes.resize(start + values.len() * N, 0);
    let places = bytes[start..].chunks_exact_mut(N);
    places.zip(values).for_each(|(place, value)| place.copy_from_slice(&encode(*value)));
}

/// A header that has been read, its payload still unchecked.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameHeader {
    pub(super) length: usize,
    pub(super) durable: u64,
    crc: u32,
}

impl FrameHeader {
    /// Reads a header, if these bytes start with one.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..HEADER)?;
        let mut reader = Reader { bytes: header };
        if reader.array()? != MAGIC {
            return None;
        }
        let length = reader.u32()? as usize;
        let (durable, crc) = (reader.u64()?, reader.u32()?);
        (length <= PAYLOAD_MAX).then_some(Self { length, durable, crc })
    }

    /// Whether this is the payload that the header was written for.
    pub(super) fn fits(&self, payload: &[u8]) -> bool {
        payload.len() == self.length && crc(self.length as u32, self.durable, payload) == self.crc
    }
}

/// What stands at the beginning of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Preamble {
    pub(super) first_offset: u64,
    pub(super) rows: u32,
    pub(super) tick: Option<Timestamp>,
}

impl Preamble {
    /// Reads the beginning of a payload whose CRC was right.
    pub(super) fn decode(payload: &[u8]) -> Option<Self> {
        Self::read(&mut Reader { bytes: payload })
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        if reader.u8()? != VERSION {
            return None;
        }
        let (first_offset, rows, clock, tick) = (reader.u64()?, reader.u32()?, reader.u8()?, reader.u64()? as i64);
        Some(Self { first_offset, rows, tick: (clock == 1).then_some(Timestamp::from_micros(tick)) })
    }

    /// The offset after the frame's last.
    pub(super) fn end_offset(&self) -> u64 {
        self.first_offset + u64::from(self.rows)
    }
}

/// The source of the rows in a payload.
pub(super) fn decode_source(payload: &[u8]) -> Option<String> {
    let mut reader = Reader { bytes: payload };
    Preamble::read(&mut reader)?;
    reader.text()
}

/// The rows in a payload whose CRC was right.
pub(super) fn decode_events(payload: &[u8]) -> Option<EventBatch> {
    let mut reader = Reader { bytes: payload };
    let preamble = Preamble::read(&mut reader)?;
    let rows = preamble.rows as usize;
    let source = reader.text()?;
    let schema = reader.schema()?;
    let ingest_times = match preamble.tick {
        Some(tick) => vec![tick; rows],
        None => reader.numbers(rows, |bytes| Timestamp::from_micros(i64::from_le_bytes(bytes)))?,
    };
    let columns = schema.fields().iter().map(|field| reader.column(field.data_type, rows)).collect::<Option<_>>()?;
    let batch = Batch { rows, columns };
    reader.bytes.is_empty().then(|| EventBatch {
        source: source.into(),
        schema: Arc::new(schema),
        offsets: (preamble.first_offset..preamble.end_offset()).collect(),
        ingest_times,
        rows: batch,
    })
}

/// Reads what was written, from the beginning on; nothing where the bytes are none that were.
pub(crate) struct Reader<'a> {
    pub(crate) bytes: &'a [u8],
}

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Option<&[u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let length = self.u16()?;
        String::from_utf8(self.take(length.into())?.to_vec()).ok()
    }

    fn numbers<T, const N: usize>(&mut self, count: usize, decode: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
        let bytes = self.take(count.checked_mul(N)?)?;
        Some(bytes.chunks_exact(N).map(|chunk| decode(chunk.try_into().expect("a chunk has N bytes"))).collect())
    }

    fn schema(&mut self) -> Option<Schema> {
        let columns = self.u16()?;
        let fields = (0..columns).map(|_| self.field()).collect::<Option<_>>()?;
        Schema::new(fields).ok()
    }

    fn field(&mut self) -> Option<Field> {
        let name = self.text()?;
        let data_type = match self.u8()? {
            1 => DataType::Bool,
            2 => DataType::Int64,
            3 => DataType::Float64,
            4 => DataType::Utf8,
            5 => DataType::Binary,
            6 => DataType::Timestamp,
            7 => DataType::Vector(self.u32()?),
            _ => return None,
        };
        Some(Field { name, data_type, nullable: self.u8()? == 1 })
    }

    /// The rows that [`put_column`] added.
    pub(crate) fn column(&mut self, data_type: DataType, rows: usize) -> Option<Column> {
        let validity = match self.u8()? {
            0 => None,
            _ => Some(self.take(rows)?.to_vec()),
        };
        let values = match data_type {
            DataType::Bool => Values::Bool(self.take(rows)?.to_vec()),
            DataType::Int64 => Values::Int64(self.numbers(rows, i64::from_le_bytes)?),
            DataType::Float64 => Values::Float64(self.numbers(rows, f64::from_le_bytes)?),
            DataType::Timestamp => Values::Timestamp(self.numbers(rows, i64::from_le_bytes)?),
            DataType::Utf8 => Values::Utf8(self.blobs(rows)?),
            DataType::Binary => Values::Binary(self.blobs(rows)?),
            DataType::Vector(width) => {
                Values::Vector { width, values: self.numbers(rows.checked_mul(width as usize)?, f32::from_le_bytes)? }
            }
        };
        Some(Column { values, validity })
    }

    fn blobs(&mut self, rows: usize) -> Option<Blobs> {
        let offsets = self.numbers(rows + 1, u32::from_le_bytes)?;
        let bytes = self.take(*offsets.last()? as usize)?.to_vec();
        let blobs = Blobs { offsets, bytes };
        blobs.is_well_formed().then_some(blobs)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arrow::tests::{any_table, same_rows};

    proptest! {
        #[test]
        fn rows_survive_a_frame((schema, rows) in any_table(), first in 0..u64::MAX / 2, clock: bool, cut in 0.0..1.0) {
            let times: Vec<_> = (0..rows.rows as i64).map(|row| Timestamp::from_micros(row * 7 - 3)).collect();
            let tick = clock.then_some(Timestamp::from_micros(42));
            let ingest = if clock { IngestTimes::Clock } else { IngestTimes::Given(&times) };
            let request = AppendRequest { source: "clicks", schema: &schema, ingest, rows: &rows };
            let from = (rows.rows as f64 * cut) as usize;
            let mut frame = OpenFrame::encode(&request, from, rows.rows).unwrap();
            let bytes = frame.stamp(first, tick, 99).to_vec();
            let header = FrameHeader::decode(&bytes).unwrap();
            prop_assert_eq!((header.length, header.durable), (bytes.len() - HEADER, 99));
            prop_assert!(header.fits(&bytes[HEADER..]));
            let events = decode_events(&bytes[HEADER..]).unwrap();
            prop_assert_eq!(&*events.schema, &schema);
            prop_assert_eq!(&*events.source, "clicks");
            prop_assert_eq!(events.offsets, (first..first + (rows.rows - from) as u64).collect::<Vec<_>>());
            prop_assert!(same_rows(&events.rows, &rows.slice(from, rows.rows)));
            let expected = if clock { vec![Timestamp::from_micros(42); rows.rows - from] } else { times[from..].to_vec() };
            prop_assert_eq!(events.ingest_times, expected);
        }

        #[test]
        fn arbitrary_bytes_are_decoded_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            if let Some(events) = decode_events(&bytes) {
                prop_assert_eq!(events.rows.rows, events.offsets.len());
            }
        }

        #[test]
        fn a_changed_byte_is_noticed((schema, rows) in any_table(), at: prop::sample::Index, flip in 1_u8..) {
            let request = AppendRequest { source: "s", schema: &schema, ingest: IngestTimes::Clock, rows: &rows };
            let mut frame = OpenFrame::encode(&request, 0, rows.rows).unwrap();
            let mut bytes = frame.stamp(5, Some(Timestamp::from_micros(1)), 24).to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let sound = FrameHeader::decode(&bytes).is_some_and(|header| header.fits(&bytes[HEADER..]));
            prop_assert!(!sound);
        }
    }
}
