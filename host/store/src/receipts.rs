use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
};

use oast_core::Timestamp;

use crate::{DataDir, Result, StoreError, disk};

/// Where a file of receipts ends and the next begins.
const FILE_BYTES: u64 = 64 << 20;

/// How many bytes of receipts wait in memory before they are written without being asked.
const WAITING_BYTES: usize = 1 << 20;

/// How many bytes of receipts wait while they cannot be written. The oldest make room for new ones.
const WAITING_BYTES_MAX: usize = 16 << 20;

const EXTENSION: &str = ".jsonl";

/// What lookups answered, kept for later proof: files of JSON lines, each named by the time of its first record.
///
/// Nobody waits for the disk: a record is kept in memory until [`Self::flush`] or until enough of them wait, so a crash may
/// cost the last ones. What a caller was given itself is not lost by that. Once a write failed, only [`Self::flush`] tries again,
/// so that a full disk does not slow down every lookup.
#[derive(Debug)]
pub struct Receipts {
    folder: PathBuf,
    writer: Mutex<Writer>,
}

#[derive(Debug, Default)]
struct Writer {
    waiting: Vec<u8>,
    /// The time of the first record that waits.
    since: Option<Timestamp>,
    current: Option<Current>,
    unsynced: bool,
    /// Whether the last write failed.
    failing: bool,
    /// How many records were given up since the last flush.
    dropped: u64,
}

#[derive(Debug)]
struct Current {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl Receipts {
    /// The receipts of a data directory. A record that a crash cut short is removed.
    pub fn open(dir: &DataDir) -> Result<Self> {
        let folder = dir.root().join("receipts");
        let receipts = Self { folder, writer: Mutex::default() };
        if let Some(last) = receipts.files()?.last() {
            receipts.lock().current = Some(Current::reopen(last)?);
        }
        Ok(receipts)
    }

    /// Keeps a record, which is one line of JSON that begins with its id, under the time of its lookup. An error means that it
    /// waits for the next flush.
    pub fn keep(&self, time: Timestamp, line: &[u8]) -> Result<()> {
        let mut writer = self.lock();
        writer.since = writer.since.or(Some(time));
        writer.waiting.extend_from_slice(line);
        writer.waiting.push(b'\n');
        if writer.failing {
            writer.drop_oldest(WAITING_BYTES_MAX);
            return Ok(());
        }
        if writer.waiting.len() < WAITING_BYTES { Ok(()) } else { writer.write(&self.folder) }
    }

    /// Has everything on disk that was kept so far, but for what had to be given up, which it says once.
    pub fn flush(&self) -> Result<()> {
        let mut writer = self.lock();
        let flushed = writer.write(&self.folder).and_then(|()| writer.sync());
        match std::mem::take(&mut writer.dropped) {
            0 => flushed,
            records => Err(StoreError::ReceiptsDropped { records, source: flushed.err().map(Box::new) }),
        }
    }

    /// The record whose line begins with `beginning`, the newest first.
    pub fn find(&self, beginning: &[u8]) -> Result<Option<Vec<u8>>> {
        // First what waits: it may be written meanwhile, but never comes back from the files.
        if let Some(line) = self.lock().find_waiting(beginning) {
            return Ok(Some(line));
        }
        for path in self.files()?.iter().rev() {
            let file = File::open(path).map_err(StoreError::io("open", path))?;
            let mut lines = BufReader::with_capacity(1 << 20, file);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).map_err(StoreError::io("read", path))? > 0 {
                if line.starts_with(beginning) {
                    line.pop();
                    return Ok(Some(line));
                }
                line.clear();
            }
        }
        Ok(None)
    }

