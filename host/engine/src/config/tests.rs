//! Each setting that can change a result, and a guest that shows it: what the guest does under our settings, and what it does
//! when that one setting is another.

use std::collections::BTreeSet;

use wasmtime::{Instance, Module, Store, component::Component};

use super::*;
use crate::Engine;

const FUEL: u64 = 1 << 30;

#[test]
fn the_named_version_is_the_locked_one() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).expect("a lock file");
    assert!(lock.contains(&format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"\n")));
}

#[test]
fn the_stack_is_what_limits_say() {
    assert_eq!(SEMANTICS.max_wasm_stack, oast_core::Limits::default().stack_bytes as usize);
}

/// How a guest ends under some settings: what its function `run` returned or how it died, and what it spent; or why it does
/// not run at all.
fn ended(semantics: &Semantics, guest: &str) -> String {
    run(semantics, guest).unwrap_or_else(|error| format!("refused: {}", error.root_cause()))
}

fn run(semantics: &Semantics, guest: &str) -> wasmtime::Result<String> {
    let engine = wasmtime::Engine::new(&semantics.config())?;
    let bytes = wat::parse_str(guest).expect("a guest as text");
    let bytes = semantics.rewrite(&bytes)?;
    if bytes.starts_with(b"\0asm\x0d") {
        let component = Component::from_binary(&engine, &bytes)?;
        let mut store = store(&engine)?;
        wasmtime::component::Linker::new(&engine).instantiate(&mut store, &component)?;
        return Ok("instantiated".to_owned());
    }
    let module = Module::from_binary(&engine, &bytes)?;
    let mut store = store(&engine)?;
    let instance = Instance::new(&mut store, &module, &[])?;
    let Ok(function) = instance.get_typed_func::<(), i64>(&mut store, "run") else {
        return Ok("instantiated".to_owned());
    };
    let returned = match function.call(&mut store, ()) {
        Ok(value) => format!("returned {value:#x}"),
        Err(error) => format!("died: {}", error.root_cause()),
    };
    let depth = instance.get_global(&mut store, "depth").and_then(|depth| depth.get(&mut store).i32());
    let depth = depth.map(|depth| format!(" at depth {depth}")).unwrap_or_default();
    Ok(format!("{returned}{depth}, fuel {}", FUEL - store.get_fuel()?))
}

fn store(engine: &wasmtime::Engine) -> wasmtime::Result<Store<()>> {
    let mut store = Store::new(engine, ());
    store.set_fuel(FUEL)?;
    Ok(store)
}

/// The guest ends so under our settings, and so under the others.
fn check(other: &Semantics, guest: &str, ours: &str, theirs: &str) {
    assert_eq!((ended(&SEMANTICS, guest).as_str(), ended(other, guest).as_str()), (ours, theirs), "{guest}");
}

