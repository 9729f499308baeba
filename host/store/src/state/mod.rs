//! What was derived from the log, in sled: trees of keys and values, each with a checkpoint.
//!
//! Nothing here is a source of truth: a state that does not open is set aside, and the caller derives it again. What must hold
//! is that a tree is never half of two checkpoints, since tiles are not idempotent: an event folded into a tile twice would
//! stay there twice. sled is only atomic in batches, which should be short, and keeps its promises only with an fdatasync of
//! its own. So [`State::apply`] first writes all operations and the checkpoint as one record of a redo journal, synced, and
//! then applies them batch by batch. Operations are overwrites, so a record can be applied again. When the state is opened,
//! the records of the journal are applied in order, whatever part of them sled had kept; a record that was not completed is
//! dropped, and sled has seen nothing of it. [`State::flush_durable`] syncs sled and only then empties the journal.
//!
//! Keys carry one byte before the caller's: 0 for the checkpoint, 1 for an entry, 2 for the pieces of a value that is too long
//! for sled (which keeps values over 128 KB in files that are not synced).

mod compact;
mod entry;
mod journal;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    panic,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, RwLock, RwLockWriteGuard},
    thread,
    time::{Duration, Instant},
};

use self::journal::{Change, Journal, Redo};
use crate::{DataDir, Result, StoreError, disk};

/// The most operations in a sled batch, during which readers wait.
const BATCH: usize = 100;
/// Where the journal is emptied without being asked.
const JOURNAL_BYTES: u64 = 64 << 20;
const UNPOISONED: &str = "nothing panics under this lock";
const CACHE_BYTES: u64 = 256 << 20;
/// How long the lock of a state that this process has just closed may linger.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// A change to a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Sets the value of a key.
    Put(Vec<u8>, Vec<u8>),
    /// Removes a key, if it is there.
    Delete(Vec<u8>),
}

impl Op {
    /// The key that it is about.
    pub fn key(&self) -> &[u8] {
        let (Self::Put(key, _) | Self::Delete(key)) = self;
        key
    }

    fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Put(_, value) => Some(value),
            Self::Delete(_) => None,
        }
    }
}

/// What opening the state found and put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRecovery {
    /// Whether the state is empty and has to be derived.
    pub created: bool,
    /// Where the state was moved that could not be opened.
    pub set_aside: Option<PathBuf>,
    /// How many records of the journal were applied again.
    pub redone: usize,
}

/// The state of a data directory.
pub struct State {
    folder: PathBuf,
    db: sled::Db,
    /// All trees, open; asking sled for one by name is slow.
    trees: RwLock<BTreeMap<String, sled::Tree>>,
    journal: Mutex<Journal>,
    _dir: DataDir,
}

