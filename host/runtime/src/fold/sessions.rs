//! The sessions of an entity.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use oast_core::Timestamp;

use super::{Fold, Run, State, Work};
use crate::view::SessionsShape;

/// Sessions of one gap. All of them are kept: whatever their age, a late event may join two that were apart, and so on from one to the
/// next.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions {
    /// By the time of the first event. There is more than the gap between one and the next.
    pub(crate) sessions: BTreeMap<Timestamp, Session>,
    /// What changed since it was last written, present or not.
    pub(crate) changed: BTreeSet<Timestamp>,
    /// Which are still to be computed by the step that is under way.
    pending: Vec<Timestamp>,
}

/// Events without a pause of more than the gap.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// The time of the last event.
    pub(crate) last: Timestamp,
    pub(crate) state: State,
}

impl Sessions {
    /// The session that goes on at `time`, with the time of its first event.
    pub(crate) fn at(&self, time: Timestamp, shape: &SessionsShape) -> Option<(Timestamp, &Session)> {
        let (first, session) = self.sessions.last_key_value()?;
        (session.last >= time.saturating_sub(shape.gap)).then_some((*first, session))
    }

    pub(super) fn forget_changes(&mut self) {
        self.changed.clear();
    }

    /// Takes out the session before an event, or around it, that the event belongs to.
    fn take_before(&mut self, event: Timestamp, shape: &SessionsShape) -> Option<(Timestamp, Session)> {
        let (first, session) = self.sessions.range(..=event).next_back()?;
        let first = (session.last >= event.saturating_sub(shape.gap)).then_some(*first)?;
        self.sessions.remove_entry(&first)
    }

    /// Takes out the session after an event that the event belongs to.
    fn take_after(&mut self, event: Timestamp, shape: &SessionsShape) -> Option<(Timestamp, Session)> {
        let (first, _) = self.sessions.range((Bound::Excluded(event), Bound::Unbounded)).next()?;
        let first = (*first <= event.saturating_add(shape.gap)).then_some(*first)?;
        self.sessions.remove_entry(&first)
    }
}

impl Fold<'_> {
    /// Folds the event in row `row` into its session: a new one, or one that it goes on, or two that it joins. Two become one
    /// by merging the later one into the earlier; only then the event is folded in.
    pub(super) fn fold_into_session(
        &mut self,
        sessions: &mut Sessions,
        shape: &SessionsShape,
        row: u32,
        event: Timestamp,
        sealed: usize,
    ) {
        let (before, after) = (sessions.take_before(event, shape), sessions.take_after(event, shape));
        if self.is_kept() {
            sessions.changed.extend([&before, &after].into_iter().flatten().map(|(first, _)| *first));
        }
        let (first, last, previous) = match (before, after) {
            (None, None) => (event, event, None),
            (Some((first, before)), None) => (first, before.last.max(event), Some(before.state)),
            (None, Some((_, after))) => (event, after.last, Some(after.state)),
            (Some((first, before)), Some((_, after))) => {
                let both = self.add_parts([before.state, after.state]);
                (first, after.last, Some(self.add_node(shape.aggregate, Work::Merge(both))))
            }
        };
        if self.is_kept() {
            sessions.changed.insert(first);
        }
        let state = self.fold_row(shape.aggregate, previous, row, sealed);
        sessions.sessions.insert(first, Session { last, state });
        if sessions.pending.last() != Some(&first) {
            sessions.pending.push(first);
        }
    }

    /// The state with a row more.
    fn fold_row(&mut self, aggregate: usize, previous: Option<State>, row: u32, sealed: usize) -> State {
        match previous {
            Some(state) if self.extend(&state, row, sealed) => state,
            previous => {
                let work = Work::Update { previous, rows: Run::new(row, &mut self.links) };
                self.add_node(aggregate, work)
            }
        }
    }

    pub(super) fn settle_sessions(&self, sessions: &mut Sessions) {
        for first in std::mem::take(&mut sessions.pending) {
            // It may have become a part of another one, which is settled as well.
            if let Some(session) = sessions.sessions.get_mut(&first) {
                self.settle_state(&mut session.state);
            }
        }
    }
}
