//! Writing a view's state to disk. What changed is taken from the view while its lookups wait, and written while they go on: until
//! it is written, whoever needs it finds it in memory.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use oast_core::{EntityKey, Timestamp};
use oast_store::{Op, State as StateStore};
use serde::{Deserialize, Serialize};

use super::{FoldOrder, Keys, OnlineView, keys::write_key};
use crate::RuntimeError;

/// How many entity keys stay in memory after a checkpoint; more are read back when they are asked for.
const KEYS_IN_MEMORY: usize = 200_000;

/// What sled knows of how far a view has come.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    next_offset: u64,
    /// Where to read the log from: the first event that was still waiting, or `next_offset`.
    resume_offset: u64,
    folded: Option<FoldOrder>,
    looked_up: Option<Timestamp>,
    #[serde(default)]
    swept_until: Option<Timestamp>,
}

/// What was taken from a view and is not on disk yet. Its lock is taken after the view's and kept while it is written, so that
/// nobody who has the view reads or writes anything of it in between.
pub(super) struct Unwritten {
    tree: Arc<str>,
    /// The entities that the operations are about: the disk knows them as they were, and they stay in memory.
    keys: HashSet<EntityKey>,
    ops: Vec<Op>,
    /// The checkpoint that the operations lead to.
    checkpoint: Option<Vec<u8>>,
}

impl Unwritten {
    pub(super) fn of(tree: &Arc<str>) -> Self {
        Self { tree: Arc::clone(tree), keys: HashSet::new(), ops: Vec::new(), checkpoint: None }
    }

    /// Whether there are changes to this entity among it.
    pub(super) fn changes(&self, key: &EntityKey) -> bool {
        self.keys.contains(key)
    }

    /// Writes it. What could not be written is written the next time.
    fn write(&mut self, store: &StateStore) -> Result<(), RuntimeError> {
        let Some(checkpoint) = &self.checkpoint else { return Ok(()) };
        store.apply(&self.tree, &self.ops, checkpoint)?;
        *self = Self::of(&self.tree);
        Ok(())
    }

    /// Of several operations on one key the last counts, and a disk that stays full must not fill the memory as well.
    fn forget_overwritten(&mut self) {
        let ops = self.ops.drain(..).map(|op| (op.key().to_vec(), op));
        self.ops = ops.collect::<BTreeMap<_, _>>().into_values().collect();
    }
}

/// A write that panicked has left all of it there.
pub(super) fn lock(unwritten: &Mutex<Unwritten>) -> MutexGuard<'_, Unwritten> {
    unwritten.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes what changed in a view since the last checkpoint to sled, together with the offset it covers. The view is given back
/// before that.
pub(crate) fn checkpoint(mut view: MutexGuard<'_, OnlineView>, store: &StateStore) -> Result<(), RuntimeError> {
    let unwritten = Arc::clone(&view.unwritten);
    let mut unwritten = lock(&unwritten);
    let evicted = view.hand_over(&mut unwritten);
    drop(view);
    drop(evicted);
    unwritten.write(store)
}

impl OnlineView {
    /// Goes on from the last checkpoint, if there is one.
    pub(super) fn resume(&mut self, store: &StateStore) -> Result<(), RuntimeError> {
        let Some(bytes) = store.checkpoint(&self.tree)? else { return Ok(()) };
        let stored = |source| RuntimeError::Stored { what: "a view's checkpoint".to_owned(), source };
        let checkpoint: Checkpoint = serde_json::from_slice(&bytes).map_err(stored)?;
        self.next_offset = checkpoint.next_offset;
        self.resume_offset = checkpoint.resume_offset;
        self.folded = checkpoint.folded;
        self.looked_up = checkpoint.looked_up;
        self.swept_until = checkpoint.swept_until;
        Ok(())
    }

    /// Removes what is on disk, with what was to get there.
    pub(super) fn discard(&self, store: &StateStore) -> Result<(), RuntimeError> {
        let mut unwritten = lock(&self.unwritten);
        *unwritten = Unwritten::of(&self.tree);
        Ok(store.drop_tree(&self.tree)?)
    }

    /// Writes what changed as [`checkpoint`] does, and keeps the view meanwhile.
    pub(crate) fn checkpoint(&mut self, store: &StateStore) -> Result<(), RuntimeError> {
        let unwritten = Arc::clone(&self.unwritten);
        let mut unwritten = lock(&unwritten);
        drop(self.hand_over(&mut unwritten));
        unwritten.write(store)
    }

    /// Writes what changed to sled if there is much of it, so that it need not stay in memory.
    pub(crate) fn checkpoint_if_long(&mut self, store: &StateStore) -> Result<(), RuntimeError> {
        if self.touched.len() > KEYS_IN_MEMORY { self.checkpoint(store) } else { Ok(()) }
    }

    /// Adds what changed to what is to be written, and returns what need not be in memory any more; dropping that takes a while.
    fn hand_over(&mut self, unwritten: &mut Unwritten) -> Keys {
        if !self.changed || self.must_rebuild {
            return Keys::new();
        }
        let failed_before = !unwritten.ops.is_empty();
        // What was swept of an entity that was touched afterwards comes before what is kept of it.
        unwritten.ops.append(&mut self.swept);
        for key in std::mem::take(&mut self.touched) {
            if let Some(held) = self.keys.get_mut(&key) {
                write_key(&mut unwritten.ops, &key, &held.state);
                held.state.forget_changes();
                held.is_touched = false;
            }
            unwritten.keys.insert(key);
        }
        if failed_before {
            unwritten.forget_overwritten();
        }
        let waiting = self.pending.keys().map(|(_, offset)| *offset).min();
        let checkpoint = Checkpoint {
            next_offset: self.next_offset,
            resume_offset: waiting.unwrap_or(self.next_offset),
            folded: self.folded,
            looked_up: self.looked_up,
            swept_until: self.swept_until,
        };
        unwritten.checkpoint = Some(serde_json::to_vec(&checkpoint).expect("numbers are JSON"));
        self.changed = false;
        if self.keys.len() <= KEYS_IN_MEMORY {
            return Keys::new();
        }
        let mut evicted = std::mem::take(&mut self.keys);
        self.keys = unwritten.keys.iter().filter_map(|key| evicted.swap_remove_entry(key)).collect();
        evicted
    }
}
