//! The definitions that a runtime serves now, their online state, and how both are exchanged while lookups go on.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, TryLockError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use oast_core::{Timestamp, ViewVersion};
use oast_store::State;

use crate::{
    Progress, Runtime, RuntimeError,
    ingest::Source,
    online::{self, OnlineView, times},
    replay::in_schema,
    runtime::ViewStatus,
    service::Service,
    view::View,
};

/// How many instances of each plugin stand ready for lookups: one for the call that comes, one while that is replaced.
const READY_INSTANCES: u64 = 2;

/// How often a lock that others have for moments only is tried: as long as one lookup takes.
const SPINS: u32 = 400;

/// In how many steps a view is swept; others may have it between them.
const SWEEPS: usize = 16;

/// How long it is waited for others to take a view, between one step and the next.
const PATIENCE: Duration = Duration::from_millis(1);

/// A view that is behind by no more than this is brought up while ingestion waits.
const EVENTS_WHILE_WAITING: u64 = 10_000;

/// With more events than this to catch up with, the log is read twice so that not all of them are in memory at once.
const EVENTS_IN_MEMORY: u64 = 1_000_000;

/// The current definitions, compiled, and their online state.
pub(crate) struct Live {
    pub(crate) sources: BTreeMap<String, Arc<Source>>,
    pub(crate) views: BTreeMap<ViewVersion, Arc<LiveView>>,
    pub(crate) services: BTreeMap<String, Arc<Service>>,
    /// Services that cannot be compiled, because a component is in quarantine, say: they fail their own lookups alone.
    unservable: BTreeMap<String, RuntimeError>,
}

impl Live {
    /// The current version of a service, or why it cannot be served; nothing if there is no such service.
    pub(crate) fn service(&self, name: &str) -> Option<Result<&Arc<Service>, RuntimeError>> {
        let found = self.services.get(name).map(Ok);
        found.or_else(|| self.unservable.get(name).map(|error| Err(RuntimeError::unservable(name, error))))
    }

    /// The services that cannot be served, and why.
    pub(crate) fn unservable(&self) -> BTreeMap<String, String> {
        self.unservable.iter().map(|(name, error)| (name.clone(), error.to_string())).collect()
    }

    fn empty() -> Self {
        Self {
            sources: BTreeMap::new(),
            views: BTreeMap::new(),
            services: BTreeMap::new(),
            unservable: BTreeMap::new(),
        }
    }
}

/// A view version with its online state. Locks are taken in order of version.
pub(crate) struct LiveView {
    pub(crate) view: Arc<View>,
    online: Mutex<OnlineView>,
    /// How many threads wait for it.
    waiting: AtomicUsize,
}

impl LiveView {
    pub(crate) fn lock(&self) -> MutexGuard<'_, OnlineView> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let locked = self.online.lock();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        locked.unwrap_or_else(|poisoned| {
            // A panic in the middle of a step is a bug, but the log is whole, and the view can be made from it again.
            self.online.clear_poison();
            let mut online = poisoned.into_inner();
            online.distrust();
            online
        })
    }

    /// Lets those take the lock who wait for it: whoever takes it again at once is likely to be faster than they.
    pub(crate) fn give_way(&self) {
        let begun = Instant::now();
        while self.waiting.load(Ordering::Relaxed) > 0 && begun.elapsed() < PATIENCE {
            thread::yield_now();
        }
    }

    /// The lock if nobody has it, or gives it back within a few microseconds.
    pub(crate) fn lock_at_once(&self) -> Option<MutexGuard<'_, OnlineView>> {
        for _ in 0..SPINS {
            match self.online.try_lock() {
                Ok(online) => return Some(online),
                // What to do about it takes longer.
                Err(TryLockError::Poisoned(_)) => return None,
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
            }
        }
        None
    }

    /// Writes what changed to disk, while others have the view.
    pub(crate) fn checkpoint(&self, state: &State) -> Result<(), RuntimeError> {
        online::checkpoint(self.lock(), state)
    }

    /// Forgets some of what no lookup from `now` on can ask for.
    pub(crate) fn sweep(&self, now: Timestamp, state: &State) -> Result<(), RuntimeError> {
        self.lock().prune(now);
        for _ in 0..SWEEPS {
            if self.lock().sweep(now, state)? {
                break;
            }
            self.give_way();
        }
        Ok(())
    }

    pub(crate) fn status(&self) -> ViewStatus {
        let online = self.lock();
        ViewStatus {
            name: self.view.spec.name.clone(),
            version: self.view.version,
            source: self.view.spec.source.name.clone(),
            newest: online.newest(),
            keys_in_memory: online.keys_in_memory(),
            pending: online.pending(),
        }
    }
}

