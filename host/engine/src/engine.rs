use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
};

use oast_core::{ComponentHash, EngineFingerprint};
use wasmtime::{Config, ModuleVersionStrategy};

use crate::{
    Artefacts, Component, EngineError,
    compile::Compiler,
    config::SEMANTICS,
    invoke::Work,
    measure,
    ready::{ReadyStats, Refiller},
};

/// The one wasmtime engine of a process, and the fingerprint of all that could make it disagree with another.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    wasmtime: wasmtime::Engine,
    fingerprint: EngineFingerprint,
    description: String,
    compiler: OnceLock<Compiler>,
    refiller: Refiller,
    /// Every component is loaded once.
    loaded: Mutex<BTreeMap<ComponentHash, Component>>,
}

/// The engine that all users in this process share.
static SHARED: Mutex<Option<Engine>> = Mutex::new(None);

impl Engine {
    /// The engine of this process, started when it is first asked for.
    pub fn shared() -> Result<Self, EngineError> {
        let mut shared = SHARED.lock().expect("no thread panics while it starts the engine");
        if let Some(engine) = &*shared {
            return Ok(engine.clone());
        }
        let engine = Self::start()?;
        *shared = Some(engine.clone());
        Ok(engine)
    }

    /// Reserves address space for instances, but touches little memory.
    fn start() -> Result<Self, EngineError> {
        let (fingerprint, description) = (SEMANTICS.fingerprint(), SEMANTICS.description());
        let wasmtime = start_wasmtime(SEMANTICS.config(), fingerprint)?;
        Ok(Self(Arc::new(Inner {
            wasmtime,
            fingerprint,
            description,
            compiler: OnceLock::new(),
            refiller: Refiller::start()?,
            loaded: Mutex::default(),
        })))
    }

    /// From now on, has components compiled by a process of this program, which must call
    /// [`compile_in_this_process`](crate::compile_in_this_process) when its only argument is
    /// [`COMPILE_COMMAND`](crate::COMPILE_COMMAND). Without this, components are compiled in this process, where nothing
    /// bounds what a hostile one costs. Only the first call counts.
    pub fn compile_apart(&self, program: &Path) {
        self.0.compiler.get_or_init(|| Compiler::Apart(program.to_owned()));
    }

    /// The fingerprint: it changes whenever two builds of this host could disagree about a result.
    pub fn fingerprint(&self) -> EngineFingerprint {
        self.0.fingerprint
    }

    /// What the fingerprint covers, one setting a line.
    pub fn description(&self) -> &str {
        &self.0.description
    }

    /// How instances that were prepared ahead have served so far.
    pub fn ready_stats(&self) -> ReadyStats {
        self.0.refiller.stats()
    }

    /// What all calls of this process have come to so far.
    pub fn work(&self) -> Work {
        Work::so_far()
    }

    /// Validates and compiles a component, or says why it is refused.
    pub fn load(&self, bytes: &[u8]) -> Result<Component, EngineError> {
        self.load_once(bytes, |hash| {
            let artefact = self.compile(bytes)?;
            Component::from_artefact(self, hash, &artefact)
        })
    }

    /// As [`Self::load`], but takes what was compiled before out of a cache, or puts it there.
    pub fn load_cached(&self, bytes: &[u8], cache: &Artefacts) -> Result<Component, EngineError> {
        self.load_once(bytes, |hash| cache.load(self, hash, || self.compile(bytes)))
    }

    fn load_once(
        &self,
        bytes: &[u8],
        load: impl FnOnce(ComponentHash) -> Result<Component, EngineError>,
    ) -> Result<Component, EngineError> {
        let hash = ComponentHash::of(bytes);
        if let Some(component) = self.loaded(hash) {
            return Ok(component);
        }
        let component = load(hash)?;
        self.lock_loaded().insert(hash, component.clone());
        Ok(component)
    }

    /// The component of this hash, if it was loaded before.
    pub fn loaded(&self, hash: ComponentHash) -> Option<Component> {
        self.lock_loaded().get(&hash).cloned()
    }

    fn compile(&self, bytes: &[u8]) -> Result<Vec<u8>, EngineError> {
        measure(bytes)?;
        match self.0.compiler.get() {
            Some(Compiler::Apart(program)) => crate::compile::compile_apart(program, bytes),
            None => SEMANTICS.compile(self.wasmtime(), bytes).map_err(EngineError::Invalid),
        }
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.wasmtime
    }

    pub(crate) fn refiller(&self) -> &Refiller {
        &self.0.refiller
    }

    fn lock_loaded(&self) -> MutexGuard<'_, BTreeMap<ComponentHash, Component>> {
        self.0.loaded.lock().expect("no thread panics while it holds the components")
    }
}

/// Starts wasmtime with the fingerprint as the version of what it compiles: by itself it would run an artefact that was
/// compiled under another NaN rule, or by another release of the same major version.
pub(crate) fn start_wasmtime(
    mut config: Config,
    fingerprint: EngineFingerprint,
) -> Result<wasmtime::Engine, EngineError> {
    let version = ModuleVersionStrategy::Custom(fingerprint.to_string());
    config.module_version(version).map_err(EngineError::Start)?;
    wasmtime::Engine::new(&config).map_err(EngineError::Start)
}
