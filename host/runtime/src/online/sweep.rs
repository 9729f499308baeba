//! Forgetting what no lookup can ask for any more: tiles behind every window, and entities that their source no longer keeps.

use std::sync::Arc;

use oast_core::{Block, EntityKey, TimeSpan, Timestamp};
use oast_store::{Op, State as StateStore};

use super::{
    OnlineView, checkpoint,
    keys::{EntityRecord, Entry, damaged},
};
use crate::{
    RuntimeError,
    fold::KeyState,
    view::{Series, Shape, View},
};

/// How many entries of the state are looked at in one go, while lookups of the view wait.
const ENTRIES_PER_SWEEP: usize = 256;

/// What a view still needs at a time, and ever after.
struct Needed {
    /// For each series of tiles, the first tile that a window reaches; all of them where a window has no beginning.
    tiles: Vec<Option<i64>>,
    /// Entities whose newest event is older than this are unknown.
    newest: Option<Timestamp>,
}

impl Needed {
    fn at(view: &View, time: Timestamp) -> Self {
        let Shape::Aggregates { aggregates, series } = &view.shape else {
            return Self { tiles: Vec::new(), newest: newest_kept(view, time) };
        };
        let windows = || aggregates.iter().flat_map(|aggregate| &aggregate.windows);
        let first = |index: usize| {
            let mine = windows().filter(|window| window.series == Series::Tiles(index));
            mine.map(|window| window.window.hop().map(|_| window.window.tiles_at(time).start)).min().flatten()
        };
        Self { tiles: (0..series.tiles.len()).map(first).collect(), newest: newest_kept(view, time) }
    }

    fn needs(&self, series: usize, block: Block) -> bool {
        self.tiles.get(series).is_some_and(|first| first.is_none_or(|first| block.tiles().end > first))
    }

    fn knows(&self, newest: Option<Timestamp>) -> bool {
        self.newest.is_none_or(|kept| newest.is_some_and(|newest| newest >= kept))
    }

    /// Drops what is not needed from the state of a key; returns how many blocks that were.
    fn prune(&self, key: &mut KeyState) -> usize {
        let mut dropped = 0;
        for (index, series) in key.series.iter_mut().enumerate() {
            series.retain(|block| {
                let needed = self.needs(index, block);
                if !needed {
                    key.changed.insert((index, block));
                    dropped += 1;
                }
                needed
            });
        }
        dropped
    }
}

fn newest_kept(view: &View, time: Timestamp) -> Option<Timestamp> {
    view.spec.source.retention().map(|kept: TimeSpan| time.saturating_sub(kept))
}

impl OnlineView {
    /// Forgets, of the entities that changed, what no lookup from `now` on can ask for.
    pub(crate) fn prune(&mut self, now: Timestamp) {
        if self.must_rebuild {
            return;
        }
        let needed = Needed::at(&self.view, now);
        let touched = self.touched.iter();
        let dropped: usize =
            touched.map(|key| self.keys.get_mut(key).map_or(0, |held| needed.prune(&mut held.state))).sum();
        self.note_swept(dropped, now);
    }

    /// Looks for the like among the next entries on disk, from where it left off; returns whether it came to their end. What it
    /// finds is removed by the checkpoint that follows.
    pub(crate) fn sweep(&mut self, now: Timestamp, store: &StateStore) -> Result<bool, RuntimeError> {
        if self.must_rebuild {
            return Ok(true);
        }
        let before = self.swept.len();
        let looked = self.sweep_stored(&Needed::at(&self.view, now), store);
        // Also if that broke off: the next checkpoint removes what it found until then.
        self.note_swept(self.swept.len() - before, now);
        looked?;
        Ok(self.sweep_from.is_empty())
    }

    fn note_swept(&mut self, found: usize, now: Timestamp) {
        if found > 0 {
            self.swept_until = self.swept_until.max(Some(now));
            self.changed = true;
        }
    }

    fn sweep_stored(&mut self, needed: &Needed, store: &StateStore) -> Result<(), RuntimeError> {
        let unwritten = Arc::clone(&self.unwritten);
        let unwritten = checkpoint::lock(&unwritten);
        let from = std::mem::take(&mut self.sweep_from);
        for (seen, entry) in store.range(&self.tree, &from, None)?.enumerate() {
            let (at, bytes) = entry?;
            if seen == ENTRIES_PER_SWEEP {
                self.sweep_from = at;
                break;
            }
            let (key, rest) = EntityKey::split(&at, &self.view.key_types).map_err(|_| damaged(&self.view))?;
            // What is in memory is newer than what is on disk, and is pruned when it is touched.
            if self.keys.get(&key).is_some_and(|held| held.is_touched) || unwritten.changes(&key) {
                continue;
            }
            let gone = match Entry::read(rest).ok_or_else(|| damaged(&self.view))? {
                Entry::Record => {
                    let stored = |source| RuntimeError::Stored { what: "an entity".to_owned(), source };
                    let record: EntityRecord = serde_json::from_slice(&bytes).map_err(stored)?;
                    !needed.knows(record.newest)
                }
                Entry::Block(series, block) => !needed.needs(series, block),
                // Neither is of a view whose source has a retention: the last events count however old they are, and an old
                // session does again once late events join it to the newest.
                Entry::Recent(..) | Entry::Session(..) => false,
            };
            if gone {
                self.keys.swap_remove(&key);
                self.swept.push(Op::Delete(at));
            }
        }
        Ok(())
    }
}
