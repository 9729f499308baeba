use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use oast_core::{EngineFingerprint, TimeSpan, Timestamp, ViewVersion};
use oast_engine::{Artefacts, Engine, ReadyStats};
use oast_store::{Catalog, DataDir, EventLog, LogClock, LogOptions, Quarantine, Receipts, State as StateStore};
use serde::Serialize;

use crate::{
    Progress, ReceiptPolicy, RuntimeError,
    ingest::Seen,
    intake::Flights,
    library::{Library, StandardPlugin},
    live::Live,
};

/// What time is to a runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockMode {
    /// The machine's clock, made strictly monotonic.
    Wall,
    /// Time stands still but for lookups that say `at`, and never goes back: for demos, tests and backtests of a live system.
    Simulated,
}

/// How to open a runtime.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data directory.
    pub data: PathBuf,
    /// Whether to make the data directory if it is not there.
    pub create: bool,
    /// The plugins that definitions can name without a path.
    pub standard: Vec<StandardPlugin>,
    /// What time is.
    pub clock: ClockMode,
    /// Which receipts of lookups are kept.
    pub receipts: ReceiptPolicy,
    /// For how long; for ever if nothing is said.
    pub receipts_kept: Option<TimeSpan>,
}

/// What opening found and mended.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RecoveryReport {
    /// Bytes of an append that was cut off before it was acknowledged.
    pub torn_bytes: u64,
    /// The offset that the next event will have.
    pub offset: u64,
    /// Where damaged online state was set aside; it is rebuilt from the log.
    pub state_set_aside: Option<PathBuf>,
}

/// How things stand.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RuntimeStatus {
    /// The offset up to which lookups see the log.
    pub offset: u64,
    /// The events in the log.
    pub events: u64,
    /// What the log's write-ahead files take on disk, in bytes.
    pub wal_bytes: u64,
    /// What the log's segments take on disk, in bytes.
    pub segment_bytes: u64,
    /// What the online state takes on disk, in bytes, if that can be told.
    pub state_bytes: Option<u64>,
    /// The view versions kept online.
    pub views: Vec<ViewStatus>,
    /// The current services.
    pub services: Vec<String>,
    /// The current services that cannot be served, and why.
    pub unservable: BTreeMap<String, String>,
    /// The plugin instances that are prepared ahead.
    pub instances: InstanceStatus,
    /// How many calls of plugins this process has made.
    pub plugin_calls: u64,
    /// The fuel that they consumed.
    pub plugin_fuel: u64,
}

/// How the instances that are prepared ahead of lookups have served since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct InstanceStatus {
    /// How many stand ready now.
    pub ready: u64,
    /// How many calls found one ready.
    pub hits: u64,
    /// How many calls found none, and made their own.
    pub misses: u64,
}

/// How one view version stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ViewStatus {
    /// The view's name.
    pub name: String,
    /// Its version.
    pub version: ViewVersion,
    /// Its source.
    pub source: String,
    /// When the newest event that the view knows of becomes visible to lookups, or became so.
    pub newest: Option<Timestamp>,
    /// Entity keys in memory.
    pub keys_in_memory: usize,
    /// Events that wait to become visible.
    pub pending: usize,
}

/// From now on, has components compiled by processes of this program, with bounds on time and memory. The program calls
/// [`compile_in_this_process`](oast_engine::compile_in_this_process) when its only argument is
/// [`COMPILE_COMMAND`](oast_engine::COMPILE_COMMAND).
pub fn compile_apart(program: &Path) -> Result<(), RuntimeError> {
    Engine::shared()?.compile_apart(program);
    Ok(())
}

impl From<ReadyStats> for InstanceStatus {
    fn from(stats: ReadyStats) -> Self {
        let ReadyStats { ready, hits, misses } = stats;
        Self { ready, hits, misses }
    }
}

