use super::*;

fn check_refused(bytes: &[u8], expected: &str) {
    let error = measure(bytes).expect_err(expected);
    assert_eq!(error.to_string(), expected);
}

/// A component of one core module, or of several.
fn modules(modules: &[String]) -> Vec<u8> {
    let modules: String = modules.iter().map(|items| format!("(core module {items})")).collect();
    wat::parse_str(format!("(component {modules})")).expect("a component as text")
}

fn module(items: &str) -> Vec<u8> {
    modules(&[items.to_owned()])
}

#[test]
fn what_a_component_is_made_of_is_counted() {
    let bytes = wat::parse_str(
        r#"(component
            (core module $code
                (memory (export "memory") 2)
                (table 7 funcref)
                (global i32 (i32.const 0))
                (data (i32.const 0) "abc")
                (elem (i32.const 0) $run)
                (func $run (export "run") (local i32 i64 i64)))
            (core instance $one (instantiate $code))
            (component $pair (core instance (instantiate $code)) (core instance (instantiate $code)))
            (instance (instantiate $pair))
            (type (instance (type (list u8)) (export "list" (type (eq 0)))))
            (func (export "run") (canon lift (core func $one "run"))))"#,
    );
    let bytes = bytes.expect("a component as text");
    let expected = Measured {
        bytes: bytes.len() as u64,
        modules: 1,
        components: 1,
        instances: 4,
        functions: 1,
        code_bytes: 6,
        function_bytes_max: 6,
        locals_max: 3,
        memories: 1,
        memory_bytes: 2 << 16,
        tables: 1,
        table_elements: 7,
        globals: 1,
        segments: 2,
        data_bytes: 3,
        types: 0,
        names: 2,
        definitions: 0,
        custom_bytes: 0,
    };
    let found = measure(&bytes).expect("a small component");
    let expected =
        Measured { types: found.types, definitions: found.definitions, custom_bytes: found.custom_bytes, ..expected };
    assert_eq!(found, expected);
    // The type of `run`, as a core function and as a component's, and the instance type with its two declarations.
    // Two aliases of the module within the pair, one of its function, the function lifted, and its export.
    assert_eq!((found.types, found.definitions), (5, 5));
}

