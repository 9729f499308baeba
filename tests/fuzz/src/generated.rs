use arbitrary::Unstructured;
use oast_core::DataType;
use wasm_smith::{Component, Config, Module};

use crate::{
    components::{Guest, apply_each},
    run::component_bytes,
};

/// The one export that a generated module must have: a function from a value to a value.
const EXPORTS: &str = r#"(module (func (export "body") (param i64) (result i64) unreachable))"#;

/// Code that is valid and means nothing: generated modules as the body of a transform, and generated components.
pub fn generated_code(bytes: &[u8]) {
    let mut choices = Unstructured::new(bytes);
    match choices.arbitrary() {
        Ok(true) => body(&mut choices).iter().for_each(|component| component_bytes(component)),
        Ok(false) => {
            if let Ok(component) = Component::new(config(None), &mut choices) {
                component_bytes(&component.to_bytes());
            }
        }
        Err(_) => {}
    }
}

/// A transform that hands each value to a generated function, and answers with what that returns.
fn body(choices: &mut Unstructured<'_>) -> Option<Vec<u8>> {
    let exports = wat::parse_str(EXPORTS).expect("a module as text");
    let module = Module::new(config(Some(exports)), choices).ok()?;
    let text = wasmprinter::print_bytes(module.to_bytes()).expect("a generated module is valid");
    let import = r#"(import "generated" "body" (func $body (param i64) (result i64)))"#;
    let each = apply_each("", "(call $body (i64.load (local.get $value)))");
    let guest = Guest::new(&[DataType::Int64], &format!("{import} {each}"));
    wat::parse_str(with_module(&guest.text(), &text)).ok()
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
        reference_types_enabled: true,
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