    /// The files of receipts, oldest first.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        if !self.folder.is_dir() {
            return Ok(Vec::new());
        }
        let mut files = disk::list(&self.folder)?;
        files.retain(|path| first_time(path).is_some());
        Ok(files)
    }

    /// Removes the files whose records are all of lookups before `time`.
    pub fn remove_before(&self, time: Timestamp) -> Result<usize> {
        let files = self.files()?;
        // A file ends where the next begins; the last is still written to.
        let ended = files.iter().zip(files.iter().skip(1));
        let old = ended.filter(|(_, next)| first_time(next).is_some_and(|begins| begins <= time));
        let old: Vec<_> = old.map(|(path, _)| path).collect();
        old.iter().try_for_each(|path| disk::remove(path))?;
        Ok(old.len())
    }

    /// How many bytes the files have.
    pub fn size_on_disk(&self) -> Result<u64> {
        let size =
            |path: &PathBuf| path.metadata().map(|metadata| metadata.len()).map_err(StoreError::io("read", path));
        self.files()?.iter().map(size).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().expect("nothing panics while it writes receipts")
    }
}

impl Writer {
    /// Writes what waits, and remembers whether that was possible.
    fn write(&mut self, folder: &Path) -> Result<()> {
        let written = self.try_write(folder);
        self.failing = written.is_err();
        written
    }

    /// Writes what waits, into the next file if the current one is long enough.
    fn try_write(&mut self, folder: &Path) -> Result<()> {
        let Some(since) = self.since else { return Ok(()) };
        if self.current.as_ref().is_some_and(|current| current.bytes >= FILE_BYTES) {
            self.sync()?;
            self.current = None;
        }
        let current = match &mut self.current {
            Some(current) => current,
            none => none.insert(Current::create(folder, since)?),
        };
        current.append(&self.waiting)?;
        self.waiting.clear();
        self.since = None;
        self.unsynced = true;
        Ok(())
    }

    /// Gives up the oldest records if more than `bytes_max` wait, until half of that is free, so that it is not done for each.
    fn drop_oldest(&mut self, bytes_max: usize) {
        if self.waiting.len() <= bytes_max {
            return;
        }
        let cut = self.waiting.len() - bytes_max / 2;
        let line_end = self.waiting[cut..].iter().position(|byte| *byte == b'\n');
        let end = line_end.map_or(self.waiting.len(), |at| cut + at + 1);
        self.dropped += self.waiting.drain(..end).filter(|byte| *byte == b'\n').count() as u64;
    }

    fn find_waiting(&self, beginning: &[u8]) -> Option<Vec<u8>> {
        let mut lines = self.waiting.split(|byte| *byte == b'\n');
        lines.find(|line| line.starts_with(beginning)).map(<[u8]>::to_vec)
    }

    fn sync(&mut self) -> Result<()> {
        if let Some(current) = self.current.as_ref().filter(|_| self.unsynced) {
            current.file.sync_data().map_err(StoreError::io("sync", &current.path))?;
            self.unsynced = false;
        }
        Ok(())
    }
}

impl Current {
    fn create(folder: &Path, since: Timestamp) -> Result<Self> {
        disk::create_folder(folder)?;
        let path = folder.join(format!("{:020}{EXTENSION}", since.as_micros().max(0)));
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(StoreError::io("create", &path))?;
        let bytes = file.metadata().map_err(StoreError::io("read", &path))?.len();
        disk::sync_folder(folder)?;
        Ok(Self { file, path, bytes })
    }

