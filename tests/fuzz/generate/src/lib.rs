//! Components with code that is valid and means nothing, by wasm-smith.

#[path = "../../../end_to_end/hostile/components.rs"]
#[expect(dead_code, reason = "the end-to-end tests use the rest")]
mod components;

use arbitrary::Unstructured;
use oast_core::DataType;
use wasm_smith::{Component, Config, Module};

use components::{Guest, apply_each};

/// The one export that a generated module must have: a function from a value to a value.
const EXPORTS: &str = r#"(module (func (export "body") (param i64) (result i64) unreachable))"#;

/// A component of any kind, which is no plugin.
pub fn component(choices: &mut Unstructured<'_>) -> Option<Vec<u8>> {
    Component::new(config(None), choices).ok().map(|component| component.to_bytes())
}

/// A transform that hands each value to a generated function, and answers with what that returns.
pub fn transform(choices: &mut Unstructured<'_>) -> Option<Vec<u8>> {
    let exports = wat::parse_str(EXPORTS).expect("a module as text");
    let module = Module::new(config(Some(exports)), choices).ok()?;
    let text = wasmprinter::print_bytes(module.to_bytes()).expect("a generated module is valid");
    let import = r#"(import "generated" "body" (func $body (param i64) (result i64)))"#;
    let each = apply_each("", "(call $body (i64.load (local.get $value)))");
    let guest = Guest::new(&[DataType::Int64], &format!("{import} {each}"));
    wat::parse_str(with_module(&guest.text(), &text)).ok()
}

/// A module whose functions end before long, and which exports all that can be looked at afterwards.
pub fn module(choices: &mut Unstructured<'_>) -> Option<Vec<u8>> {
    let mut module = Module::new(Config { export_everything: true, min_funcs: 1, ..config(None) }, choices).ok()?;
    module.ensure_termination(1000).ok()?;
    Some(module.to_bytes())
}

/// What our engine takes, and nothing that it refuses unseen.
fn config(exports: Option<Vec<u8>>) -> Config {
    Config {
        exports,
        max_imports: 0,
        min_imports: 0,
        max_memories: 1,
        max_memory32_bytes: 1 << 20,
        max_tables: 4,
        max_table_elements: 1000,
        bulk_memory_enabled: true,
        reference_types_enabled: false,
        simd_enabled: true,
        relaxed_simd_enabled: false,
        memory64_enabled: false,
        multi_value_enabled: true,
        exceptions_enabled: false,
        gc_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        shared_everything_threads_enabled: false,
        custom_page_sizes_enabled: false,
        wide_arithmetic_enabled: false,
        extended_const_enabled: true,
        ..Config::default()
    }
}

/// The text of a guest with a further core module in it, from which `apply` imports under the name `generated`.
fn with_module(guest: &str, module: &str) -> String {
    let code = "(core module $code (import";
    let (before, after) = guest.split_once(code).expect("the code of `apply` imports something");
    let module = module.replacen("(module", "(core module $generated", 1);
    let with = r#"(core instance $code (instantiate $code (with "generated" (instance $generated))))"#;
    let after = after.replacen("(core instance $code (instantiate $code))", with, 1);
    format!("{before}{module} (core instance $generated (instantiate $generated)) {code}{after}")
}