/// What a guest meets when one proposal is set the other way.
enum Proposal {
    /// It is on, and the guest is refused without it.
    On(&'static str),
    /// It is off, and the guest is taken with it.
    Off(&'static str),
    /// It is off, and the guest is refused with it as well: this build of wasmtime has no garbage collector, no concurrency
    /// and no support for what this is about. The line keeps it off in a build that has.
    Missing(&'static str),
    /// It is off, the text format has no words for it, and wasmtime starts no engine with it.
    Unspoken,
}

use Proposal::{Missing, Off, On, Unspoken};

const PROPOSAL_GUESTS: [(WasmFeatures, Proposal); 40] = [
    (WasmFeatures::MUTABLE_GLOBAL, On(r#"(module (global (export "counter") (mut i32) (i32.const 0)))"#)),
    (WasmFeatures::SATURATING_FLOAT_TO_INT, On("(module (func (drop (i32.trunc_sat_f32_s (f32.const 1)))))")),
    (WasmFeatures::SIGN_EXTENSION, On("(module (func (drop (i32.extend8_s (i32.const 1)))))")),
    (WasmFeatures::REFERENCE_TYPES, On("(module (func (drop (ref.null func))))")),
    (WasmFeatures::MULTI_VALUE, On("(module (func (result i32 i32) (i32.const 1) (i32.const 2)))")),
    (
        WasmFeatures::BULK_MEMORY,
        On("(module (memory 1) (func (memory.copy (i32.const 0) (i32.const 1) (i32.const 2))))"),
    ),
    (WasmFeatures::SIMD, On("(module (func (drop (v128.const i64x2 1 2))))")),
    (WasmFeatures::FLOATS, On("(module (func (drop (f64.const 1))))")),
    (WasmFeatures::EXTENDED_CONST, On("(module (global i32 (i32.add (i32.const 1) (i32.const 2))))")),
    (WasmFeatures::COMPONENT_MODEL, On("(component)")),
    (
        WasmFeatures::RELAXED_SIMD,
        Off("(module (func (param v128) (drop (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))))"),
    ),
    (WasmFeatures::THREADS, Off("(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))")),
    (
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        Missing("(module (global $g (mut i32) (i32.const 0)) (func (drop (global.atomic.get seqcst $g))))"),
    ),
    (WasmFeatures::TAIL_CALL, Off("(module (func $f (return_call $f)))")),
    (WasmFeatures::MEMORY64, Off("(module (memory i64 1))")),
    (WasmFeatures::FUNCTION_REFERENCES, Off("(module (type $f (func)) (func (param (ref $f))))")),
    (WasmFeatures::CUSTOM_PAGE_SIZES, Off("(module (memory 1 (pagesize 1)))")),
    (
        WasmFeatures::WIDE_ARITHMETIC,
        Off("(module (func (result i64 i64) (i64.mul_wide_u (i64.const 1) (i64.const 2))))"),
    ),
    (WasmFeatures::CM_FIXED_LENGTH_LISTS, Off("(component (type (list u8 4)))")),
    (WasmFeatures::CM_MAP, Off("(component (type (map string u32)))")),
    (WasmFeatures::CM_IMPLEMENTS, Off(r#"(component (component (import "a" (implements "b:c/d") (instance))))"#)),
    (
        WasmFeatures::CM_GC,
        Off(r#"(component (core module $m (func (export "f"))) (core instance $m (instantiate $m))
                (func (export "f") (canon lift (core func $m "f") gc)))"#),
    ),
    (WasmFeatures::EXCEPTIONS, Missing("(module (tag (param i32)))")),
    (WasmFeatures::LEGACY_EXCEPTIONS, Unspoken),
    (WasmFeatures::GC, Missing("(module (type (struct (field i32))))")),
    (WasmFeatures::GC_TYPES, Missing("(module (func (param externref)))")),
    (WasmFeatures::STACK_SWITCHING, Missing("(module (type $f (func)) (type (cont $f)))")),
    (WasmFeatures::MEMORY_CONTROL, Missing("(module (memory 1) (func (memory.discard (i32.const 0) (i32.const 0))))")),
    (
        WasmFeatures::CUSTOM_DESCRIPTORS,
        Missing("(module (rec (type $a (descriptor $b) (struct)) (type $b (describes $a) (struct))))"),
    ),
    (WasmFeatures::COMPACT_IMPORTS, Missing(r#"(module (import "a" (item "b" (func)) (item "c" (func))))"#)),
    (WasmFeatures::CM_VALUES, Missing(r#"(component (import "x" (value string)))"#)),
    (WasmFeatures::CM_NESTED_NAMES, Missing(r#"(component (component (import "a:b:c/d" (func))))"#)),
    (WasmFeatures::CM_ASYNC, Missing("(component (type (stream u8)))")),
    (
        WasmFeatures::CM_ASYNC_STACKFUL,
        Missing(
            r#"(component (core module $m (func (export "f"))) (core instance $m (instantiate $m))
                (func (export "f") async (canon lift (core func $m "f") async)))"#,
        ),
    ),
    (WasmFeatures::CM_MORE_ASYNC_BUILTINS, Missing("(component (core func (canon subtask.cancel async)))")),
    (WasmFeatures::CM_THREADING, Missing("(component (core func (canon thread.index)))")),
    (WasmFeatures::CM_ERROR_CONTEXT, Missing("(component (type error-context))")),
    (
        WasmFeatures::CM64,
        Missing(
            r#"(component (core module $m (memory (export "m") i64 1) (func (export "f")))
                (core instance $m (instantiate $m))
                (func (export "f") (canon lift (core func $m "f") (memory (core memory $m "m")))))"#,
        ),
    ),
    (WasmFeatures::CM_CANON_NAMES, Unspoken),
    (WasmFeatures::MULTI_MEMORY, On(COMPOSED)),
];

/// One part hands a text to another, each with a memory of its own.
const COMPOSED: &str = r#"(component
    (component $callee
        (core module $code
            (memory (export "memory") 1)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 16))
            (func (export "take") (param i32 i32)))
        (core instance $code (instantiate $code))
        (func (export "take") (param "text" string)
            (canon lift (core func $code "take") (memory (core memory $code "memory"))
                (realloc (core func $code "realloc")))))
    (component $caller
        (import "take" (func $take (param "text" string)))
        (core module $memory (memory (export "memory") 1))
        (core instance $memory (instantiate $memory))
        (core func $take (canon lower (func $take) (memory (core memory $memory "memory"))))
        (core module $code
            (import "callee" "take" (func $take (param i32 i32)))
            (func (export "run") (call $take (i32.const 0) (i32.const 4))))
        (core instance $code (instantiate $code (with "callee" (instance (export "take" (func $take))))))
        (func (export "run") (canon lift (core func $code "run"))))
    (instance $callee (instantiate $callee))
    (instance $caller (instantiate $caller (with "take" (func $callee "take"))))
    (export "run" (func $caller "run")))"#;

fn with_proposals(proposals: WasmFeatures) -> Semantics {
    Semantics { proposals, ..SEMANTICS }
}

#[test]
fn every_proposal_is_set_and_shows() {
    let named: BTreeSet<_> =
        PROPOSAL_GUESTS.iter().flat_map(|(flag, _)| flag.iter_names().map(|(name, _)| name)).collect();
    let known: BTreeSet<_> = WasmFeatures::all().iter_names().map(|(name, _)| name).collect();
    assert_eq!(named, known, "each proposal that the parser knows has its guest");
    for (flag, proposal) in &PROPOSAL_GUESTS {
        // Wasmtime panics without multi-memory, which has its own test.
        if *flag != WasmFeatures::MULTI_MEMORY {
            check_proposal(&with_proposals(PROPOSALS.symmetric_difference(*flag)), proposal);
        }
    }
}

fn check_proposal(other: &Semantics, proposal: &Proposal) {
    let refused = |semantics: &Semantics, guest| ended(semantics, guest).starts_with("refused: ");
    match proposal {
        On(guest) => {
            assert_eq!(ended(&SEMANTICS, guest), "instantiated");
            assert!(refused(other, guest), "{guest}");
        }
        Off(guest) => {
            assert!(refused(&SEMANTICS, guest), "{guest}");
            assert_eq!(ended(other, guest), "instantiated");
        }
        Missing(guest) => assert!(refused(&SEMANTICS, guest) && refused(other, guest), "{guest}"),
        Unspoken => {
            let error = ended(other, "(module)");
            assert!(error.contains("is not supported on this compiler configuration"), "{error}");
        }
    }
}

/// A component used to end the process that loaded it: wasmtime joins two memories by a module that has both, and expects it to
/// be valid. If wasmtime no longer panics here, multi-memory can be turned off.
#[test]
fn the_parts_of_a_component_may_hand_texts_to_each_other() {
    assert_eq!(ended(&SEMANTICS, COMPOSED), "instantiated");
    let without = with_proposals(PROPOSALS.difference(WasmFeatures::MULTI_MEMORY));
    assert!(std::panic::catch_unwind(|| ended(&without, COMPOSED)).is_err());
}

/// Every setting but the proposals, each with one other value.
fn others() -> Vec<(&'static str, Semantics)> {
    let mut costs = OperatorCost::new();
    costs.I64Add = 2;
    vec![
        ("canonical_nans", Semantics { canonical_nans: false, ..SEMANTICS }),
        ("consume_fuel", Semantics { consume_fuel: false, ..SEMANTICS }),
        ("operator_cost", Semantics { operator_cost: costs, ..SEMANTICS }),
        ("epoch_interruption", Semantics { epoch_interruption: true, ..SEMANTICS }),
        ("max_wasm_stack", Semantics { max_wasm_stack: 256 << 10, ..SEMANTICS }),
        ("strategy", Semantics { strategy: Strategy::Winch, ..SEMANTICS }),
        ("cranelift_opt_level", Semantics { cranelift_opt_level: OptLevel::None, ..SEMANTICS }),
        (
            "cranelift_regalloc_algorithm",
            Semantics { cranelift_regalloc_algorithm: RegallocAlgorithm::SinglePass, ..SEMANTICS },
        ),
        ("compiler_inlining", Semantics { compiler_inlining: Inlining::Yes, ..SEMANTICS }),
        ("signals_based_traps", Semantics { signals_based_traps: false, ..SEMANTICS }),
        ("memory_reservation", Semantics { memory_reservation: 64 << 20, ..SEMANTICS }),
        ("memory_guard_size", Semantics { memory_guard_size: 0, ..SEMANTICS }),
        ("memory_init_cow", Semantics { memory_init_cow: false, ..SEMANTICS }),
        ("memory_guaranteed_dense_image_size", Semantics { memory_guaranteed_dense_image_size: 16 << 20, ..SEMANTICS }),
        ("table_lazy_init", Semantics { table_lazy_init: false, ..SEMANTICS }),
        ("concurrency_support", Semantics { concurrency_support: true, ..SEMANTICS }),
        (
            "max_core_instances_per_component",
            Semantics { max_core_instances_per_component: CORE_INSTANCES + 1, ..SEMANTICS },
        ),
        ("max_memories_per_component", Semantics { max_memories_per_component: MEMORIES + 1, ..SEMANTICS }),
        ("max_tables_per_component", Semantics { max_tables_per_component: TABLES + 1, ..SEMANTICS }),
        ("max_memory_size", Semantics { max_memory_size: MEMORY_BYTES + (64 << 10), ..SEMANTICS }),
        ("table_elements", Semantics { table_elements: TABLE_ELEMENTS + 1, ..SEMANTICS }),
    ]
}

fn other(name: &str) -> Semantics {
    let found = others().into_iter().find(|(each, _)| *each == name);
    found.unwrap_or_else(|| panic!("no other value of {name}")).1
}

/// Two engines that differ in one setting have two fingerprints, and no setting is left out of this.
#[test]
fn each_setting_changes_the_fingerprint() {
    let flags = WasmFeatures::all().iter_names();
    let proposals = flags.map(|(_, flag)| with_proposals(PROPOSALS.symmetric_difference(flag)));
    let others: Vec<_> = proposals.chain(others().into_iter().map(|(_, other)| other)).collect();
    let fingerprints: BTreeSet<_> = others.iter().map(|other| other.fingerprint().to_string()).collect();
    assert_eq!(fingerprints.len(), others.len(), "each setting gives another fingerprint");
    assert!(!fingerprints.contains(&SEMANTICS.fingerprint().to_string()));

    let ours = SEMANTICS.description();
    let changed = |line: &&str| others.iter().any(|other| !other.description().lines().any(|each| each == *line));
    let unchanged: Vec<_> = ours.lines().filter(|line| !changed(line)).collect();
    let names: Vec<_> = unchanged.iter().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    assert_eq!(names, ["wasmtime", "packages", "rules"], "{unchanged:?}");
}

#[test]
fn the_fingerprint_is_of_the_settings_that_the_engine_has() {
    let engine = Engine::shared().expect("an engine");
    assert_eq!((engine.fingerprint(), engine.description()), (SEMANTICS.fingerprint(), &*SEMANTICS.description()));
}

/// A NaN shows its payload, which depends on the operands that the code generator put first and on the CPU. To make one canonical
/// costs fuel.
#[test]
fn a_nan_has_no_payload() {
    check(
        &other("canonical_nans"),
        r#"(module (func (export "run") (result i64)
            (i64.reinterpret_f64 (f64.add (f64.const nan:0x8000000000123) (f64.const 1)))))"#,
        "returned 0x7ff8000000000000, fuel 11",
        "returned 0x7ff8000000000123, fuel 5",
    );
}

#[test]
fn a_loop_ends_with_its_fuel() {
    check(
        &other("consume_fuel"),
        r#"(module (func (export "run") (result i64) (loop $ever (br $ever)) (i64.const 0)))"#,
        "died: wasm trap: all fuel consumed by WebAssembly, fuel 1073741824",
        "refused: fuel is not configured in this store",
    );
}

#[test]
fn an_operator_costs_what_it_costs() {
    check(
        &other("operator_cost"),
        r#"(module (func (export "run") (result i64) (i64.add (i64.const 1) (i64.const 2))))"#,
        "returned 0x3, fuel 4",
        "returned 0x3, fuel 5",
    );
}

#[test]
fn no_clock_ends_a_guest() {
    check(
        &other("epoch_interruption"),
        r#"(module (func (export "run") (result i64) (i64.const 1)))"#,
        "returned 0x1, fuel 2",
        "died: wasm trap: interrupt, fuel 0",
    );
}

/// What is compiled in is all that there is, so that the other value starts no engine.
#[test]
fn other_compilers_and_concurrency_are_not_there() {
    let guest = r#"(module (func (export "run") (result i64) (i64.const 1)))"#;
    check(&other("strategy"), guest, "returned 0x1, fuel 2", "refused: winch support not compiled in");
    check(
        &other("concurrency_support"),
        guest,
        "returned 0x1, fuel 2",
        "refused: concurrency support was requested but was not compiled into this build of Wasmtime",
    );
}

/// A guest whose function `$deep` calls itself, after and before some work that takes room on the stack.
fn deep(before: &str, after: &str) -> String {
    format!(
        r#"(module (memory 1)
            (global $depth (export "depth") (mut i32) (i32.const 0))
            (func $add (param i32) (result i32) (i32.add (local.get 0) (i32.const 3)))
            (func $deep (param i32 i32) (result i32)
                (global.set $depth (i32.add (global.get $depth) (i32.const 1)))
                {before}
                (drop (call $deep (local.get 0) (local.get 1)))
                {after})
            (func (export "run") (result i64) (drop (call $deep (i32.const 0) (i32.const 0))) (i64.const 0)))"#
    )
}

/// How deep a guest gets before its stack ends follows from the size of its frames, and those from the generated code.
#[test]
fn a_guest_recurses_as_deep_as_ever() {
    let plain = deep("", "(i32.const 0)");
    // So many that the checks of their addresses need room on the stack, where there are checks. Frames must differ by whole words:
    // where the stack begins depends on the host's own code, and with it the last few of so many calls.
    let load = |at: i32| format!("(i32.load offset={} (local.get {}))", at * 4, at % 2);
    let sum = (1..8).fold(load(0), |sum, at| format!("(i32.add {sum} {})", load(at)));
    let loads = deep("", &sum);
    let stores = deep("(i32.store offset=8 (local.get 0) (local.get 1))", "(i32.load offset=8 (local.get 0))");
    let product = "(i32.mul (i32.mul (local.get 0) (local.get 1)) (i32.add (local.get 0) (local.get 1)))";
    let repeated = deep(&format!("(i32.store (i32.const 0) {product})"), product);
    let calls = deep("(drop (call $add (local.get 0)))", "(call $add (local.get 1))");
    let guests = [plain, loads, stores, repeated, calls];
    for guest in &guests {
        assert!(ended(&SEMANTICS, guest).starts_with("died: wasm trap: call stack exhausted at depth"), "{guest}");
    }
    for name in [
        "max_wasm_stack",
        "cranelift_opt_level",
        "cranelift_regalloc_algorithm",
        "compiler_inlining",
        "signals_based_traps",
        "memory_reservation",
        "memory_guard_size",
    ] {
        let depths = |semantics: &Semantics| guests.iter().map(|guest| ended(semantics, guest)).collect::<Vec<_>>();
        assert_ne!(depths(&SEMANTICS), depths(&other(name)), "{name}");
    }
}

/// The data and the elements of a guest cost fuel or not, depending on who copies them.
#[test]
fn an_instance_costs_what_it_costs() {
    let run = r#"(func $run (export "run") (result i64) (i64.const 1))"#;
    let data = format!(r#"(module (memory 1) (data (i32.const 0) "{}") {run})"#, "x".repeat(100));
    check(&other("memory_init_cow"), &data, "returned 0x1, fuel 2", "returned 0x1, fuel 104");
    let sparse = format!(r#"(module (memory 1024) (data (i32.const 0) "ab") (data (i32.const 60000000) "cd") {run})"#);
    check(&other("memory_guaranteed_dense_image_size"), &sparse, "returned 0x1, fuel 2", "returned 0x1, fuel 9");
    let elements = format!("(module (table 9 funcref) (elem (i32.const 0) $run $run $run) {run})");
    check(&other("table_lazy_init"), &elements, "returned 0x1, fuel 2", "returned 0x1, fuel 3");
}

/// One more than the limit is refused, or denied, and granted under a limit that is one higher.
#[test]
fn a_component_has_only_so_much() {
    let component = |item: &str, count: u32| {
        let module = format!("(core module $m {item})");
        let instances: String = (0..count).map(|_| "(core instance (instantiate $m))").collect();
        format!("(component {module} {instances})")
    };
    for (name, item, limit) in [
        ("max_core_instances_per_component", "", CORE_INSTANCES),
        ("max_memories_per_component", "(memory 1)", MEMORIES),
        ("max_tables_per_component", "(table 1 funcref)", TABLES),
    ] {
        assert_eq!(ended(&SEMANTICS, &component(item, limit)), "instantiated", "{name}");
        let more = component(item, limit + 1);
        assert!(ended(&SEMANTICS, &more).starts_with("refused: "), "{name}");
        assert_eq!(ended(&other(name), &more), "instantiated", "{name}");
    }
}

#[test]
fn memory_and_tables_grow_to_their_limits() {
    let pages = MEMORY_BYTES >> 16;
    let memory = format!(
        r#"(module (memory {pages}) (func (export "run") (result i64) (i64.extend_i32_s (memory.grow (i32.const 1)))))"#
    );
    check(
        &other("max_memory_size"),
        &memory,
        "returned 0xffffffffffffffff, fuel 4",
        &format!("returned {pages:#x}, fuel 4"),
    );
    let table = format!(
        r#"(module (table {TABLE_ELEMENTS} funcref)
            (func (export "run") (result i64) (i64.extend_i32_s (table.grow (ref.null func) (i32.const 1)))))"#
    );
    check(
        &other("table_elements"),
        &table,
        "returned 0xffffffffffffffff, fuel 6",
        &format!("returned {TABLE_ELEMENTS:#x}, fuel 6"),
    );
}
