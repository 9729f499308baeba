//! Opening a log: what is there, what a crash left, and whether anything is missing.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
};

use oast_core::{SegmentHash, Timestamp};

use super::{
    EventLog, Inner, LogOptions, LogState, Recovery, Shared,
    chain::{Chain, ChainFile},
    seal::{SealCommand, Sealer},
    wal::{Recovered, Wal},
    writer::Writer,
};
use crate::{DataDir, LogClock, Result, StoreError, disk};

pub(super) fn open(dir: &DataDir, options: LogOptions) -> Result<(EventLog, Recovery)> {
    let folder = dir.log();
    disk::create_folder(&folder)?;
    let found = Found::read(&folder)?;
    found.check_nothing_is_lost(&folder)?;
    let (recovery, found) = found.put_right(&folder)?;
    if let Some(time) = found.log_time() {
        options.clock.advance_to(time);
    }
    let log = start(dir, folder, found, options)?;
    Ok((log, recovery))
}

/// What is in the folder of a log.
struct Found {
    chain: Chain,
    /// The write-ahead files by first offset, without those that the chain covers.
    wals: VecDeque<Wal>,
    covered: Vec<PathBuf>,
    torn_bytes: u64,
    sources: BTreeSet<String>,
}

impl Found {
    /// Changes nothing on the disk.
    fn read(folder: &Path) -> Result<Self> {
        let chain = Chain::read(folder)?;
        let sealed = chain.seals.iter().flat_map(|seal| &seal.segments).map(|segment| segment.source.clone());
        let sources = sealed.collect();
        let mut found = Self { chain, wals: VecDeque::new(), covered: Vec::new(), torn_bytes: 0, sources };
        let paths: Vec<_> = disk::list(folder)?.into_iter().filter(|path| is_wal(path)).collect();
        for (index, path) in paths.iter().enumerate() {
            found.take_in(Wal::recover(path, index + 1 == paths.len())?);
        }
        Ok(found)
    }

    fn take_in(&mut self, recovered: Recovered) {
        let Recovered { wal, sources, torn_bytes } = recovered;
        let sealed = self.chain.end_offset();
        if wal.first_offset < sealed && wal.end_offset <= sealed {
            return self.covered.push(wal.path);
        }
        self.torn_bytes += torn_bytes;
        self.sources.extend(sources);
        self.wals.push_back(wal);
    }

    /// The chain, then the write-ahead files, must go on from offset to offset. A rotation makes the new file before the old
    /// one is sealed, so there is always one; only a log that was never written to has none.
    fn check_nothing_is_lost(&self, folder: &Path) -> Result<()> {
        let mut next = self.chain.end_offset();
        for wal in &self.wals {
            if wal.first_offset != next {
                return Err(self.lost(folder, next, wal.first_offset));
            }
            next = wal.end_offset;
        }
        let is_new = self.chain.seals.is_empty() && self.chain.damage.is_none();
        if self.wals.is_empty() && !is_new {
            return Err(StoreError::Missing { path: Wal::path(folder, next) });
        }
        Ok(())
    }

    fn lost(&self, folder: &Path, from: u64, to: u64) -> StoreError {
        match &self.chain.damage {
            Some(line) => StoreError::damaged(&folder.join("chain.jsonl"), line.position, line.what.clone()),
            None => StoreError::LostEvents { path: folder.to_owned(), from, to },
        }
    }

    /// Removes and cuts what the crash left; everything acknowledged is known to be elsewhere.
    fn put_right(self, folder: &Path) -> Result<(Recovery, Self)> {
        disk::remove_unfinished(folder)?;
        self.chain.cut_torn_line()?;
        self.covered.iter().try_for_each(|path| disk::remove(path))?;
        let orphan_segments = self.orphans(folder)?;
        orphan_segments.iter().try_for_each(|path| disk::remove(path))?;
        if let Some(wal) = self.wals.back().filter(|_| self.torn_bytes > 0) {
            wal.cut_torn_tail()?;
        }
        let next_offset = self.wals.back().map_or(0, |wal| wal.end_offset);
        Ok((Recovery { torn_bytes: self.torn_bytes, orphan_segments, next_offset }, self))
    }

    /// The segments that retention removed.
    fn retired(&self) -> BTreeSet<SegmentHash> {
        self.chain.seals.iter().flat_map(|seal| &seal.retired).copied().collect()
    }

    /// Segments that no seal names, or that one retired.
    fn orphans(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let retired = self.retired();
        let segments = self.chain.seals.iter().flat_map(|seal| &seal.segments);
        let kept = segments.filter(|segment| !retired.contains(&segment.hash));
        let named: BTreeSet<_> = kept.map(|segment| folder.join(segment.file_name())).collect();
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "parquet");
        Ok(disk::list(folder)?.into_iter().filter(|path| is_segment(path) && !named.contains(path)).collect())
    }

    fn log_time(&self) -> Option<Timestamp> {
        let sealed = self.chain.seals.last().and_then(|seal| seal.log_time);
        self.wals.iter().map(|wal| wal.log_time).max().flatten().max(sealed)
    }
}

fn is_wal(path: &Path) -> bool {
    let name = disk::name_of(path);
    name.starts_with("active-") && name.ends_with(".wal")
}

fn start(dir: &DataDir, folder: PathBuf, found: Found, options: LogOptions) -> Result<EventLog> {
    let retired = found.retired();
    let Found { chain, mut wals, sources, .. } = found;
    let (wal, file) = match wals.back() {
        Some(wal) => (wal.clone(), wal.open_for_append()?),
        None => Wal::create(&folder, 0)?,
    };
    if wals.is_empty() {
        wals.push_back(wal.clone());
    }
    let is_closed_left = wals.len() > 1;
    let shared = Arc::new(Shared(Mutex::new(LogState {
        seals: chain.seals.clone(),
        retired,
        retention: BTreeMap::new(),
        wals,
        sources,
    })));
    let (sealer, sealer_thread) = start_sealer(&folder, chain.into_file(), &shared, &options.clock)?;
    if is_closed_left {
        sealer.send(SealCommand { reply: None }).map_err(|_| StoreError::LogClosed)?;
    }
    let writer = Writer {
        folder: folder.clone(),
        shared: Arc::clone(&shared),
        seal_bytes: options.seal_bytes,
        sealer: sealer.clone(),
        wal,
        file,
        failure: None,
    };
    let (commands, receiver) = mpsc::sync_channel(options.queue.max(1));
    let writer_thread = spawn("oast-log-writer", &folder, move || writer.run(receiver))?;
    let inner = Inner {
        folder,
        clock: options.clock,
        shared,
        line: Mutex::default(),
        channels: Some((commands, sealer)),
        threads: vec![writer_thread, sealer_thread],
        _dir: dir.clone(),
    };
    Ok(EventLog { inner: Arc::new(inner) })
}

fn start_sealer(
    folder: &Path,
    chain: ChainFile,
    shared: &Arc<Shared>,
    clock: &LogClock,
) -> Result<(mpsc::Sender<SealCommand>, JoinHandle<()>)> {
    let sealer = Sealer { folder: folder.to_owned(), chain, shared: Arc::clone(shared), clock: clock.clone() };
    let (commands, receiver) = mpsc::channel();
    let thread = spawn("oast-log-sealer", folder, move || sealer.run(receiver))?;
    Ok((commands, thread))
}

fn spawn(name: &str, folder: &Path, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(StoreError::io("start a thread for", folder))
}