    /// Opens the last file and cuts off what a crash left of a record.
    fn reopen(path: &Path) -> Result<Self> {
        let bytes = disk::cut_torn_line(path)?;
        let file = OpenOptions::new().append(true).open(path).map_err(StoreError::io("open", path))?;
        Ok(Self { file, path: path.to_owned(), bytes })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let before = self.bytes;
        // Nobody else writes to the file, so what is behind our bytes was left by a write that failed.
        self.cut(before)?;
        if let Err(error) = self.file.write_all(bytes) {
            self.cut(before)?;
            return Err(StoreError::io("write", &self.path)(error));
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Cuts off what was written of a record: it would make one line of two.
    fn cut(&self, bytes: u64) -> Result<()> {
        let length = self.file.metadata().map_err(StoreError::io("read", &self.path))?.len();
        if length == bytes { Ok(()) } else { self.file.set_len(bytes).map_err(StoreError::io("cut", &self.path)) }
    }
}

fn first_time(path: &Path) -> Option<Timestamp> {
    disk::name_of(path).strip_suffix(EXTENSION)?.parse().ok().map(Timestamp::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn records_are_found_before_and_after_they_are_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::open(folder.path().join("data")).unwrap();
        let receipts = Receipts::open(&dir).unwrap();
        receipts.keep(at(10), b"a: first").unwrap();
        receipts.keep(at(20), b"b: second").unwrap();
        assert_eq!(receipts.find(b"a:").unwrap().as_deref(), Some(&b"a: first"[..]));
        receipts.flush().unwrap();
        drop(receipts);
        let receipts = Receipts::open(&dir).unwrap();
        receipts.keep(at(30), b"c: third").unwrap();
        assert_eq!(receipts.find(b"b:").unwrap().as_deref(), Some(&b"b: second"[..]));
        assert_eq!(receipts.find(b"c:").unwrap().as_deref(), Some(&b"c: third"[..]));
        assert_eq!(receipts.find(b"d:").unwrap(), None);
        assert_eq!(receipts.files().unwrap().len(), 1);
    }

    #[test]
    fn receipts_that_cannot_be_written_do_not_pile_up() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::open(folder.path().join("data")).unwrap();
        let receipts = Receipts::open(&dir).unwrap();
        // No folder can be made where a file is.
        let in_the_way = dir.root().join("receipts");
        std::fs::write(&in_the_way, "").unwrap();
        let line = |number: u64| format!("{number:04}: {}", "x".repeat(WAITING_BYTES / 2)).into_bytes();
        let kept: Vec<_> = (0..100).map(|number| receipts.keep(at(number as i64), &line(number)).is_ok()).collect();
        assert_eq!(kept.iter().filter(|kept| !**kept).count(), 1, "one write is tried, and the flush tries the next");
        assert!(receipts.lock().waiting.len() <= WAITING_BYTES_MAX, "{} bytes wait", receipts.lock().waiting.len());
        assert_eq!(receipts.find(b"0000:").unwrap(), None);
        assert_eq!(receipts.find(b"0099:").unwrap(), Some(line(99)), "the newest is found all the same");
        let dropped = match receipts.flush() {
            Err(StoreError::ReceiptsDropped { records, source: Some(_) }) => records,
            other => panic!("what was given up is said, and why: {other:?}"),
        };
        assert!(matches!(receipts.flush(), Err(StoreError::Io { .. })), "it is said once");
        std::fs::remove_file(&in_the_way).unwrap();
        receipts.flush().unwrap();
        let written = std::fs::read(&receipts.files().unwrap()[0]).unwrap();
        let written: Vec<_> = written.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        assert_eq!(written.len() as u64, 100 - dropped);
        assert_eq!(written.first(), Some(&line(dropped).as_slice()), "the oldest made room");
    }

    #[test]
    fn a_record_that_was_cut_short_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::open(folder.path().join("data")).unwrap();
        let receipts = Receipts::open(&dir).unwrap();
        receipts.keep(at(10), b"a: first").unwrap();
        receipts.flush().unwrap();
        let path = receipts.files().unwrap().remove(0);
        drop(receipts);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"b: sec").unwrap();
        let receipts = Receipts::open(&dir).unwrap();
        receipts.keep(at(20), b"b: again").unwrap();
        receipts.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a: first\nb: again\n");
    }

    #[test]
    fn files_that_ended_before_a_time_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::open(folder.path().join("data")).unwrap();
        for micros in [10, 20, 30] {
            std::fs::create_dir_all(dir.root().join("receipts")).unwrap();
            std::fs::write(dir.root().join(format!("receipts/{micros:020}.jsonl")), "x\n").unwrap();
        }
        let receipts = Receipts::open(&dir).unwrap();
        assert_eq!(receipts.remove_before(at(19)).unwrap(), 0);
        assert_eq!(receipts.remove_before(at(20)).unwrap(), 1);
        assert_eq!(receipts.remove_before(at(1000)).unwrap(), 1, "the last is still written to");
        assert_eq!(receipts.size_on_disk().unwrap(), 2);
    }
}
