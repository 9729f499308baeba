//! What an interrupted replay leaves beside its dataset, so that the same command goes on where it stopped.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use oast_core::{DatasetHash, DatasetHasher, EngineFingerprint, ServiceVersion, SpineHash};
use oast_store::{Columns, Format, TableReader, TableWriter, write_whole};
use serde::{Deserialize, Serialize};

use super::{
    buckets::STEPS_PER_BUCKET,
    compute::Counts,
    results::{Results, table_of},
};
use crate::{RuntimeError, service::Service, view::View};

/// The buckets of a view that are done, by their numbers.
pub(super) type Done = BTreeMap<usize, Counts>;

/// Everything that decides what a bucket comes to, and which rows it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub(super) service: ServiceVersion,
    pub(super) engine: EngineFingerprint,
    pub(super) spine: SpineHash,
    pub(super) events: BTreeMap<String, DatasetHash>,
    steps_per_bucket: u64,
}

impl Inputs {
    pub(super) fn new(
        service: ServiceVersion,
        engine: EngineFingerprint,
        spine: SpineHash,
        events: BTreeMap<String, DatasetHash>,
    ) -> Self {
        Self { service, engine, spine, events, steps_per_bucket: STEPS_PER_BUCKET }
    }

    /// What is not as it was.
    fn difference(&self, other: &Self) -> Option<&'static str> {
        [
            (self.service != other.service, "the definition of the service is another"),
            (self.spine != other.spine, "the spine is another"),
            (self.events != other.events, "the events are others"),
            (self != other, "another version of oast made it"),
        ]
        .into_iter()
        .find_map(|(differs, what)| differs.then_some(what))
    }
}

/// The folder of an unfinished replay.
pub(crate) struct Unfinished {
    folder: PathBuf,
    state: Option<State>,
}

#[derive(Serialize, Deserialize)]
struct State {
    inputs: Inputs,
    /// Where the log ended; the replay goes on with the same events, whatever came since.
    log_end: Option<u64>,
    /// In the order of the service, as far as it came.
    views: Vec<SavedView>,
}

/// The buckets of a view that are done, and the features of their rows in a file.
#[derive(Serialize, Deserialize)]
struct SavedView {
    file: String,
    hash: DatasetHash,
    done: Done,
}

impl Unfinished {
    /// Finds what an earlier replay of a dataset left, if it did.
    pub(crate) fn beside(dataset: &Path) -> Result<Self, RuntimeError> {
        let mut folder = dataset.as_os_str().to_owned();
        folder.push(".unfinished");
        let folder = PathBuf::from(folder);
        let path = folder.join("state.json");
        let state = match std::fs::read(&path) {
            Ok(text) => Some(serde_json::from_slice(&text).map_err(|source| RuntimeError::Malformed {
                path,
                expected: "the state of an unfinished replay",
                source,
            })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(RuntimeError::File { action: "read", path, source }),
        };
        Ok(Self { folder, state })
    }

    /// Where the log ended for the replay that was interrupted.
    pub(crate) fn log_end(&self) -> Option<u64> {
        self.state.as_ref()?.log_end
    }

    /// Reads what is done already of each view. It has to be of these inputs.
    pub(super) fn load(
        &self,
        inputs: &Inputs,
        service: &Service,
        results: &[Results<'_>],
    ) -> Result<Vec<Done>, RuntimeError> {
        let Some(state) = &self.state else { return Ok(Vec::new()) };
        if let Some(what) = state.inputs.difference(inputs) {
            return Err(self.refused(what));
        }
        let views = state.views.iter().zip(&service.views).zip(results);
        views.map(|((saved, view), results)| self.read(saved, view, results).map(|()| saved.done.clone())).collect()
    }

    fn read(&self, saved: &SavedView, view: &View, results: &Results<'_>) -> Result<(), RuntimeError> {
        let schema = table_of(view);
        let mut hasher = DatasetHasher::new(&schema);
        for rows in TableReader::open(&self.folder.join(&saved.file), None, Columns::Exactly(schema))? {
            let rows = rows?;
            if !results.fits(&rows) {
                return Err(self.edited());
            }
            hasher.update(&rows);
            results.add_table(&rows)?;
        }
        if hasher.finish() == saved.hash { Ok(()) } else { Err(self.edited()) }
    }

    fn edited(&self) -> RuntimeError {
        self.refused("a file in it was edited")
    }

    fn refused(&self, what: &str) -> RuntimeError {
        RuntimeError::request(
            format!("`{}` holds an unfinished replay that this one cannot go on with: {what}", self.folder.display()),
            "delete that folder to begin anew, or put back what was there",
        )
    }

    /// Keeps what is done of each view.
    pub(super) fn save(
        &self,
        inputs: Inputs,
        log_end: Option<u64>,
        service: &Service,
        results: &[Results<'_>],
        done: &[Done],
    ) -> Result<(), RuntimeError> {
        std::fs::create_dir_all(&self.folder).map_err(|source| RuntimeError::File {
            action: "make",
            path: self.folder.clone(),
            source,
        })?;
        let mut views = Vec::new();
        for (at, ((view, results), done)) in service.views.iter().zip(results).zip(done).enumerate() {
            let file = format!("{at}.arrow");
            let hash = self.write(&file, view, results)?;
            views.push(SavedView { file, hash, done: done.clone() });
        }
        let state = State { inputs, log_end, views };
        let text = serde_json::to_vec_pretty(&state).expect("the state is JSON");
        Ok(write_whole(&self.folder.join("state.json"), &text)?)
    }

    fn write(&self, file: &str, view: &View, results: &Results<'_>) -> Result<DatasetHash, RuntimeError> {
        let schema = table_of(view);
        let mut hasher = DatasetHasher::new(&schema);
        let mut writer = TableWriter::create(&self.folder.join(file), Format::Arrow, &schema)?;
        for rows in results.tables() {
            let rows = rows?;
            hasher.update(&rows);
            writer.write(&rows)?;
        }
        writer.finish()?;
        Ok(hasher.finish())
    }

    /// Removes the folder, once the dataset is there.
    pub(crate) fn remove(&self) -> Result<(), RuntimeError> {
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(RuntimeError::File { action: "remove", path: self.folder.clone(), source: error })
            }
            _ => Ok(()),
        }
    }
}
