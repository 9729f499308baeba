//! Instances made and configured before they are asked for, so that a lookup does not wait for them.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use crate::{EngineError, config::READY_INSTANCES, invoke::FreshInstance, plugin::Configured};

/// How instances that were prepared ahead have served, since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadyStats {
    /// How many stand ready now.
    pub ready: u64,
    /// How many calls found one ready.
    pub hits: u64,
    /// How many calls of plugins that keep some ready found none, and made their own.
    pub misses: u64,
}

#[derive(Default)]
struct Counters {
    ready: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// The thread that prepares instances, one at a time, for whichever plugin asked first.
pub(crate) struct Refiller {
    asked: Sender<Weak<Configured>>,
    counters: Arc<Counters>,
}

impl Refiller {
    pub(crate) fn start() -> Result<Self, EngineError> {
        let (asked, plugins) = mpsc::channel();
        let counters = Arc::<Counters>::default();
        let shared = counters.clone();
        let thread = thread::Builder::new().name("oast-refill".to_owned());
        thread.spawn(move || refill(&plugins, &shared)).map_err(|error| EngineError::Start(error.into()))?;
        Ok(Self { asked, counters })
    }

    pub(crate) fn stats(&self) -> ReadyStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { ready, hits, misses } = &*self.counters;
        ReadyStats { ready: get(ready), hits: get(hits), misses: get(misses) }
    }

    /// Has the plugin's instances made up to their number. The thread lives as long as the engine.
    pub(crate) fn ask(&self, plugin: &Arc<Configured>) {
        if !plugin.ready.asked.swap(true, Ordering::AcqRel) {
            self.asked.send(Arc::downgrade(plugin)).expect("the refilling thread outlives the engine");
        }
    }

    /// An instance that stands ready, if the plugin keeps some and one is left. It is for one call; another takes its place.
    pub(crate) fn take(&self, plugin: &Arc<Configured>) -> Option<FreshInstance> {
        let ready = &plugin.ready;
        if ready.wanted.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let taken = ready.lock().pop();
        let counter = if taken.is_some() { &self.counters.hits } else { &self.counters.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        self.ask(plugin);
        taken.map(|standing| standing.instance)
    }
}

/// The instances of one plugin that stand ready.
#[derive(Default)]
pub(crate) struct Ready {
    wanted: AtomicU64,
    asked: AtomicBool,
    standing: Mutex<Vec<Standing>>,
}

impl Ready {
    pub(crate) fn want(&self, instances: u64) {
        self.wanted.store(instances, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Standing>> {
        self.standing.lock().expect("no thread panics while it holds the instances")
    }

    fn is_short(&self) -> bool {
        (self.lock().len() as u64) < self.wanted.load(Ordering::Relaxed)
    }
}

/// An instance that stands ready in a place of its own.
struct Standing {
    instance: FreshInstance,
    _place: Place,
}

/// One of the places for instances that stand ready, of which a process has a fixed number.
struct Place(Arc<Counters>);

impl Place {
    fn take(counters: &Arc<Counters>) -> Option<Self> {
        let free = |ready| (ready < u64::from(READY_INSTANCES)).then_some(ready + 1);
        counters.ready.fetch_update(Ordering::AcqRel, Ordering::Acquire, free).ok()?;
        Some(Self(counters.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.ready.fetch_sub(1, Ordering::AcqRel);
    }
}

fn refill(plugins: &Receiver<Weak<Configured>>, counters: &Arc<Counters>) {
    for plugin in plugins {
        let Some(plugin) = plugin.upgrade() else { continue };
        // What is taken from here on asks again.
        plugin.ready.asked.store(false, Ordering::Release);
        while plugin.ready.is_short() {
            let Some(place) = Place::take(counters) else { break };
            match plugin.fresh_instance() {
                Ok(instance) => plugin.ready.lock().push(Standing { instance, _place: place }),
                // The next call makes its own, and meets the error itself.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(plugin = plugin.descriptor.name, error, "no instance can be prepared");
                    break;
                }
            }
        }
    }
}