#[test]
fn too_much_of_anything_is_refused_by_name() {
    check_refused(&vec![0; (64 << 20) + 1], "the component needs 67108865 bytes, more than the limit of 67108864");
    check_refused(&modules(&vec![String::new(); 257]), "the component needs 257 modules, more than the limit of 256");
    check_refused(
        &module(&"(func)".repeat(250_001)),
        "the component needs 250001 functions, more than the limit of 250000",
    );
    check_refused(
        &module(&format!("(func) (func {})", "nop ".repeat(2 << 20))),
        "the component needs 2097154 bytes of code in function 2 (module 1), more than the limit of 2097152",
    );
    check_refused(
        &modules(&["(func)".to_owned(), format!("(func (local {}))", "i64 ".repeat(20_001))]),
        "the component needs 20001 local variables in function 2 (module 2), more than the limit of 20000",
    );
    check_refused(
        &module(&format!("(memory 1) {}", r#"(data "a")"#.repeat(50_001))),
        "the component needs 50001 segments, more than the limit of 50000",
    );
    check_refused(
        &module(&"(global i32 (i32.const 0))".repeat(50_001)),
        "the component needs 50001 globals, more than the limit of 50000",
    );
    let types: String = (0..100_001).map(|_| "(type (func))").collect();
    check_refused(&module(&types), "the component needs 100001 types, more than the limit of 100000");
    let exports: String = (0..250_001).map(|name| format!(r#"(export "{name}" (func 0))"#)).collect();
    check_refused(
        &module(&format!("(func) {exports}")),
        "the component needs 250001 imports and exports of modules, more than the limit of 250000",
    );
}

#[test]
fn memories_and_tables_are_few_and_small() {
    check_refused(
        &modules(&["(memory 1)", "(memory 1)", "(memory 1)", "(memory 1)", "(memory 1)"].map(str::to_owned)),
        "the component needs 5 memories, more than the limit of 4",
    );
    check_refused(
        &module("(memory 1025)"),
        "the component needs 67174400 bytes of memory at the start in module 1, more than the limit of 67108864",
    );
    check_refused(&module(&"(table 1 funcref)".repeat(9)), "the component needs 9 tables, more than the limit of 8");
    check_refused(
        &module("(table 20001 funcref)"),
        "the component needs 20001 table elements at the start in module 1, more than the limit of 20000",
    );
    for two in ["(memory 1) (memory 1)", r#"(import "a" "b" (memory 1)) (memory 1)"#] {
        check_refused(&module(two), "the component needs 2 memories in module 1, more than the limit of 1");
    }
}

/// Each component makes two instances of the one before: a line of text doubles the work of the compiler.
#[test]
fn instances_are_counted_as_often_as_they_are_made() {
    let doubling = |levels: usize| {
        let level = |level: usize| {
            let inner = level - 1;
            format!("(component $c{level} (instance (instantiate $c{inner})) (instance (instantiate $c{inner})))")
        };
        let components: String = (1..=levels).map(level).collect();
        wat::parse_str(format!("(component (component $c0) {components} (instance (instantiate $c{levels})))"))
    };
    // Components see what is defined around them by aliases, which the text format writes by itself.
    let within = measure(&doubling(8).expect("a component as text")).expect("a component within the limits");
    assert_eq!(within.instances, 511);
    check_refused(
        &doubling(20).expect("a component as text"),
        "the component needs 1022 instances, more than the limit of 1000",
    );
    let handed = wat::parse_str(r#"(component (component (import "c" (component $c)) (instance (instantiate $c))))"#);
    check_refused(
        &handed.expect("a component as text"),
        "the component needs a component that is handed to another, more than the limit of none",
    );
}

/// A section, or a function's body: its length goes before it.
fn with_length(before: &[u8], content: &[u8]) -> Vec<u8> {
    let (mut bytes, mut length) = (before.to_vec(), content.len());
    while length > 0x7f {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(content);
    bytes
}

/// No function is too long, but all of them together are.
#[test]
fn code_is_limited_as_a_whole() {
    let mut body = vec![0x01; 2_000_000];
    (body[0], body[1_999_999]) = (0, 0x0b);
    let bodies = with_length(&[], &body).repeat(26);
    let count = [26];
    let functions = with_length(b"\0asm\x01\0\0\0\x03", &[&count[..], &[0; 26]].concat());
    let code = with_length(&[&functions[..], &[0x0a]].concat(), &[&count[..], &bodies].concat());
    check_refused(
        &with_length(b"\0asm\x0d\0\x01\0\x01", &code),
        "the component needs 52000000 bytes of code, more than the limit of 50331648",
    );
}

/// A component whose only section holds one type: instance types within each other.
fn nested_types(levels: usize) -> Vec<u8> {
    let mut section = vec![1];
    for _ in 1..levels {
        section.extend([0x42, 1, 1]);
    }
    section.extend([0x42, 0]);
    with_length(b"\0asm\x0d\0\x01\0\x07", &section)
}

/// Reading such a type used to overflow the stack of the thread, and with it end the daemon.
#[test]
fn types_nested_deeply_are_refused_before_anything_recurses() {
    let shallow = nested_types(31);
    assert_eq!(measure(&shallow).expect("a component").types, 31);
    crate::Engine::shared().expect("an engine").load(&shallow).map(drop).expect_err("it exports nothing");
    let refused = "the component needs 33 types within each other, more than the limit of 32";
    check_refused(&nested_types(32), refused);
    check_refused(&nested_types(10_000_000), refused);
    let components = format!("{}{}", "(component ".repeat(33), ")".repeat(33));
    check_refused(
        &wat::parse_str(components).expect("a component as text"),
        "the component needs 33 components within each other, more than the limit of 32",
    );
}

#[test]
fn bytes_that_are_no_component_are_told_apart_from_large_ones() {
    for bytes in [&b""[..], b"garbage", b"\0asm\x0d\0\x01\0\xff", &nested_types(8)[..20]] {
        let error = measure(bytes).expect_err("bytes that are no component");
        assert!(matches!(error, EngineError::Invalid(_)), "{error:?}");
    }
}
