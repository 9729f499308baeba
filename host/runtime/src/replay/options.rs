use std::{collections::BTreeMap, path::PathBuf};

use oast_store::TableFiles;

use crate::{ColumnNames, RuntimeError};

/// What to replay.
#[derive(Debug, Clone, Default)]
pub struct ReplayOptions {
    /// The service: a name for its current version, or the hash of a version.
    pub service: String,
    /// The spine.
    pub spine: PathBuf,
    /// Where the dataset goes; the manifest goes beside it.
    pub out: PathBuf,
    /// Snapshot files to read events from, by source; the log for sources not named.
    pub events: Vec<(String, PathBuf)>,
    /// Columns that have other names in the files: `NAME` in the spine or `SOURCE.NAME` in a snapshot, and what it is called
    /// there.
    pub map: Vec<(String, String)>,
    /// The spine's time column, as the dataset has it; `event_timestamp` if nothing is said.
    pub spine_time: Option<String>,
    /// How many threads compute; as many as there are cores for 0.
    pub threads: usize,
    /// How much memory rows may take, in bytes, before they go to a file; half of the machine's if nothing is said.
    pub memory: Option<u64>,
    /// The folder for that file; that of the dataset if nothing is said.
    pub spill: Option<PathBuf>,
    /// What to remember of the training run.
    pub metadata: BTreeMap<String, String>,
}

/// What rows may take where the system does not tell how much memory there is.
const MEMORY_UNKNOWN: u64 = 1 << 30;

impl ReplayOptions {
    /// How much memory rows may take, in bytes.
    pub(super) fn bytes_max(&self) -> u64 {
        self.memory.unwrap_or_else(|| oast_store::memory_of_machine().map_or(MEMORY_UNKNOWN, |bytes| bytes / 2))
    }

    /// The folder for what memory cannot hold.
    pub(super) fn spill_folder(&self) -> PathBuf {
        let beside = || self.out.parent().map(PathBuf::from).unwrap_or_default();
        self.spill.clone().unwrap_or_else(beside)
    }

    /// How many threads compute.
    pub(super) fn threads(&self) -> usize {
        if self.threads == 0 { available_threads() } else { self.threads }
    }

    /// What the columns of the spine are called in its file.
    pub(super) fn spine_names(&self) -> ColumnNames {
        ColumnNames::new(self.mapped().filter_map(|(source, name, column)| source.is_none().then_some((name, column))))
    }

    /// What the columns of a source are called in its snapshot.
    pub(super) fn source_names(&self, source: &str) -> ColumnNames {
        ColumnNames::new(self.mapped().filter_map(|(of, name, column)| (of == Some(source)).then_some((name, column))))
    }

    /// Source, name and column of each mapping.
    fn mapped(&self) -> impl Iterator<Item = (Option<&str>, &str, &str)> {
        self.map.iter().map(|(name, column)| match name.split_once('.') {
            Some((source, name)) => (Some(source), name, column.as_str()),
            None => (None, name.as_str(), column.as_str()),
        })
    }

    /// Only snapshots have names of their own: the log has those of the definition.
    pub(super) fn check_mapped_sources(&self) -> Result<(), RuntimeError> {
        let is_read = |source: &str| self.events.iter().any(|(name, _)| name == source);
        match self.mapped().filter_map(|(source, ..)| source).find(|source| !is_read(source)) {
            None => Ok(()),
            Some(source) => Err(RuntimeError::request(
                format!("`--map {source}.…` names a source that is not read from a file"),
                format!("say `--events {source}=FILE`, or leave the mapping out"),
            )),
        }
    }

    /// A dataset in the place of its own spine or events could never be derived again, and one among them would be read as
    /// input.
    pub(super) fn refuse_overwriting_input(&self) -> Result<(), RuntimeError> {
        let inputs = || self.events.iter().map(|(_, file)| file).chain([&self.spine]);
        if let Some(input) = inputs().find(|input| TableFiles::would_take_in(input, &self.out)) {
            return Err(RuntimeError::request(
                format!("the dataset would be among `{}`, which it is made from", input.display()),
                "write it to another folder, or under a name that begins with `_`",
            ));
        }
        let Ok(out) = self.out.canonicalize() else { return Ok(()) };
        match inputs().find(|input| input.canonicalize().is_ok_and(|input| input == out)) {
            None => Ok(()),
            Some(input) => Err(RuntimeError::request(
                format!("the dataset would overwrite `{}`, which it is made from", input.display()),
                "write it to another file",
            )),
        }
    }
}

/// As many threads as there are cores for this process.
pub(crate) fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
