//! The redo journal: `journal.redo`, a record an `apply`, synced before sled is touched.
//!
//! Little-endian. A record is the magic `ORJ1`, the length of the payload (u64), the CRC32 of number and payload (u32), the
//! number of the record (u64, rising by one), and the payload: a byte 1, the tree (u32 length, text), the number of changes
//! (u64), and each change as a byte 1, key, value (u32 length, bytes each) or a byte 0 and key; or a byte 2 and a tree to drop.
//! A record that is cut short, or is not what was written, ends the journal: it was never acknowledged.

use std::{
    fs::{File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::{Result, StoreError, disk};

const MAGIC: [u8; 4] = *b"ORJ1";
const HEADER: usize = 24;

/// One key of sled set or, without a value, removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
}

/// What can be done again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Redo {
    Apply { tree: String, changes: Vec<Change> },
    Drop { tree: String },
}

/// The file of the journal, open at its end.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
    next: u64,
    /// Whether a write or a cut failed, after which the end of the file is unknown.
    failed: bool,
}

impl Journal {
    /// Opens the journal of a folder and reads its complete records.
    pub(super) fn open(folder: &Path) -> Result<(Self, Vec<Redo>)> {
        let path = folder.join("journal.redo");
        let bytes = disk::read_if_there(&path)?;
        let is_new = bytes.is_none();
        let (records, length, next) = decode_all(&bytes.unwrap_or_default());
        let open = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
            file.set_len(length)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().map_err(StoreError::io("open", &path))?;
        if is_new {
            disk::sync_folder(folder)?;
        }
        Ok((Self { path, file, length, next, failed: false }, records))
    }

    /// Adds a record, durably.
    pub(super) fn append(&mut self, record: &Redo) -> Result<()> {
        if self.failed {
            self.cut_failed()?;
        }
        let bytes = encode(self.next, record);
        self.failed = true;
        let append = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        append.map_err(StoreError::io("write", &self.path))?;
        self.failed = false;
        self.length += bytes.len() as u64;
        self.next += 1;
        Ok(())
    }

    /// Removes what a failed write left, so that the next record follows the last good one.
    fn cut_failed(&mut self) -> Result<()> {
        let cut = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::End(0)));
        cut.and_then(|_| self.file.sync_data()).map_err(StoreError::io("write", &self.path))
    }

    /// Forgets all records, which sled now has durably.
    pub(super) fn clear(&mut self) -> Result<()> {
        (self.length, self.failed) = (0, true);
        self.cut_failed()?;
        self.failed = false;
        Ok(())
    }

    /// How many bytes the records take.
    pub(super) fn len(&self) -> u64 {
        self.length
    }
}

fn encode(number: u64, record: &Redo) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    match record {
        Redo::Apply { tree, changes } => {
            bytes.push(1);
            put(&mut bytes, tree.as_bytes());
            bytes.extend((changes.len() as u64).to_le_bytes());
            for change in changes {
                bytes.push(u8::from(change.value.is_some()));
                put(&mut bytes, &change.key);
                change.value.iter().for_each(|value| put(&mut bytes, value));
            }
        }
        Redo::Drop { tree } => {
            bytes.push(2);
            put(&mut bytes, tree.as_bytes());
        }
    }
    let length = (bytes.len() - HEADER) as u64;
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..12].copy_from_slice(&length.to_le_bytes());
    bytes[16..24].copy_from_slice(&number.to_le_bytes());
    let crc = crc32fast::hash(&bytes[16..]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).expect("keys and pieces of values stay below 4 GiB");
    bytes.extend(length.to_le_bytes());
    bytes.extend_from_slice(part);
}

/// The records that follow each other, how many bytes they take, and the number of the next.
fn decode_all(mut bytes: &[u8]) -> (Vec<Redo>, u64, u64) {
    let (mut records, mut length, mut next) = (Vec::new(), 0, None);
    while let Some((number, record, size)) = decode(bytes) {
        if next.is_some_and(|next| next != number) {
            break;
        }
        records.push(record);
        next = Some(number + 1);
        length += size as u64;
        bytes = &bytes[size..];
    }
    (records, length, next.unwrap_or(0))
}

fn decode(bytes: &[u8]) -> Option<(u64, Redo, usize)> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let number_of = |range: std::ops::Range<usize>| header[range].try_into().map(u64::from_le_bytes).ok();
    let length = usize::try_from(number_of(4..12)?).ok()?;
    let size = HEADER.checked_add(length)?;
    let mut payload = rest.get(..length)?;
    if header[..4] != MAGIC || crc32fast::hash(&bytes[16..size]).to_le_bytes() != header[12..16] {
        return None;
    }
    let record = decode_record(&mut payload).filter(|_| payload.is_empty())?;
    Some((number_of(16..24)?, record, size))
}

fn decode_record(bytes: &mut &[u8]) -> Option<Redo> {
    let kind = *bytes.split_off_first()?;
    let tree = String::from_utf8(part(bytes)?).ok()?;
    match kind {
        1 => {
            let count = u64::from_le_bytes(bytes.split_off(..8)?.try_into().ok()?);
            let changes = (0..count).map(|_| change(bytes)).collect::<Option<_>>()?;
            Some(Redo::Apply { tree, changes })
        }
        2 => Some(Redo::Drop { tree }),
        _ => None,
    }
}

fn change(bytes: &mut &[u8]) -> Option<Change> {
    let has_value = *bytes.split_off_first()? == 1;
    let key = part(bytes)?;
    let value = if has_value { Some(part(bytes)?) } else { None };
    Some(Change { key, value })
}

fn part(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let length = u32::from_le_bytes(bytes.split_off(..4)?.try_into().ok()?);
    Some(bytes.split_off(..length as usize)?.to_vec())
}