impl Runtime {
    /// The current definitions, compiled and caught up.
    pub(crate) fn serving(&self) -> Result<Arc<Live>, RuntimeError> {
        if self.live_now().is_none() {
            self.live_with(&())?;
        }
        Ok(self.live_now().expect("once there are definitions in memory, there always are"))
    }

    /// Whether these definitions have not been exchanged for others.
    pub(crate) fn is_serving(&self, live: &Arc<Live>) -> bool {
        self.live_now().is_some_and(|now| Arc::ptr_eq(&now, live))
    }

    /// The current definitions if they are in memory already.
    pub(crate) fn live_now(&self) -> Option<Arc<Live>> {
        self.live.read().expect("no thread panics while it holds the definitions").clone()
    }

    fn set_live(&self, live: Arc<Live>) {
        *self.live.write().expect("no thread panics while it holds the definitions") = Some(live);
    }

    pub(crate) fn live_with(&self, progress: &dyn Progress) -> Result<(), RuntimeError> {
        // Nothing is logged while views catch up, so that they and the applied offset agree. Whoever only asks how things
        // stand is not kept waiting.
        let _ingest = self.quiet_intake();
        if self.live_now().is_some() {
            return Ok(());
        }
        let live = Arc::new(self.compile_live(None)?);
        let end = self.log.next_offset();
        for view in live.views.values() {
            // A view that cannot be caught up fails its own lookups, with its error, and nothing else.
            match self.catch_up(view, end, progress) {
                Err(RuntimeError::Stopped) => return Err(RuntimeError::Stopped),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(view = view.view.spec.name, error, "a view cannot be caught up with the log");
                }
                Ok(()) => {}
            }
        }
        self.applied.store(end, Ordering::Release);
        self.set_live(live);
        Ok(())
    }

    /// Serves what is published now. New view versions are filled from the log while lookups go on with the old definitions,
    /// and serve once they have caught up. If one cannot, the old definitions stay.
    pub(crate) fn reload(&self, progress: &dyn Progress) -> Result<(), RuntimeError> {
        let _reloading = self.reloading.lock().expect("no thread panics while it exchanges definitions");
        // Nothing is in memory: the definitions are read when they are first needed.
        let Some(old) = self.live_now() else { return Ok(()) };
        let live = Arc::new(self.compile_live(Some(&old))?);
        let new = || live.views.iter().filter(|(version, _)| !old.views.contains_key(version)).map(|(_, view)| view);
        for view in new() {
            loop {
                let end = self.log.next_offset();
                self.catch_up(view, end, progress)?;
                if self.log.next_offset() - end <= EVENTS_WHILE_WAITING {
                    break;
                }
            }
        }
        let ingest = self.quiet_intake();
        let end = self.log.next_offset();
        new().try_for_each(|view| self.catch_up(view, end, progress))?;
        self.set_live(live);
        drop(ingest);
        // What served before is as of now in the state, should it be published again. If that fails, the state is only older.
        for view in old.views.values() {
            if let Err(error) = view.checkpoint(&self.state) {
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    view = view.view.spec.name,
                    error,
                    "cannot write the state of a view that served before"
                );
            }
        }
        Ok(())
    }

    /// Compiles what is published. Views that are in memory stay as they are, with their state.
    fn compile_live(&self, old: Option<&Live>) -> Result<Live, RuntimeError> {
        let mut live = Live::empty();
        for name in self.catalog.names("source")? {
            let source = Source::new(self.current_spec("source", &name)?)?;
            live.sources.insert(name, Arc::new(source));
        }
        for name in self.catalog.names("service")? {
            match self.current_hash("service", &name).and_then(|version| self.service_version(&version)) {
                Ok(service) => drop(live.services.insert(name, Arc::new(service))),
                Err(error) => {
                    let cause = &error as &dyn std::error::Error;
                    tracing::error!(service = name, error = cause, "a service cannot be served");
                    live.unservable.insert(name, error);
                }
            }
        }
        // Lookups reach views through services only; a view that no service reads needs no online state.
        let views: Vec<Arc<View>> = live.services.values().flat_map(|service| service.views.clone()).collect();
        for view in views {
            if let Entry::Vacant(vacant) = live.views.entry(view.version) {
                let kept = old.and_then(|old| old.views.get(&view.version));
                vacant.insert(kept.map_or_else(|| self.open_view(view), |kept| Ok(Arc::clone(kept)))?);
            }
        }
        live.services.values().for_each(|service| service.keep_ready(READY_INSTANCES));
        Ok(live)
    }

    fn open_view(&self, view: Arc<View>) -> Result<Arc<LiveView>, RuntimeError> {
        let online = Mutex::new(OnlineView::open(view.clone(), self.fingerprint(), &self.state)?);
        view.keep_ready(READY_INSTANCES);
        Ok(Arc::new(LiveView { view, online, waiting: AtomicUsize::new(0) }))
    }

    /// Brings a view up to an offset. One that cannot be caught up tries again when it is looked up.
    fn catch_up(&self, view: &LiveView, end: u64, progress: &dyn Progress) -> Result<(), RuntimeError> {
        let mut online = view.lock();
        let caught_up = self.catch_up_view(&mut online, end, progress);
        if caught_up.is_err() {
            online.distrust();
        }
        caught_up
    }

    fn catch_up_view(&self, online: &mut OnlineView, end: u64, progress: &dyn Progress) -> Result<(), RuntimeError> {
        self.feed(online, end, progress)?;
        // A state that is ahead of the log belongs to another log.
        if online.must_rebuild() || online.next_offset() > end {
            self.rebuild(online, end)?;
        }
        online.advance(self.settled_time(), &self.state)?;
        online.checkpoint(&self.state)
    }

    /// Offers a view the events of the log below `end` that it has not seen. They are folded when it is next advanced, or on the
    /// way when there are many.
    fn feed(&self, online: &mut OnlineView, end: u64, progress: &dyn Progress) -> Result<(), RuntimeError> {
        let view = online.view();
        let start = online.resume_offset();
        if start < end {
            progress.phase(&format!("catching up {}", view.spec.name), Some(end - start));
        }
        let settled = self.settled_time();
        let mut foldable = if end.saturating_sub(start) > EVENTS_IN_MEMORY && online.is_new() {
            self.visible_later(&view, start, end)?.into_iter()
        } else {
            Vec::new().into_iter()
        };
        for events in self.log.scan(Some(&view.spec.source.name), start..end)? {
            if progress.is_stopped() {
                return Err(RuntimeError::Stopped);
            }
            let events = events?;
            online.offer(&events)?;
            if let Some(later) = foldable.next() {
                online.advance(later.min(settled), &self.state)?;
                online.checkpoint_if_long(&self.state)?;
            }
            progress.advance(events.rows.rows as u64);
        }
        online.was_fed(end);
        Ok(())
    }

    /// For each batch of a scan, the first time at which an event of a later batch becomes visible: what is visible before that
    /// can be folded, since nothing of the rest belongs before it.
    fn visible_later(&self, view: &View, start: u64, end: u64) -> Result<Vec<Timestamp>, RuntimeError> {
        let mut first: Vec<Timestamp> = Vec::new();
        for events in self.log.scan(Some(&view.spec.source.name), start..end)? {
            let events = events?;
            let rows = in_schema(&view.source_schema, &events.schema, &events.rows, &events.source)?;
            let event_times = times(&rows, view.event_time);
            let visible = event_times.into_iter().zip(events.ingest_times).map(|(event, ingest)| event.max(ingest));
            first.push(visible.min().unwrap_or(Timestamp::MAX));
        }
        let mut later = Timestamp::MAX;
        for first in first.iter_mut().rev() {
            later = later.min(std::mem::replace(first, later));
        }
        Ok(first)
    }

    /// Makes a view's online state anew from the log below `end`.
    pub(crate) fn rebuild(&self, online: &mut OnlineView, end: u64) -> Result<(), RuntimeError> {
        tracing::info!(view = online.view().spec.name, "rebuilding online state from the log");
        let rebuilt = online.reset(&self.state).and_then(|()| self.feed(online, end, &()));
        if rebuilt.is_err() {
            online.distrust();
        }
        rebuilt
    }
}
