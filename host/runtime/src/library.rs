use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use oast_core::{ComponentHash, definition::PluginRef};
use oast_engine::{Artefacts, Component, Engine, EngineError};
use oast_store::Catalog;

use crate::{
    RuntimeError,
    publish::{PUBLISHED, published_version},
};

/// A plugin that ships with the binary.
#[derive(Debug, Clone, Copy)]
pub struct StandardPlugin {
    /// The plugin's name.
    pub name: &'static str,
    /// The component's bytes.
    pub component: &'static [u8],
}

/// Finds components by name and by hash.
pub(crate) struct Library {
    engine: Engine,
    artefacts: Artefacts,
    standard: BTreeMap<ComponentHash, StandardPlugin>,
}

/// A component that a plugin reference stands for.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

impl Found {
    fn new(name: &str, bytes: Vec<u8>) -> Self {
        Self { name: name.to_owned(), bytes }
    }
}

impl Library {
    pub(crate) fn new(artefacts: Artefacts, standard: &[StandardPlugin]) -> Result<Self, EngineError> {
        let standard = standard.iter().map(|plugin| (ComponentHash::of(plugin.component), *plugin)).collect();
        Ok(Self { engine: Engine::shared()?, artefacts, standard })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The component that a reference stands for today: an author's own beside the definitions, then one that was published,
    /// then the standard library's. A version that was published is found before all of them.
    pub(crate) fn find(
        &self,
        plugin: &PluginRef,
        own: &OwnBuilds<'_>,
        catalog: &Catalog,
    ) -> Result<Option<Found>, RuntimeError> {
        match plugin {
            PluginRef::Hash(hash) => {
                if let Some(standard) = self.standard.get(hash) {
                    return Ok(Some(Found::new(standard.name, standard.component.to_vec())));
                }
                let known = catalog.components()?.contains(hash);
                if known { Ok(Some(Found::new(&hash.short(), catalog.component(*hash)?))) } else { Ok(None) }
            }
            PluginRef::Version { name, version } => match published_version(catalog, name, version)? {
                Some(hash) => Ok(Some(Found::new(name, catalog.component(hash)?))),
                None => self.find_named(name, own, catalog),
            },
            PluginRef::Name(name) => self.find_named(name, own, catalog),
        }
    }

    fn find_named(&self, name: &str, own: &OwnBuilds<'_>, catalog: &Catalog) -> Result<Option<Found>, RuntimeError> {
        if let Some((_, bytes)) = own.find(&PluginRef::Name(name.to_owned()))? {
            return Ok(Some(Found::new(name, bytes)));
        }
        if let Some(current) = catalog.current(PUBLISHED, name)? {
            return Ok(Some(Found::new(name, catalog.component(current.hash.parse()?)?)));
        }
        let standard = self.standard.values().find(|plugin| plugin.name == name);
        Ok(standard.map(|plugin| Found::new(name, plugin.component.to_vec())))
    }

    /// Whether a component ships with the binary.
    pub(crate) fn is_standard(&self, component: ComponentHash) -> bool {
        self.standard.contains_key(&component)
    }

    /// The names of the standard plugins, for hints.
    pub(crate) fn standard_names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.standard.values().map(|plugin| plugin.name).collect();
        names.sort_unstable();
        names
    }

    /// Compiles a component, or gives the one compiled before.
    pub(crate) fn load(&self, bytes: &[u8]) -> Result<Component, EngineError> {
        self.engine.load_cached(bytes, &self.artefacts)
    }

    /// Loads a published component by hash.
    pub(crate) fn load_published(&self, hash: ComponentHash, catalog: &Catalog) -> Result<Component, RuntimeError> {
        if let Some(reason) = catalog.quarantined(hash)? {
            let path = catalog.quarantine_path(hash);
            return Err(RuntimeError::Quarantined { component: hash, reason, path });
        }
        match self.engine.loaded(hash) {
            Some(component) => Ok(component),
            None => Ok(self.load(&catalog.component(hash)?)?),
        }
    }
}

/// The components that an author built of plugins of their own.
pub(crate) enum OwnBuilds<'d> {
    /// They lie beside the definitions in this folder.
    Beside(&'d Path),
    /// They were sent with the definitions.
    Sent(BTreeMap<String, Vec<u8>>),
}

impl OwnBuilds<'_> {
    /// The author's build of a plugin, if there is one, and what it is called in messages.
    pub(crate) fn find(&self, plugin: &PluginRef) -> Result<Option<(String, Vec<u8>)>, RuntimeError> {
        let (PluginRef::Name(name) | PluginRef::Version { name, .. }) = plugin else { return Ok(None) };
        let dir = match self {
            Self::Sent(builds) => {
                return Ok(builds.get(name).map(|bytes| (format!("plugins/{name}.wasm"), bytes.clone())));
            }
            Self::Beside(dir) => dir,
        };
        for path in own_paths(dir, name) {
            match std::fs::read(&path) {
                Ok(bytes) => {
                    let shown = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
                    return Ok(Some((shown, bytes)));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(RuntimeError::File { action: "read", path, source }),
            }
        }
        Ok(None)
    }
}

/// Where an author's plugin of this name is found after it was built.
fn own_paths(dir: &Path, name: &str) -> [PathBuf; 2] {
    let plugins = dir.join("plugins");
    [plugins.join(format!("{name}.wasm")), plugins.join(name).join(format!("{name}.wasm"))]
}
