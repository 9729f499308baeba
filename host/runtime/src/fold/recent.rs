//! The newest events of an entity, each with a state of its own.

use std::collections::{BTreeMap, BTreeSet};

use oast_core::{Timestamp, Window};

use super::{Fold, Run, State, Work};
use crate::view::RecentShape;

/// When an event happened, and its place in the log: the order of the last events.
pub(crate) type EventOrder = (Timestamp, u64);

/// The newest events of an entity. One that is older than all of them can be forgotten for good, late as the others may have
/// come: what is newer than it does not become less.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent {
    /// The state of each event alone.
    pub(crate) states: BTreeMap<EventOrder, State>,
    /// What changed since it was last written, present or not.
    pub(crate) changed: BTreeSet<EventOrder>,
    /// Which are still to be computed by the step that is under way.
    pending: Vec<EventOrder>,
}

impl Recent {
    /// Those that are in the window, oldest first.
    pub(crate) fn of(&self, window: Window) -> impl Iterator<Item = (&EventOrder, &State)> {
        let events = if let Window::Last { events } = window { events as usize } else { 0 };
        self.states.iter().skip(self.states.len().saturating_sub(events))
    }

    pub(super) fn forget_changes(&mut self) {
        self.changed.clear();
    }

    fn forget_oldest(&mut self, is_kept: bool) {
        if let Some((oldest, _)) = self.states.pop_first()
            && is_kept
            && !self.changed.remove(&oldest)
        {
            // It was written before, or else nobody has to hear of it.
            self.changed.insert(oldest);
        }
    }
}

impl Fold<'_> {
    /// Takes the event in row `row` in if it is among the newest.
    pub(super) fn add_recent(&mut self, recent: &mut Recent, shape: &RecentShape, row: u32, order: EventOrder) {
        let is_full = recent.states.len() >= shape.events;
        if is_full && recent.states.first_key_value().is_some_and(|(oldest, _)| order < *oldest) {
            return;
        }
        let alone = Work::Update { previous: None, rows: Run::new(row, &mut self.links) };
        let state = self.add_node(shape.aggregate, alone);
        recent.states.insert(order, state);
        recent.pending.push(order);
        if self.is_kept() {
            recent.changed.insert(order);
        }
        while recent.states.len() > shape.events {
            recent.forget_oldest(self.is_kept());
        }
    }

    pub(super) fn settle_recent(&self, recent: &mut Recent) {
        for order in std::mem::take(&mut recent.pending) {
            // Newer events may have pushed it out again.
            if let Some(state) = recent.states.get_mut(&order) {
                self.settle_state(state);
            }
        }
    }
}
