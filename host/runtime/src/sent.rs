use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use oast_core::{
    ComponentHash,
    definition::{Definition, PluginRef},
};
use serde::{Deserialize, Serialize};

use crate::{
    ApplyReport, Change, LockFile, Progress, Runtime, RuntimeError, apply::read_definition_files, library::OwnBuilds,
};

/// Definitions on their way to a daemon: the files as they are, and which components the author built of which plugins. The
/// components themselves travel one by one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentDefinition {
    /// The files with the names that errors are to say, `oast.toml` first.
    pub files: Vec<(PathBuf, String)>,
    /// What is pinned.
    #[serde(default)]
    pub lock: LockFile,
    /// The author's own builds, by the plugin's name.
    #[serde(default)]
    pub plugins: BTreeMap<String, ComponentHash>,
}

/// What a daemon answers to a [`SentDefinition`]: an [`ApplyReport`] with its lock file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SentReport {
    /// What became of each source, view and service.
    pub changes: Vec<Change>,
    /// What the caller should know beside that.
    pub notes: Vec<String>,
    /// What the plugin references stand for.
    pub lock: LockFile,
}

impl From<SentReport> for ApplyReport {
    fn from(SentReport { changes, notes, lock }: SentReport) -> Self {
        Self { changes, notes, lock }
    }
}

impl SentDefinition {
    /// Reads `oast.toml`, the files it includes and the author's own builds; the bytes of these come beside it.
    pub fn read(path: &Path, lock: LockFile) -> Result<(Self, Vec<Vec<u8>>), RuntimeError> {
        let files = read_definition_files(path)?;
        let definition = Definition::parse(&files).map_err(RuntimeError::Definition)?;
        let own = OwnBuilds::Beside(path.parent().unwrap_or(Path::new("")));
        let (mut plugins, mut components) = (BTreeMap::new(), Vec::new());
        for plugin in definition.plugins() {
            if let (PluginRef::Name(name) | PluginRef::Version { name, .. }, Some((_, bytes))) =
                (plugin, own.find(plugin)?)
                && plugins.insert(name.clone(), ComponentHash::of(&bytes)).is_none()
            {
                components.push(bytes);
            }
        }
        Ok((Self { files, lock, plugins }, components))
    }
}

impl Runtime {
    /// Takes a component in, under its hash, if it can run at all. A definition that uses it has it checked.
    pub fn take_component(&self, bytes: &[u8]) -> Result<ComponentHash, RuntimeError> {
        self.library.load(bytes)?;
        Ok(self.catalog.put_component(bytes)?)
    }

    /// Does what [`Self::apply`] does with definitions that were sent.
    pub fn apply_sent(&self, sent: &SentDefinition, progress: &dyn Progress) -> Result<SentReport, RuntimeError> {
        let definition = Definition::parse(&sent.files).map_err(RuntimeError::Definition)?;
        let read = |(name, hash): (&String, &ComponentHash)| Ok((name.clone(), self.catalog.component(*hash)?));
        let own = sent.plugins.iter().map(read).collect::<Result<_, RuntimeError>>()?;
        let ApplyReport { changes, notes, lock } =
            self.apply_own(&definition, &sent.lock, OwnBuilds::Sent(own), progress)?;
        Ok(SentReport { changes, notes, lock })
    }
}
