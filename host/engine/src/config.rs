use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard},
};

use oast_core::{Canonical, ComponentHash, EngineFingerprint};
use wasmtime::{
    Config, Enabled, Inlining, InstanceAllocationStrategy, OperatorCost, OptLevel, PoolingAllocationConfig,
    RegallocAlgorithm, Strategy, WasmFeatures,
};

use crate::{Component, EngineError};

/// The exact version that Cargo.toml pins; a test compares it with Cargo.lock.
const WASMTIME_VERSION: &str = "48.0.8";

/// The rules of this crate, beyond wasmtime, that decide results. Raised when one of them changes.
const RULES: &str = "canonical NaN on both sides; nulls cleared; batches accepted within one row's budget, runs of rows \
                     into one state within an eighth of it; encoding v1";

/// How many instances may be alive at once; every thread has at most one.
const INSTANCES: u32 = 128;

/// The most a component may ask for, whatever its limits say (fits Rust, Python and JavaScript guests).
const CORE_INSTANCES: u32 = 40;
pub(crate) const MEMORIES: u32 = 4;
pub(crate) const TABLES: u32 = 8;
pub(crate) const TABLE_ELEMENTS: usize = 20_000;
pub(crate) const MEMORY_BYTES: usize = 64 << 20;

/// Memory that stays mapped in a slot between invocations, so that the arena of the SDK costs no page fault.
const KEEP_RESIDENT: usize = 512 << 10;

/// The WebAssembly that components may be made of. What is not named here is off, also what a later wasmtime or parser may
/// turn on by itself.
///
/// Multi-memory is on for wasmtime's own sake: it joins the parts of a composed component by modules that see the memories of
/// both, and panics where it may not. A component's own modules have one memory each; `measure` refuses the others.
pub(crate) const PROPOSALS: WasmFeatures = WasmFeatures::COMPONENT_MODEL
    .union(WasmFeatures::MUTABLE_GLOBAL)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::FLOATS);

/// Makes a type of all settings that can change a result, from one list: what is applied is what is spelled out for the
/// fingerprint, and neither can miss a setting. Each name is that of the method which applies the setting.
macro_rules! semantics {
    (
        config { $($name:ident: $type:ty = $value:expr,)* }
        pool { $($pool_name:ident: $pool_type:ty = $pool_value:expr,)* }
    ) => {
        /// All settings that can change a result.
        #[derive(Clone)]
        struct Semantics {
            proposals: WasmFeatures,
            $($name: $type,)*
            $($pool_name: $pool_type,)*
        }

        /// What every result is computed under.
        const SEMANTICS: Semantics = Semantics {
            proposals: PROPOSALS,
            $($name: $value,)*
            $($pool_name: $pool_value,)*
        };

        impl Semantics {
            fn apply(&self, config: &mut Config, pool: &mut PoolingAllocationConfig) {
                config.wasm_features(self.proposals, true);
                config.wasm_features(self.proposals.complement(), false);
                $(config.$name(self.$name.clone());)*
                $(pool.$pool_name(self.$pool_name);)*
            }

            /// One setting a line.
            fn spell(&self) -> String {
                let proposals = WasmFeatures::all().iter_names();
                let proposals = proposals.map(|(name, flag)| format!("proposal {name} = {}\n", self.proposals.contains(flag)));
                let mut text: String = proposals.collect();
                $(writeln!(text, concat!(stringify!($name), " = {:?}"), self.$name).expect("a string takes text");)*
                $(writeln!(text, concat!(stringify!($pool_name), " = {:?}"), self.$pool_name).expect("a string takes text");)*
                text
            }
        }
    };
}

