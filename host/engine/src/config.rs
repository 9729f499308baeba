//! The one wasmtime configuration, and the fingerprint of all that could make it disagree with another.

use std::{borrow::Cow, fmt::Write};

use oast_core::{Canonical, EngineFingerprint};
use wasmtime::{
    Config, Enabled, Inlining, InstanceAllocationStrategy, OperatorCost, OptLevel, PoolingAllocationConfig,
    RegallocAlgorithm, Strategy, WasmFeatures,
};

use crate::{Package, nan};

/// The exact version that Cargo.toml pins; a test compares it with Cargo.lock.
const WASMTIME_VERSION: &str = "48.0.8";

/// The rules of this crate, beyond wasmtime, that decide results. Raised when one of them changes.
const RULES: &str = "NaN canonical where its bits are seen, rule v1, and on both sides; nulls cleared; batches accepted within \
                     one row's budget, runs of rows into one state within an eighth of it and within bytes that leave room \
                     for the states between them; tiles merged by fours; encoding v1";

/// How many instances may be alive at once: those prepared ahead, those that last, and one for each thread that runs a plugin.
const INSTANCES: u32 = READY_INSTANCES + LASTING_INSTANCES + 128;

/// How many of them may be prepared ahead.
pub(crate) const READY_INSTANCES: u32 = 64;

/// How many of them may take several calls.
pub(crate) const LASTING_INSTANCES: u32 = 64;

/// The most a component may ask for, whatever its limits say (fits Rust, Python and JavaScript guests).
const CORE_INSTANCES: u32 = 40;
pub(crate) const MEMORIES: u32 = 4;
pub(crate) const TABLES: u32 = 8;
pub(crate) const TABLE_ELEMENTS: usize = 20_000;
pub(crate) const MEMORY_BYTES: usize = 64 << 20;

/// Memory that stays mapped in a slot between invocations, so that a guest's memory costs no page faults. All of it that the
/// guest could write is cleared.
const KEEP_RESIDENT: usize = 4 << 20;

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
        pub(crate) struct Semantics {
            pub(crate) proposals: WasmFeatures,
            /// Results must not show which CPU computed them: components are rewritten so that no NaN does (`nan.rs`).
            pub(crate) canonical_nans: bool,
            $(pub(crate) $name: $type,)*
            $(pub(crate) $pool_name: $pool_type,)*
        }

        /// What every result is computed under.
        pub(crate) const SEMANTICS: Semantics = Semantics {
            proposals: PROPOSALS,
            canonical_nans: true,
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
                writeln!(text, "canonical_nans = {}", self.canonical_nans).expect("a string takes text");
                $(writeln!(text, concat!(stringify!($name), " = {:?}"), self.$name).expect("a string takes text");)*
                $(writeln!(text, concat!(stringify!($pool_name), " = {:?}"), self.$pool_name).expect("a string takes text");)*
                text
            }
        }
    };
}

semantics! {
    config {
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
        // Whether it costs fuel to fill the memories and tables of an instance. An interpreter's snapshot is larger than what is
        // mapped by default, and copying it would also cost milliseconds an instance.
        memory_init_cow: bool = true,
        memory_guaranteed_dense_image_size: u64 = MEMORY_BYTES as u64,
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
    pub(crate) fn config(&self) -> Config {
        let (mut config, pool) = self.with_pool();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        config
    }

    /// The same for a process that only compiles, and needs no room for instances: compiled code does not depend on where
    /// instances are kept.
    pub(crate) fn compiling_config(&self) -> Config {
        self.with_pool().0
    }

    fn with_pool(&self) -> (Config, PoolingAllocationConfig) {
        let (mut config, mut pool) = (Config::new(), PoolingAllocationConfig::new());
        self.apply(&mut config, &mut pool);
        apply_mechanics(&mut config, &mut pool);
        (config, pool)
    }

    /// Compiles a component to an artefact, or says what it is refused for.
    pub(crate) fn compile(&self, engine: &wasmtime::Engine, component: &[u8]) -> wasmtime::Result<Vec<u8>> {
        engine.precompile_component(&self.rewrite(component)?)
    }

    /// What is compiled in place of a component.
    pub(crate) fn rewrite<'c>(&self, component: &'c [u8]) -> wasmtime::Result<Cow<'c, [u8]>> {
        if !self.canonical_nans {
            return Ok(component.into());
        }
        Ok(nan::rewrite(component, self.proposals)?.into())
    }

    /// All that could make two engines disagree, one setting a line.
    pub(crate) fn description(&self) -> String {
        let packages = Package::ALL.map(Package::name).join(", ");
        format!("wasmtime = {WASMTIME_VERSION}\n{}packages = {packages}\nrules = {RULES}\n", self.spell())
    }

    pub(crate) fn fingerprint(&self) -> EngineFingerprint {
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
        .total_core_instances(INSTANCES * CORE_INSTANCES)
        .total_memories(INSTANCES * MEMORIES)
        .total_tables(INSTANCES * TABLES)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(TABLE_ELEMENTS * size_of::<usize>())
        // The scan for written pages passes over those that are being moved or swapped out, and what one guest wrote there would
        // be read by the next.
        .pagemap_scan(Enabled::No);
}

#[cfg(test)]
mod tests;