impl State {
    /// Opens the state, or sets it aside and starts with an empty one when it cannot be opened.
    pub fn open(dir: &DataDir) -> Result<(Self, StateRecovery)> {
        let folder = dir.state();
        let (opened, set_aside) = match Self::try_open(dir, &folder) {
            Ok(opened) => (opened, None),
            Err(StoreError::State { source, path }) if !is_damage(&source) => {
                return Err(StoreError::State { source, path });
            }
            Err(error @ (StoreError::State { .. } | StoreError::Damaged { .. })) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the state cannot be opened and is set aside"
                );
                let aside = set_aside(dir, &folder)?;
                (Self::try_open(dir, &folder)?, Some(aside))
            }
            Err(error) => return Err(error),
        };
        let (state, created, redone) = opened;
        Ok((state, StateRecovery { created, set_aside, redone }))
    }

    fn try_open(dir: &DataDir, folder: &Path) -> Result<(Self, bool, usize)> {
        disk::create_folder(folder)?;
        let path = folder.join("sled");
        compact::recover(&path)?;
        let db = open_sled(&path, LOCK_PATIENCE)?;
        let created = !db.was_recovered();
        if created {
            sync_new(&path)?;
        }
        let (mut journal, mut records) = Journal::open(folder)?;
        if created {
            // A journal goes on from what sled had; without that it would make half a tree.
            journal.clear()?;
            records.clear();
        }
        // With an empty journal, sled has everything.
        let db = if records.is_empty() { compact::compact_if_large(&path, db)? } else { db };
        let trees = open_trees(&db).map_err(failed(&path))?;
        let state =
            Self { folder: path, db, trees: RwLock::new(trees), journal: Mutex::new(journal), _dir: dir.clone() };
        records.iter().try_for_each(|record| state.redo(record))?;
        if !records.is_empty() {
            state.flush_durable()?;
        }
        Ok((state, created, records.len()))
    }

    /// The value of a key.
    pub fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.existing(tree) {
            None => Ok(None),
            Some(tree) => entry::get(&tree, key).map_err(self.failed()),
        }
    }

    /// The entries whose keys begin with `prefix`, in key order. They are read as the iterator goes, so changes made meanwhile
    /// may be seen or not.
    pub fn scan_prefix(&self, tree: &str, prefix: &[u8]) -> Result<Entries> {
        let entries = self.existing(tree).map(|tree| {
            let iter = tree.scan_prefix(entry::key(prefix));
            (tree, iter)
        });
        Ok(Entries { entries, folder: self.folder.clone() })
    }

    /// The entries from one key, inclusive, to another, exclusive, or to the end, in key order; see [`Self::scan_prefix`].
    pub fn range(&self, tree: &str, from: &[u8], to: Option<&[u8]>) -> Result<Entries> {
        let entries = self.existing(tree).map(|tree| {
            let to = to.map_or_else(entry::end_of_keys, entry::key);
            let iter = tree.range(entry::key(from)..to.max(entry::key(from)));
            (tree, iter)
        });
        Ok(Entries { entries, folder: self.folder.clone() })
    }

    /// Makes changes to a tree and moves its checkpoint, all or nothing as far as a crash is concerned; readers may see some
    /// of the changes before others. Once this returns the changes are durable, by the journal.
    pub fn apply(&self, tree: &str, ops: &[Op], checkpoint: &[u8]) -> Result<()> {
        let mut journal = self.lock();
        let sled = self.tree(tree)?;
        let changes = entry::changes(&sled, ops, checkpoint, || self.db.generate_id()).map_err(self.failed())?;
        let record = Redo::Apply { tree: tree.to_owned(), changes };
        journal.append(&record)?;
        self.redo(&record)?;
        self.flush_if_long(&mut journal)
    }

    /// The checkpoint that the tree has reached, if it has one.
    pub fn checkpoint(&self, tree: &str) -> Result<Option<Vec<u8>>> {
        let Some(tree) = self.existing(tree) else { return Ok(None) };
        let checkpoint = tree.get(entry::CHECKPOINT).map_err(self.failed())?;
        Ok(checkpoint.map(|bytes| bytes.to_vec()))
    }

    /// Removes a tree with its checkpoint, durably.
    pub fn drop_tree(&self, tree: &str) -> Result<()> {
        let mut journal = self.lock();
        let record = Redo::Drop { tree: tree.to_owned() };
        journal.append(&record)?;
        self.redo(&record)?;
        self.flush_if_long(&mut journal)
    }

    /// The trees there are, sorted.
    pub fn trees(&self) -> Vec<String> {
        self.trees.read().expect(UNPOISONED).keys().cloned().collect()
    }

    /// Syncs sled, after which the journal is empty and opening is quick.
    pub fn flush_durable(&self) -> Result<()> {
        self.flush(&mut self.lock())
    }

    /// The bytes that the state takes. sled uses space again but never gives it back.
    pub fn size_on_disk(&self) -> Result<u64> {
        self.db.size_on_disk().map_err(self.failed())
    }

    fn lock(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().expect(UNPOISONED)
    }

    fn flush_if_long(&self, journal: &mut Journal) -> Result<()> {
        if journal.len() < JOURNAL_BYTES { Ok(()) } else { self.flush(journal) }
    }

    /// sled's own flush is not an fsync.
    fn flush(&self, journal: &mut Journal) -> Result<()> {
        self.db.flush().map_err(self.failed())?;
        let db = self.folder.join("db");
        File::open(&db).and_then(|file| file.sync_data()).map_err(StoreError::io("sync", &db))?;
        journal.clear()
    }

    fn redo(&self, record: &Redo) -> Result<()> {
        match record {
            Redo::Drop { tree } => {
                self.trees_mut().remove(tree);
                self.db.drop_tree(tree).map_err(self.failed())?;
            }
            Redo::Apply { tree, changes } => {
                let tree = self.tree(tree)?;
                changes.chunks(BATCH).try_for_each(|part| tree.apply_batch(batch(part))).map_err(self.failed())?;
            }
        }
        Ok(())
    }

    /// The tree, if there is one.
    fn existing(&self, tree: &str) -> Option<sled::Tree> {
        self.trees.read().expect(UNPOISONED).get(tree).cloned()
    }

    /// The tree, made if there is none.
    fn tree(&self, name: &str) -> Result<sled::Tree> {
        if let Some(tree) = self.existing(name) {
            return Ok(tree);
        }
        let tree = self.db.open_tree(name).map_err(self.failed())?;
        self.trees_mut().insert(name.to_owned(), tree.clone());
        Ok(tree)
    }

    fn trees_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, sled::Tree>> {
        self.trees.write().expect(UNPOISONED)
    }

    fn failed(&self) -> impl FnOnce(sled::Error) -> StoreError {
        failed(&self.folder)
    }
}

