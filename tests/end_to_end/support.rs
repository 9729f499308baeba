use std::path::{Path, PathBuf};

use anyhow::Context;
use oast_runtime::{ClockMode, Definition, LockFile, Options, ReceiptPolicy, Runtime, StandardPlugin, read_definition};
use serde_json::{Map, Value as Json};
use tempfile::TempDir;

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The standard plugins, as the binary has them.
pub(crate) fn standard() -> Vec<StandardPlugin> {
    let plugins = oast_plugins::standard().iter();
    plugins.map(|plugin| StandardPlugin { name: plugin.name, component: plugin.component }).collect()
}

/// The fields of a JSON object: an entity, or values that come with a request.
pub(crate) fn object(value: Json) -> Map<String, Json> {
    match value {
        Json::Object(fields) => fields,
        other => panic!("no object: {other}"),
    }
}

/// A data directory that is gone after the test.
pub(crate) struct Setup {
    pub(crate) dir: TempDir,
}

impl Setup {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self { dir: TempDir::new()? })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn open(&self, clock: ClockMode) -> anyhow::Result<Runtime> {
        let receipts = ReceiptPolicy::Asked;
        let options = Options {
            data: self.path("data"),
            create: true,
            standard: standard(),
            clock,
            receipts,
            receipts_kept: None,
        };
        Ok(Runtime::open(options)?)
    }

    /// A runtime with these definitions published.
    pub(crate) fn publish(&self, clock: ClockMode, definition: &str) -> anyhow::Result<Runtime> {
        let runtime = self.open(clock)?;
        runtime.apply(&self.definition(definition)?, &LockFile::default(), self.dir.path())?;
        Ok(runtime)
    }

    pub(crate) fn definition(&self, text: &str) -> anyhow::Result<Definition> {
        let path = self.path("oast.toml");
        std::fs::write(&path, text).context("the definition is written")?;
        Ok(read_definition(&path)?)
    }
}