semantics! {
    config {
        // Results must not show which CPU computed them.
        cranelift_nan_canonicalization: bool = true,
        // Fuel is the only budget; no clock decides a result.
        consume_fuel: bool = true,
        operator_cost: OperatorCost = OperatorCost::new(),
        epoch_interruption: bool = false,
        // How deep a guest recurses follows from the size of the stack and from the code that is generated.
        max_wasm_stack: usize = 512 << 10,
        strategy: Strategy = Strategy::Cranelift,
        cranelift_opt_level: OptLevel = OptLevel::Speed,
        cranelift_regalloc_algorithm: RegallocAlgorithm = RegallocAlgorithm::Backtracking,
        compiler_inlining: Inlining = Inlining::No,
        signals_based_traps: bool = true,
        memory_reservation: u64 = 4 << 30,
        memory_guard_size: u64 = 32 << 20,
        // Whether it costs fuel to fill the memories and tables of an instance.
        memory_init_cow: bool = true,
        table_lazy_init: bool = true,
        concurrency_support: bool = false,
    }
    pool {
        max_core_instances_per_component: u32 = CORE_INSTANCES,
        max_memories_per_component: u32 = MEMORIES,
        max_tables_per_component: u32 = TABLES,
        max_memory_size: usize = MEMORY_BYTES,
        table_elements: usize = TABLE_ELEMENTS,
    }
}

impl Semantics {
    /// The configuration that every engine of this process is started with.
    fn config(&self) -> Config {
        let (mut config, mut pool) = (Config::new(), PoolingAllocationConfig::new());
        self.apply(&mut config, &mut pool);
        apply_mechanics(&mut config, &mut pool);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        config
    }

    /// All that could make two engines disagree, one setting a line.
    fn description(&self) -> String {
        format!("wasmtime = {WASMTIME_VERSION}\n{}rules = {RULES}\n", self.spell())
    }

    fn fingerprint(&self) -> EngineFingerprint {
        EngineFingerprint::of(Canonical::new().text(&self.description()).as_bytes())
    }
}

/// Settings that cannot change a result: how fast it comes, how many come at once, and what a crash report shows.
fn apply_mechanics(config: &mut Config, pool: &mut PoolingAllocationConfig) {
    config.wasm_backtrace_max_frames(None);
    config.native_unwind_info(false);
    config.generate_address_map(false);
    config.parallel_compilation(true);
    // The memories of a pool stay where they are in any case, and shared ones need threads.
    config.memory_may_move(false).shared_memory(false);
    config.wasm_branch_hinting(false);
    pool.total_component_instances(INSTANCES)
        .total_core_instances(INSTANCES * 4)
        .total_memories(INSTANCES)
        .total_tables(INSTANCES * 2)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(TABLE_ELEMENTS * size_of::<usize>())
        .pagemap_scan(Enabled::No);
}

/// The one wasmtime engine of a process, and the fingerprint of all that could make it disagree with another.
#[derive(Clone)]
pub struct Engine {
    inner: wasmtime::Engine,
    fingerprint: EngineFingerprint,
    description: Arc<str>,
    /// Every component is compiled once.
    compiled: Arc<Mutex<BTreeMap<ComponentHash, Component>>>,
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
        let inner = wasmtime::Engine::new(&SEMANTICS.config()).map_err(EngineError::Start)?;
        let (fingerprint, description) = (SEMANTICS.fingerprint(), SEMANTICS.description());
        Ok(Self { inner, fingerprint, description: description.into(), compiled: Arc::default() })
    }

    /// The fingerprint: it changes whenever two builds of this host could disagree about a result.
    pub fn fingerprint(&self) -> EngineFingerprint {
        self.fingerprint
    }

    /// What the fingerprint covers, one setting a line.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Validates and compiles a component, or says why it is refused.
    pub fn load(&self, bytes: &[u8]) -> Result<Component, EngineError> {
        let hash = ComponentHash::of(bytes);
        if let Some(component) = self.compiled(hash) {
            return Ok(component);
        }
        let component = Component::load(&self.inner, bytes)?;
        self.lock_compiled().insert(hash, component.clone());
        Ok(component)
    }

    /// The component of this hash, if it was loaded before.
    pub fn compiled(&self, hash: ComponentHash) -> Option<Component> {
        self.lock_compiled().get(&hash).cloned()
    }

    fn lock_compiled(&self) -> MutexGuard<'_, BTreeMap<ComponentHash, Component>> {
        self.compiled.lock().expect("no thread panics while it holds the components")
    }
}

#[cfg(test)]
mod tests;
