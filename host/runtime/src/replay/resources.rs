use std::{
    num::NonZero,
    path::{Path, PathBuf},
};

/// How much of the machine a replay may take. No value depends on it.
#[derive(Debug, Clone, Default)]
pub struct Resources {
    /// How many threads compute; as many as there are cores for 0.
    pub threads: usize,
    /// How much memory to stay within, in bytes: what rows would take of more goes to a file. Half of the machine's if nothing is
    /// said.
    pub memory: Option<u64>,
    /// The folder for that file; that of the dataset if nothing is said.
    pub spill: Option<PathBuf>,
    /// How many events of a bucket are in memory at a time while its features are computed; 131,072 if nothing is said. Only a
    /// key of very many events makes a bucket of more. Which rows an audit runs again follows from it.
    pub events_at_once: Option<NonZero<usize>>,
}

/// The memory to stay within where the system does not tell how much there is.
const MEMORY_UNKNOWN: u64 = 1 << 30;

/// What a replay takes beside the rows that wait: code, components, what its threads have at hand, and what of the dataset is being
/// written.
const WORK_BYTES: u64 = 320 << 20;

const EVENTS_AT_ONCE: usize = 1 << 17;

impl Resources {
    /// How much memory rows may take while they wait, in bytes: two thirds of what work leaves, since an allocator has gaps and
    /// keeps freed memory for a while; and an eighth of all at least.
    pub(super) fn bytes_max(&self) -> u64 {
        let of_machine = || oast_store::memory_of_machine().map_or(MEMORY_UNKNOWN, |bytes| bytes / 2);
        let memory = self.memory.unwrap_or_else(of_machine);
        (memory.saturating_sub(WORK_BYTES) / 3 * 2).max(memory / 8)
    }

    /// The folder for what memory cannot hold, of a replay whose dataset is or would be at `out`.
    pub(super) fn spill_folder(&self, out: &Path) -> PathBuf {
        let beside = || out.parent().map(PathBuf::from).unwrap_or_default();
        self.spill.clone().unwrap_or_else(beside)
    }

    /// How many threads compute.
    pub(super) fn threads(&self) -> usize {
        if self.threads == 0 { available_threads() } else { self.threads }
    }

    /// How many events of a bucket are in memory at a time.
    pub(super) fn events_at_once(&self) -> usize {
        self.events_at_once.map_or(EVENTS_AT_ONCE, NonZero::get)
    }
}

/// As many threads as there are cores for this process.
pub(crate) fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}