/// A data directory with everything that works on it.
pub struct Runtime {
    pub(crate) log: EventLog,
    pub(crate) state: StateStore,
    pub(crate) catalog: Catalog,
    pub(crate) quarantine: Quarantine,
    pub(crate) receipts: Receipts,
    pub(crate) receipt_policy: ReceiptPolicy,
    pub(crate) library: Library,
    pub(crate) clock: LogClock,
    pub(crate) clock_mode: ClockMode,
    recovery: RecoveryReport,
    receipts_kept: Option<TimeSpan>,
    /// When the log was last sealed for its age.
    sealed: Mutex<Instant>,
    /// Held while events are gated and put in line for the log.
    pub(crate) ingest: Mutex<IngestState>,
    /// Nothing until the definitions are first needed; from then on always something. Held for a moment only.
    pub(crate) live: RwLock<Option<Arc<Live>>>,
    /// Held while definitions are exchanged.
    pub(crate) reloading: Mutex<()>,
    /// What is being logged right now.
    pub(crate) flights: Flights,
    /// Every event below this offset has been offered to the live views.
    pub(crate) applied: AtomicU64,
}

/// How old what is not sealed may get.
const SEAL_EVERY: Duration = Duration::from_secs(3600);

/// What ingestion remembers between requests.
#[derive(Default)]
pub(crate) struct IngestState {
    /// By source.
    pub(crate) seen: BTreeMap<String, SeenOfColumn>,
}

/// The idempotency keys of a source that were seen, and the column that they are of: definitions may name another.
pub(crate) struct SeenOfColumn {
    pub(crate) column: Option<String>,
    pub(crate) keys: Seen,
}

impl Runtime {
    /// Opens a data directory, which one process can have open at a time. The log is recovered; views are caught up when
    /// they are first needed, or by [`Self::start`].
    pub fn open(options: Options) -> Result<Self, RuntimeError> {
        let dir = if options.create { DataDir::open(options.data)? } else { DataDir::open_existing(options.data)? };
        let clock = match options.clock {
            ClockMode::Wall => LogClock::system(),
            ClockMode::Simulated => LogClock::new(|| Timestamp::MIN),
        };
        let log_options = LogOptions { clock: clock.clone(), ..LogOptions::default() };
        let (log, log_recovery) = EventLog::open(&dir, log_options)?;
        let (state, state_recovery) = StateStore::open(&dir)?;
        let recovery = RecoveryReport {
            torn_bytes: log_recovery.torn_bytes,
            offset: log_recovery.next_offset,
            state_set_aside: state_recovery.set_aside,
        };
        let runtime = Self {
            catalog: Catalog::open(&dir)?,
            quarantine: Quarantine::open(&dir)?,
            receipts: Receipts::open(&dir)?,
            receipt_policy: options.receipts,
            log,
            state,
            library: Library::new(Artefacts::open(dir.artefacts())?, &options.standard)?,
            clock,
            clock_mode: options.clock,
            recovery,
            receipts_kept: options.receipts_kept,
            sealed: Mutex::new(Instant::now()),
            ingest: Mutex::default(),
            live: RwLock::default(),
            reloading: Mutex::default(),
            flights: Flights::default(),
            applied: AtomicU64::new(0),
        };
        runtime.recover_quarantine()?;
        runtime.set_retention()?;
        Ok(runtime)
    }

    /// What opening found and mended.
    pub fn recovery(&self) -> &RecoveryReport {
        &self.recovery
    }

    /// The engine's fingerprint.
    pub fn fingerprint(&self) -> EngineFingerprint {
        self.library.engine().fingerprint()
    }

    /// Compiles the current definitions and catches their views up with the log, so that lookups find them ready.
    pub fn start(&self, progress: &dyn Progress) -> Result<(), RuntimeError> {
        self.live_with(progress)
    }

    /// Whether lookups are answered without catching up first.
    pub fn ready(&self) -> bool {
        self.live_now().is_some()
    }

    /// The services that cannot be served, and why.
    pub fn unservable(&self) -> BTreeMap<String, String> {
        self.live_now().map(|live| live.unservable()).unwrap_or_default()
    }

