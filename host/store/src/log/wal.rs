//! A write-ahead file: a header and frames.
//!
//! The header is the magic `OASTWAL1`, the first offset (u64, little-endian) and the CRC32 of both. The file is created aside
//! and renamed, so a header is never torn. Only the last file of a log is written to, and only its tail can be torn.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use oast_core::Timestamp;

use super::frame::{FrameHeader, HEADER, Preamble, decode_source};
use crate::{
    Result, StoreError,
    disk::{self, AsideFile},
};

const MAGIC: [u8; 8] = *b"OASTWAL1";
const FILE_HEADER: usize = 20;

/// What is known of a write-ahead file: everything up to `length` is durable.
#[derive(Debug, Clone)]
pub(super) struct Wal {
    pub(super) path: PathBuf,
    pub(super) first_offset: u64,
    pub(super) end_offset: u64,
    pub(super) length: u64,
    /// The latest tick of the log's clock among its events.
    pub(super) log_time: Option<Timestamp>,
}

impl Wal {
    /// Where the file that begins with this offset is.
    pub(super) fn path(folder: &Path, first_offset: u64) -> PathBuf {
        folder.join(format!("active-{first_offset:020}.wal"))
    }

    /// Creates a file without events, durably, and opens it for appending.
    pub(super) fn create(folder: &Path, first_offset: u64) -> Result<(Self, File)> {
        let path = Self::path(folder, first_offset);
        let mut header = MAGIC.to_vec();
        header.extend(first_offset.to_le_bytes());
        header.extend(crc32fast::hash(&header).to_le_bytes());
        let aside = AsideFile::create(&path)?;
        aside.file().write_all(&header).map_err(StoreError::io("write", &path))?;
        aside.commit(&path)?;
        disk::sync_folder(folder)?;
        let wal = Self { path, first_offset, end_offset: first_offset, length: FILE_HEADER as u64, log_time: None };
        let file = wal.open_for_append()?;
        Ok((wal, file))
    }

    /// Opens the file with its end as the place of the next frame.
    pub(super) fn open_for_append(&self) -> Result<File> {
        let open = || {
            let mut file = OpenOptions::new().write(true).open(&self.path)?;
            file.seek(SeekFrom::Start(self.length))?;
            Ok(file)
        };
        open().map_err(StoreError::io("open", &self.path))
    }

    /// Whether there is no event in it.
    pub(super) fn is_empty(&self) -> bool {
        self.first_offset == self.end_offset
    }

    /// Reads the whole file and says what it holds: its sources as well, and, for the last file of a log, how many bytes of
    /// torn tail follow the last sound frame.
    ///
    /// A frame that is not sound is a torn tail when no later frame was written after a sync that covered it: then it was
    /// never acknowledged, nor was anything after it. Otherwise the file was damaged later, which is an error.
    pub(super) fn recover(path: &Path, is_last: bool) -> Result<Recovered> {
        let bytes = fs::read(path).map_err(StoreError::io("read", path))?;
        let first_offset = decode_file_header(&bytes)
            .ok_or_else(|| StoreError::damaged(path, 0, "it does not begin with the header of a write-ahead file"))?;
        let mut wal = Self { path: path.to_owned(), first_offset, end_offset: first_offset, length: 0, log_time: None };
        let mut sources = Vec::new();
        let mut at = FILE_HEADER;
        while let Some((header, payload)) = frame_at(&bytes, at) {
            wal.take_in(payload, at, &mut sources)?;
            at += HEADER + header.length;
        }
        wal.length = at as u64;
        let torn_bytes = (bytes.len() - at) as u64;
        if torn_bytes > 0 && (!is_last || covered_by_a_later_frame(&bytes, at)) {
            return Err(StoreError::damaged(path, at as u64, "this frame is not what was written"));
        }
        Ok(Recovered { wal, sources, torn_bytes })
    }