/// The trees that callers made; their names are text.
fn open_trees(db: &sled::Db) -> sled::Result<BTreeMap<String, sled::Tree>> {
    let names = db.tree_names().into_iter().filter(|name| name.as_ref() != b"__sled__default");
    let names = names.filter_map(|name| String::from_utf8(name.to_vec()).ok());
    names.map(|name| db.open_tree(&name).map(|tree| (name, tree))).collect()
}

fn failed(folder: &Path) -> impl FnOnce(sled::Error) -> StoreError {
    let path = folder.to_owned();
    move |source| StoreError::State { path, source }
}

fn batch(changes: &[Change]) -> sled::Batch {
    let mut batch = sled::Batch::default();
    for change in changes {
        match &change.value {
            Some(value) => batch.insert(change.key.as_slice(), value.as_slice()),
            None => batch.remove(change.key.as_slice()),
        }
    }
    batch
}

/// Entries of a tree, in key order.
pub struct Entries {
    entries: Option<(sled::Tree, sled::Iter)>,
    folder: PathBuf,
}

impl Iterator for Entries {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (tree, iter) = self.entries.as_mut()?;
        loop {
            match iter.next()?.and_then(|(key, value)| entry::read(tree, &key, value)) {
                // Removed since the iterator was at it.
                Ok(None) => {}
                Ok(Some(entry)) => return Some(Ok(entry)),
                Err(error) => return Some(Err(failed(&self.folder)(error))),
            }
        }
    }
}

/// Opens sled. The threads of a database that was just closed hold its lock a little longer, and a snapshot that a crash
/// interrupted is taken for damage.
fn open_sled(path: &Path, patience: Duration) -> Result<sled::Db> {
    if path.is_dir() {
        let snapshots = disk::list(path)?.into_iter();
        let unfinished = |path: &PathBuf| {
            let name = disk::name_of(path);
            name.starts_with("snap.") && (name.ends_with(".generating") || name.ends_with(".in___motion"))
        };
        snapshots.filter(unfinished).try_for_each(|path| disk::remove(&path))?;
    }
    match open_patiently(path, patience) {
        Err(sled::Error::Corruption { .. } | sled::Error::ReportableBug(_)) if remove_snapshots(path)? => {
            open_patiently(path, patience).map_err(failed(path))
        }
        opened => opened.map_err(failed(path)),
    }
}

fn open_patiently(path: &Path, patience: Duration) -> sled::Result<sled::Db> {
    let begin = Instant::now();
    loop {
        match open_once(path) {
            Err(sled::Error::Io(error)) if is_locked(&error) && begin.elapsed() < patience => {
                thread::sleep(Duration::from_millis(20));
            }
            opened => return opened,
        }
    }
}

/// sled panics at some kinds of damage. Nothing of a database that did not open is used afterwards.
fn open_once(path: &Path) -> sled::Result<sled::Db> {
    let open = || sled::Config::new().path(path).cache_capacity(CACHE_BYTES).open();
    panic::catch_unwind(open).unwrap_or_else(|_| Err(sled::Error::ReportableBug("opening panicked".to_owned())))
}

fn is_locked(error: &std::io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

/// Whether an empty state would open where this one does not.
fn is_damage(error: &sled::Error) -> bool {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error {
        sled::Error::Io(error) => {
            let refused = matches!(error.kind(), PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull);
            !is_locked(error) && !refused
        }
        _ => true,
    }
}

/// Removes the snapshots, which only make opening quicker, and says whether there was any.
fn remove_snapshots(path: &Path) -> Result<bool> {
    let is_snapshot = |path: &PathBuf| disk::name_of(path).starts_with("snap.");
    let snapshots: Vec<_> = disk::list(path)?.into_iter().filter(is_snapshot).collect();
    snapshots.iter().try_for_each(|path| disk::remove(path))?;
    Ok(!snapshots.is_empty())
}

/// sled syncs neither its configuration nor its folder, and without them it does not open.
fn sync_new(path: &Path) -> Result<()> {
    for name in ["conf", "db"] {
        let file = path.join(name);
        File::open(&file).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", &file))?;
    }
    disk::sync_folder(path)?;
    disk::sync_folder_of(path)
}

/// Moves the state to the first free `state.broken-N`.
fn set_aside(dir: &DataDir, folder: &Path) -> Result<PathBuf> {
    let names = (1_u32..).map(|number| dir.root().join(format!("state.broken-{number}")));
    let aside = names.into_iter().find(|path| !path.exists()).expect("some number is free");
    fs::rename(folder, &aside).map_err(StoreError::io("set aside", folder))?;
    disk::sync_folder(dir.root())?;
    Ok(aside)
}

#[cfg(test)]
mod tests;