    /// How things stand. Cheap: no more is read from disk than how large files are.
    pub fn status(&self) -> RuntimeStatus {
        let (engine, size) = (self.library.engine(), self.log.size());
        let work = engine.work();
        let mut status = RuntimeStatus {
            offset: self.applied.load(Ordering::Acquire),
            events: self.log.next_offset(),
            wal_bytes: size.wal_bytes,
            segment_bytes: size.segment_bytes,
            state_bytes: self.state.size_on_disk().ok(),
            instances: engine.ready_stats().into(),
            plugin_calls: work.calls,
            plugin_fuel: work.fuel.0,
            ..RuntimeStatus::default()
        };
        if let Some(live) = self.live_now() {
            status.unservable = live.unservable();
            status.services = live.services.keys().cloned().collect();
            status.views = live.views.values().map(|view| view.status()).collect();
        }
        status
    }

    /// Writes the online state and seals what the log holds into segments: the end of a daemon's life.
    pub fn close(&self) -> Result<(), RuntimeError> {
        first_error([self.checkpoint(), self.log.seal().map(drop).map_err(RuntimeError::from)])
    }

    /// Writes the online state that changed since the last time to disk. Cheap when nothing did.
    pub fn checkpoint(&self) -> Result<(), RuntimeError> {
        let live = self.live_now();
        let views = live.iter().flat_map(|live| live.views.values());
        let views = first_error(views.map(|view| view.checkpoint(&self.state)));
        let stores = [self.state.flush_durable(), self.receipts.flush()];
        first_error([views].into_iter().chain(stores.map(|flushed| flushed.map_err(RuntimeError::from))))
    }

    /// What a daemon does every few seconds: forgets what no lookup can ask for, writes the online state, and seals the log when
    /// its youngest segment is old. What fails keeps nothing else from being done.
    pub fn maintain(&self) -> Result<(), RuntimeError> {
        let forgotten = self.now().map_or(Ok(()), |now| self.forget_before(now));
        first_error([forgotten, self.checkpoint(), self.seal_if_old()])
    }

    /// Forgets what no lookup from now on can ask for, and receipts that are old enough.
    fn forget_before(&self, now: Timestamp) -> Result<(), RuntimeError> {
        let live = self.live_now();
        let views = live.iter().flat_map(|live| live.views.values());
        let swept = first_error(views.map(|view| view.sweep(now, &self.state)));
        let old = self.receipts_kept.map(|span| self.receipts.remove_before(now.saturating_sub(span)));
        first_error([swept, old.transpose().map(drop).map_err(RuntimeError::from)])
    }

    fn seal_if_old(&self) -> Result<(), RuntimeError> {
        let mut sealed = self.sealed.lock().expect("no thread panics while it seals");
        if sealed.elapsed() >= SEAL_EVERY {
            self.log.seal()?;
            *sealed = Instant::now();
        }
        Ok(())
    }

    /// How many entries the online state has on disk. Reads them all.
    pub fn state_entries(&self) -> Result<usize, RuntimeError> {
        let count = |tree: &String| -> Result<usize, RuntimeError> { Ok(self.state.scan_prefix(tree, &[])?.count()) };
        self.state.trees().iter().map(count).sum()
    }

    /// The present, which no later lookup is before; under a simulated clock, the last time that a lookup moved to, if there was
    /// one.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        match self.clock_mode {
            ClockMode::Wall => Some(self.wall_time()),
            ClockMode::Simulated => self.clock.last(),
        }
    }

    /// What is being logged right now is later than the horizon, and the views have not seen it yet. The tick is drawn first: if
    /// nothing is in flight after it, whatever is logged next gets a later one.
    pub(crate) fn wall_time(&self) -> Timestamp {
        let tick = self.clock.tick();
        tick.min(self.flights.horizon())
    }

    /// A moment that no later lookup is before: everything visible strictly before it can be folded.
    pub(crate) fn settled_time(&self) -> Timestamp {
        self.now().unwrap_or(Timestamp::MIN)
    }
}

/// Goes through all results, whatever the first ones are, and returns the first error; the others are logged.
fn first_error(results: impl IntoIterator<Item = Result<(), RuntimeError>>) -> Result<(), RuntimeError> {
    let mut first = Ok(());
    for result in results {
        match (&first, result) {
            (Ok(()), result) => first = result,
            (Err(_), Err(error)) => tracing::error!(error = &error as &dyn std::error::Error, "this failed as well"),
            (Err(_), Ok(())) => {}
        }
    }
    first
}
