use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard},
};

use oast_core::{Canonical, ComponentHash, EngineFingerprint, Limits};
use wasmtime::{Config, Enabled, OptLevel, Strategy};
use wasmtime::{InstanceAllocationStrategy, OperatorCost, PoolingAllocationConfig};

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

/// Sets wasmtime options and spells them out for the fingerprint from one list, so that neither can miss one.
macro_rules! semantic_settings {
    ($($name:ident($value:expr)),* $(,)?) => {
        fn apply_semantics(config: &mut Config) {
            $(config.$name($value);)*
        }

        fn spell_semantics() -> String {
            let mut text = String::new();
            $(writeln!(text, concat!(stringify!($name), " = {:?}"), $value).expect("a string takes text");)*
            text
        }
    };
}

semantic_settings! {
    // Results must not show which CPU computed them.
    cranelift_nan_canonicalization(true),
    wasm_simd(true),
    wasm_relaxed_simd(false),
    relaxed_simd_deterministic(true),
    // The WebAssembly that components may be made of.
    wasm_bulk_memory(true),
    wasm_multi_value(true),
    wasm_extended_const(true),
    wasm_tail_call(false),
    wasm_custom_page_sizes(false),
    wasm_shared_everything_threads(false),
    wasm_wide_arithmetic(false),
    wasm_memory64(false),
    wasm_multi_memory(false),
    wasm_component_model(true),
    shared_memory(false),
    gc_support(false),
    // Fuel is the only budget; no clock decides a result.
    consume_fuel(true),
    operator_cost(OperatorCost::default()),
    epoch_interruption(false),
    // Stack and memory are the same on every machine.
    strategy(Strategy::Cranelift),
    cranelift_opt_level(OptLevel::Speed),
    max_wasm_stack(Limits::default().stack_bytes as usize),
    memory_may_move(false),
    memory_init_cow(true),
    table_lazy_init(true),
}

/// Settings that cannot change a result: how fast it comes, and what a crash report shows.
fn apply_mechanics(config: &mut Config) {
    config.concurrency_support(false);
    config.wasm_backtrace_max_frames(None);
    config.native_unwind_info(false);
    config.generate_address_map(false);
    config.memory_reservation(4 << 30);
    config.memory_guard_size(32 << 20);
    config.parallel_compilation(true);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES)
        .total_core_instances(INSTANCES * 4)
        .total_memories(INSTANCES)
        .total_tables(INSTANCES * 2)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memory_size(MEMORY_BYTES)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(TABLE_ELEMENTS * size_of::<usize>())
        .pagemap_scan(Enabled::No);
    pool
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
        let mut config = Config::new();
        apply_semantics(&mut config);
        apply_mechanics(&mut config);
        let inner = wasmtime::Engine::new(&config).map_err(EngineError::Start)?;
        let description = format!("wasmtime = {WASMTIME_VERSION}\n{}rules = {RULES}\n", spell_semantics());
        let fingerprint = EngineFingerprint::of(Canonical::new().text(&description).as_bytes());
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
mod tests {
    use super::*;

    #[test]
    fn the_named_version_is_the_locked_one() {
        let lock =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).expect("a lock file");
        assert!(lock.contains(&format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"\n")));
    }

    #[test]
    fn the_fingerprint_names_every_setting() {
        let engine = Engine::shared().expect("an engine");
        for line in ["cranelift_nan_canonicalization = true", "wasm_relaxed_simd = false", "memory_init_cow = true"] {
            assert!(engine.description().lines().any(|each| each == line), "{line}");
        }
    }
}
