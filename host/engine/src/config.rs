//! The one wasmtime configuration.

use std::fmt::Write;

use oast_core::Limits;
use wasmtime::{Config, Enabled, OptLevel, Strategy};
use wasmtime::{InstanceAllocationStrategy, OperatorCost, PoolingAllocationConfig};

/// The exact version that Cargo.toml pins; a test compares it with Cargo.lock.
pub(crate) const WASMTIME_VERSION: &str = "48.0.8";

/// How many instances may be alive at once: those prepared ahead, and one for each thread that runs a plugin.
const INSTANCES: u32 = READY_INSTANCES + 192;

/// How many of them may be prepared ahead.
pub(crate) const READY_INSTANCES: u32 = 64;

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
        pub(crate) fn apply_semantics(config: &mut Config) {
            $(config.$name($value);)*
        }

        pub(crate) fn spell_semantics() -> String {
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
pub(crate) fn apply_mechanics(config: &mut Config) {
    apply_code_mechanics(config);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
}

/// Those that shape compiled code; a process that only compiles needs no room for instances.
pub(crate) fn apply_code_mechanics(config: &mut Config) {
    config.concurrency_support(false);
    config.wasm_backtrace_max_frames(None);
    config.native_unwind_info(false);
    config.generate_address_map(false);
    config.memory_reservation(4 << 30);
    config.memory_guard_size(32 << 20);
    config.parallel_compilation(true);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Engine;

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
