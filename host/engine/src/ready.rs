//! Instances made and configured before they are asked for, so that a lookup does not wait for them.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

use crate::{EngineError, config::READY_INSTANCES, invoke::FreshInstance, plugin::Configured};

/// How often the thread looks for orders while they come.
const ROUND: Duration = Duration::from_micros(500);

/// How far the thread stands back behind those that answer, in the steps of `nice`: on Linux it is of a thread alone.
const STANDS_BACK: i32 = 10;

/// After so many rounds without an order it waits to be woken.
const IDLE_ROUNDS: u32 = 200;

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
    /// Instances that stand ready, are in their call, or are yet to be cleared away.
    places: AtomicU64,
    ready: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// The thread that prepares instances, one at a time, for whichever plugin asked first, and clears away used ones.
pub(crate) struct Refiller {
    orders: Sender<Order>,
    counters: Arc<Counters>,
}

enum Order {
    /// Prepare instances of the plugin up to its number.
    Refill(Weak<Configured>),
    /// Clear a used instance away; giving its memory back takes longer than many calls.
    Clear(Standing),
}

impl Refiller {
    pub(crate) fn start() -> Result<Self, EngineError> {
        let (orders, received) = mpsc::channel();
        let counters = Arc::<Counters>::default();
        let shared = counters.clone();
        let thread = thread::Builder::new().name("oast-refill".to_owned());
        thread.spawn(move || work(&received, &shared)).map_err(|error| EngineError::Start(error.into()))?;
        Ok(Self { orders, counters })
    }

    pub(crate) fn stats(&self) -> ReadyStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { ready, hits, misses, .. } = &*self.counters;
        ReadyStats { ready: get(ready), hits: get(hits), misses: get(misses) }
    }

    /// Has the plugin's instances made up to their number. The thread lives as long as the engine.
    pub(crate) fn refill(&self, plugin: &Arc<Configured>) {
        let wanted = plugin.ready.wanted.load(Ordering::Relaxed) > 0;
        if wanted && !plugin.ready.ordered.swap(true, Ordering::AcqRel) {
            self.order(Order::Refill(Arc::downgrade(plugin)));
        }
    }

    /// An instance that stands ready, if the plugin keeps some and one is left. It is for one call.
    pub(crate) fn take(&self, plugin: &Arc<Configured>) -> Option<Standing> {
        let ready = &plugin.ready;
        if ready.wanted.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let Some(mut taken) = ready.lock().pop() else {
            self.counters.misses.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        self.counters.hits.fetch_add(1, Ordering::Relaxed);
        taken.place.leave();
        Some(taken)
    }

    /// Takes an instance back after its call, to be replaced by a fresh one.
    pub(crate) fn replace(&self, used: Standing, plugin: &Arc<Configured>) {
        self.order(Order::Clear(used));
        self.refill(plugin);
    }

    fn order(&self, order: Order) {
        self.orders.send(order).expect("the thread outlives the engine");
    }
}

/// The instances of one plugin that stand ready.
#[derive(Default)]
pub(crate) struct Ready {
    wanted: AtomicU64,
    ordered: AtomicBool,
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
pub(crate) struct Standing {
    pub(crate) instance: FreshInstance,
    place: Place,
}

/// One of the places for instances that are prepared ahead, of which a process has a fixed number.
struct Place {
    counters: Arc<Counters>,
    /// Whether the instance in it stands ready.
    ready: bool,
}

impl Place {
    fn take(counters: &Arc<Counters>) -> Option<Self> {
        let free = |places| (places < u64::from(READY_INSTANCES)).then_some(places + 1);
        counters.places.fetch_update(Ordering::AcqRel, Ordering::Acquire, free).ok()?;
        Some(Self { counters: counters.clone(), ready: false })
    }

    fn enter(&mut self) {
        self.ready = true;
        self.counters.ready.fetch_add(1, Ordering::Relaxed);
    }

