//! Instances that take several calls, one after the other, as parts of one batch.
//!
//! A replay hands an aggregate millions of states in calls of some thousand. A fresh instance for each of them costs as much
//! as the work of a cheap plugin. So an instance goes on to the next call as long as all of its calls *together* have
//! consumed no more than one row may: then no row of theirs did, just as in a batch of one call. What its memory holds from
//! the calls before is no more than what it holds from the rows before in a batch, and is proved not to matter in the same
//! way: publication compares used instances with fresh ones, and an audit runs rows again. Anything but an accepted answer
//! ends the instance, and the call is made again as if there had been none.

use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, Ordering},
};

use oast_core::Fuel;

use crate::{config::LASTING_INSTANCES, invoke::FreshInstance};

/// How many there are in the process.
static LIVING: AtomicU32 = AtomicU32::new(0);

/// Where the instance of a call of several rows comes from. A call of one row is canonical and has one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instances {
    /// Each call has a fresh one.
    Single,
    /// A fresh one takes calls until together they have consumed their share of what one may.
    Lasting,
}

impl Instances {
    /// What a call of so many rows or states gets.
    pub(crate) fn for_rows(self, rows: usize) -> Self {
        if rows > 1 { self } else { Self::Single }
    }
}

/// An instance between two calls.
pub(crate) struct Lasting {
    pub(crate) instance: FreshInstance,
    /// By all of its calls.
    pub(crate) consumed: Fuel,
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
        Self { instance, consumed: Fuel(0), _place: place }
    }

    /// What the next call may consume so that all together stay within `budget`; none if the calls before took half of it, since
    /// batches are made to take the other half.
    fn left_of(&self, budget: Fuel) -> Option<Fuel> {
        (self.consumed.0 <= budget.0 / 2).then(|| Fuel(budget.0 - self.consumed.0))
    }
}

/// The instances of one plugin that wait for their next call.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<Vec<Lasting>>);

impl Waiting {
    /// One that may take a call within this budget, and what is left of the budget for it. Those that have taken too much end.
    pub(crate) fn take(&self, budget: Fuel) -> Option<(Lasting, Fuel)> {
        let mut ended = Vec::new();
        let taken = loop {
            let Some(lasting) = self.lock().pop() else { break None };
            match lasting.left_of(budget) {
                Some(left) => break Some((lasting, left)),
                None => ended.push(lasting),
            }
        };
        drop(ended);
        taken
    }

    pub(crate) fn put(&self, lasting: Lasting) {
        self.lock().push(lasting);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Lasting>> {
        self.0.lock().expect("no thread panics while it holds the instances")
    }
}