    fn take_in(&mut self, payload: &[u8], at: usize, sources: &mut Vec<String>) -> Result<()> {
        let damaged = |what: &str| StoreError::damaged(&self.path, at as u64, what);
        let preamble = Preamble::decode(payload).ok_or_else(|| damaged("this frame is of an unknown version"))?;
        if preamble.first_offset != self.end_offset {
            let what = format!("offset {} stands where {} belongs", preamble.first_offset, self.end_offset);
            return Err(damaged(&what));
        }
        let source = decode_source(payload).ok_or_else(|| damaged("this frame names no source"))?;
        if !sources.contains(&source) {
            sources.push(source);
        }
        self.end_offset = preamble.end_offset();
        self.log_time = self.log_time.max(preamble.tick);
        Ok(())
    }

    /// Cuts everything after the last sound frame off.
    pub(super) fn cut_torn_tail(&self) -> Result<()> {
        let cut = || {
            let file = OpenOptions::new().write(true).open(&self.path)?;
            file.set_len(self.length)?;
            file.sync_all()
        };
        cut().map_err(StoreError::io("cut the torn tail of", &self.path))
    }

    /// Opens the durable part for reading, frame by frame.
    pub(super) fn read(&self) -> Result<WalReader> {
        let mut file = File::open(&self.path).map_err(StoreError::io("open", &self.path))?;
        let start = FILE_HEADER as u64;
        file.seek(SeekFrom::Start(start)).map_err(StoreError::io("read", &self.path))?;
        let input = BufReader::with_capacity(1 << 16, file);
        Ok(WalReader { path: self.path.clone(), input, at: start, end: self.length })
    }
}

/// What [`Wal::recover`] found.
pub(super) struct Recovered {
    pub(super) wal: Wal,
    pub(super) sources: Vec<String>,
    pub(super) torn_bytes: u64,
}

fn decode_file_header(bytes: &[u8]) -> Option<u64> {
    let header = bytes.get(..FILE_HEADER)?;
    let (covered, crc) = header.split_at(16);
    let sound = crc32fast::hash(covered).to_le_bytes() == crc && covered[..8] == MAGIC;
    sound.then(|| u64::from_le_bytes(covered[8..].try_into().expect("eight bytes of sixteen")))
}

/// The sound frame that starts at a byte, if there is one.
fn frame_at(bytes: &[u8], at: usize) -> Option<(FrameHeader, &[u8])> {
    let header = FrameHeader::decode(&bytes[at..])?;
    let start = at + HEADER;
    let payload = bytes.get(start..start + header.length)?;
    header.fits(payload).then_some((header, payload))
}

/// Whether a sound frame behind `torn` was written when that byte was already durable.
fn covered_by_a_later_frame(bytes: &[u8], torn: usize) -> bool {
    let covers = |at: usize| {
        let header = FrameHeader::decode(&bytes[at..]).filter(|header| header.durable > torn as u64);
        header.is_some() && frame_at(bytes, at).is_some()
    };
    (torn + 1..bytes.len()).any(covers)
}

/// Reads the payloads of a write-ahead file in order.
pub(super) struct WalReader {
    path: PathBuf,
    input: BufReader<File>,
    at: u64,
    end: u64,
}

impl WalReader {
    /// The next payload among those that `wanted` accepts, or nothing at the durable end.
    pub(super) fn next(&mut self, wanted: impl Fn(&Preamble) -> bool) -> Result<Option<Vec<u8>>> {
        while self.at < self.end {
            let payload = self.read_frame()?;
            let preamble = Preamble::decode(&payload).ok_or_else(|| self.damaged())?;
            if wanted(&preamble) {
                return Ok(Some(payload));
            }
        }
        Ok(None)
    }

    fn read_frame(&mut self) -> Result<Vec<u8>> {
        let mut header = [0; HEADER];
        self.input.read_exact(&mut header).map_err(StoreError::io("read", &self.path))?;
        let header = FrameHeader::decode(&header).ok_or_else(|| self.damaged())?;
        let mut payload = vec![0; header.length];
        self.input.read_exact(&mut payload).map_err(StoreError::io("read", &self.path))?;
        if !header.fits(&payload) {
            return Err(self.damaged());
        }
        self.at += (HEADER + header.length) as u64;
        Ok(payload)
    }

    /// The error for the frame that comes next.
    pub(super) fn damaged(&self) -> StoreError {
        StoreError::damaged(&self.path, self.at, "this frame is not what was written")
    }
}