    fn leave(&mut self) {
        if std::mem::take(&mut self.ready) {
            self.counters.ready.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
        self.counters.places.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Works off orders until the engine is gone. While orders come, the thread looks for them now and then by itself: waking
/// it would cost the caller more than the call, and on a busy machine its processor.
fn work(orders: &Receiver<Order>, counters: &Arc<Counters>) {
    // Whoever waits for an answer goes first; where the system does not let a thread stand back, it only goes slower.
    rustix::process::nice(STANDS_BACK).ok();
    while let Ok(first) = orders.recv() {
        carry_out(first, counters);
        let mut idle_rounds = 0;
        while idle_rounds < IDLE_ROUNDS {
            thread::sleep(ROUND);
            idle_rounds += 1;
            for order in orders.try_iter() {
                carry_out(order, counters);
                idle_rounds = 0;
            }
        }
    }
}

fn carry_out(order: Order, counters: &Arc<Counters>) {
    match order {
        Order::Clear(used) => drop(used),
        Order::Refill(plugin) => {
            if let Some(plugin) = plugin.upgrade() {
                refill(&plugin, counters);
            }
        }
    }
}

fn refill(plugin: &Configured, counters: &Arc<Counters>) {
    // What is taken from here on is ordered again.
    plugin.ready.ordered.store(false, Ordering::Release);
    while plugin.ready.is_short() {
        let Some(mut place) = Place::take(counters) else { break };
        match plugin.fresh_instance() {
            Ok(instance) => {
                place.enter();
                plugin.ready.lock().push(Standing { instance, place });
            }
            // The next call makes its own, and meets the error itself.
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(plugin = plugin.descriptor.name, error, "no instance can be prepared");
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use oast_core::{Batch, Blobs, Limits, Schema};

    use super::*;
    use crate::{Engine, Groups, Plugin};

    const COMPONENT: &[u8] = include_bytes!("../../../tests/fixtures/components/0.1.0/moments.wasm");

    fn plugin() -> Plugin {
        let field = oast_core::Field::parse("x", "float64?").unwrap();
        let offered = Schema::new(vec![field]).unwrap();
        Engine::shared().unwrap().load(COMPONENT).unwrap().configure("{}", &offered, Limits::default()).unwrap()
    }

    fn wait_until_ready(plugin: &Plugin, instances: usize) {
        while plugin.configured().ready.lock().len() != instances {
            thread::yield_now();
        }
    }

    #[test]
    fn a_prepared_instance_gives_what_one_made_on_demand_gives_and_is_replaced() {
        let finish = |plugin: &Plugin| {
            let aggregate = plugin.aggregate().unwrap();
            aggregate.finish(Groups::new(&Blobs::concat(&[b""]), &[1, 0])).unwrap()
        };
        let plugin = plugin();
        let on_demand = finish(&plugin);
        assert_ne!(on_demand.rows, Batch::empty(&plugin.descriptor().output));
        plugin.keep_ready(2);
        wait_until_ready(&plugin, 2);
        let hits = Engine::shared().unwrap().ready_stats().hits;
        for _ in 0..20 {
            assert_eq!(finish(&plugin), on_demand);
            wait_until_ready(&plugin, 2);
        }
        assert!(Engine::shared().unwrap().ready_stats().hits >= hits + 20);
    }

    #[test]
    fn instances_of_a_plugin_that_is_gone_give_their_places_back() {
        let plugins: Vec<_> = (0..4).map(|_| plugin()).collect();
        for plugin in &plugins {
            plugin.keep_ready(2);
            wait_until_ready(plugin, 2);
        }
        let counters: Vec<_> = plugins.iter().map(|plugin| Arc::downgrade(plugin.configured())).collect();
        drop(plugins);
        // The thread may hold the last of them for a moment, while it looks whether it is short.
        while counters.iter().any(|plugin| plugin.strong_count() > 0) {
            thread::yield_now();
        }
        let again = plugin();
        again.keep_ready(u64::from(READY_INSTANCES) / 2);
        wait_until_ready(&again, READY_INSTANCES as usize / 2);
    }
}
