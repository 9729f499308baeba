//! Instances that take several calls, one after the other, as parts of one batch.
//!
//! A replay hands an aggregate millions of states in calls of some thousand. A fresh instance for each of them costs as much
//! as the work of a cheap plugin. So an instance goes on to the next call as long as all of its calls *together* consume no
//! more than the next one may by itself (one row's budget, or an eighth of it for runs of rows): then no row of theirs did, just
//! as in a batch of one call. What its memory holds from the calls before is no more than what it holds from the rows before in
//! a batch: publication compares used instances with fresh ones, and an audit runs rows again. An answer of a used instance that
//! is not accepted ends it, and the call is made again as if there had been none.

use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, Ordering},
};

use oast_core::Fuel;

use crate::{
    config::LASTING_INSTANCES,
    invoke::{Called, FreshInstance},
};

/// The share of a budget that calls may have consumed before the next one: batches are made to take half of it.
const SPENT_SHARE: u64 = 4;

/// An instance whose memory has grown beyond this does not wait for another call.
const MEMORY_BYTES_MAX: usize = 8 << 20;

/// How many there are in the process.
static LIVING: AtomicU32 = AtomicU32::new(0);

/// Where the instance of a call of several rows comes from. A call of one row is canonical and has one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instances {
    /// Each call has a fresh one.
    Single,
    /// One takes several calls, as long as all of them together consume no more than a single one may.
    Lasting,
}

impl Instances {
    /// What a call of so many rows, or groups of states, gets.
    pub(crate) fn for_rows(self, rows: usize) -> Self {
        if rows > 1 { self } else { Self::Single }
    }
}

/// An instance between two calls.
pub(crate) struct Lasting {
    pub(crate) instance: FreshInstance,
    /// By all of its calls.
    consumed: Fuel,
    memory_peak: usize,
    _place: Place,
}

/// One of the places for such instances, of which a process has a fixed number: others need room, too.
pub(crate) struct Place(());

impl Place {
    pub(crate) fn take() -> Option<Self> {
        let free = |living| (living < LASTING_INSTANCES).then_some(living + 1);
        LIVING.fetch_update(Ordering::AcqRel, Ordering::Acquire, free).ok().map(|_| Self(()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        LIVING.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Lasting {
    /// A fresh instance in a place of its own.
    pub(crate) fn new(instance: FreshInstance, place: Place) -> Self {
        Self { instance, consumed: Fuel(0), memory_peak: 0, _place: place }
    }

    /// What the next call may consume so that all together stay within `budget`.
    pub(crate) fn left_of(&self, budget: Fuel) -> Fuel {
        Fuel(budget.0 - self.consumed.0)
    }

    /// The instance after a call whose answer was accepted.
    pub(crate) fn after<T>(self, called: &Called<T>) -> Self {
        let consumed = Fuel(self.consumed.0 + called.consumed.0);
        Self { consumed, memory_peak: called.memory_peak, ..self }
    }

    fn has_room(&self, budget: Fuel) -> bool {
        self.consumed.0 <= budget.0 / SPENT_SHARE && self.memory_peak <= MEMORY_BYTES_MAX
    }
}

/// The instances of one plugin that wait for their next call.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<Vec<Lasting>>);

impl Waiting {
    /// One that may take a call within this budget. If there is none, another one ends, so that they do not pile up.
    pub(crate) fn take(&self, budget: Fuel) -> Option<Lasting> {
        let mut waiting = self.lock();
        let place = waiting.iter().rposition(|lasting| lasting.has_room(budget));
        let ended = if place.is_none() { waiting.pop() } else { None };
        let taken = place.map(|place| waiting.swap_remove(place));
        drop(waiting);
        drop(ended);
        taken
    }

    /// Has an instance wait, unless no call of the plugin, within a budget of at most this, could go to it.
    pub(crate) fn put(&self, lasting: Lasting, budget: Fuel) {
        if lasting.has_room(budget) {
            self.lock().push(lasting);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Lasting>> {
        self.0.lock().expect("no thread panics while it holds the instances")
    }
}
