use std::{collections::BTreeMap, path::PathBuf};

use oast_store::TableFiles;

use super::{resources::Resources, storage::Storage};
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
    /// How much of the machine it may take.
    pub resources: Resources,
    /// What to remember of the training run.
    pub metadata: BTreeMap<String, String>,
}

impl ReplayOptions {
    /// What rows wait in while the dataset is derived.
    pub(crate) fn storage(&self) -> Storage {
        Storage::new(self.resources.bytes_max(), self.resources.spill_folder(&self.out))
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
