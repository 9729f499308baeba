//! Guests that loop, recurse, grow, trap and return nonsense, each on its one row.

use super::{
    components::{
        Answer, Column, Guest, answers_with_its_value, apply, configure, configure_with, hashes_by_address, int64s,
        keeps_state_across_rows, reads_uninitialised_memory, utf8,
    },
    *,
};
use oast_core::Values;

const LOOP: &str = "(loop $ever (br $ever))";
const RECURSE: &str = "(func $recurse (result i32) (i32.add (call $recurse) (i32.const 1)))";

fn check(guest: &Guest, expected: &str) {
    assert_eq!(ended(&guest.component()), expected, "{}", guest.apply);
}

fn row_guest(items: &str, body: &str) -> Guest {
    Guest::new(&[], &(apply(body) + items))
}

#[test]
fn guests_that_never_end_run_out_of_fuel_or_stack() {
    check(&row_guest("", &format!("{LOOP} unreachable")), "ran out of fuel");
    check(&row_guest(RECURSE, "(call $recurse)"), "ran out of stack");
    let grow = "(loop $ever (drop (memory.grow (i32.const 1))) (br $ever)) unreachable";
    check(&row_guest("", grow), "ran out of fuel");
    let tables = "(table $t 1 funcref)";
    let grow = "(loop $ever (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $ever)) unreachable";
    check(&row_guest(tables, grow), "ran out of fuel");
    let copy = "(loop $ever (memory.copy (i32.const 0) (i32.const 8) (i32.const 1000000)) (br $ever)) unreachable";
    check(&row_guest("", copy), "ran out of fuel");
}

#[test]
fn guests_die_as_they_please() {
    for (body, expected) in [
        ("unreachable", "trapped: wasm `unreachable` instruction executed"),
        ("(i32.div_s (i32.const 0x80000000) (i32.const -1))", "trapped: integer overflow"),
        ("(i32.trunc_f64_s (f64.const nan))", "trapped: invalid conversion to integer"),
        ("(i32.load (i32.const -4))", "trapped: out of bounds memory access"),
        ("(call_indirect $t (result i32) (i32.const 5))", "trapped: undefined element: out of bounds table access"),
        ("(call_indirect $t (result i32) (i32.const 0))", "trapped: uninitialized element"),
        ("(call_indirect $t (result i32) (i32.const 1))", "trapped: indirect call type mismatch"),
    ] {
        let table = "(table $t 2 funcref) (elem (table $t) (i32.const 1) func $nothing) (func $nothing)";
        check(&row_guest(table, body), expected);
    }
}

/// What a guest says when it returns `Answer`s for one row, with one column `y` of text.
#[test]
fn answers_that_break_the_contract_are_malformed() {
    let text = |offsets: &[u32], bytes: &[u8]| {
        let mut answer = Answer::new();
        let (offsets, bytes) = (answer.put_words(offsets), answer.put_bytes(bytes));
        (answer, offsets, bytes)
    };
    let check_text = |offsets: &[u32], bytes: &[u8], rows: u32, expected: &str| {
        let (answer, offsets, bytes) = text(offsets, bytes);
        check(&answer.rows(rows, &[utf8(offsets, bytes)]), expected);
    };
    let offsets =
        "returned malformed output: column `y` has offsets that do not rise from 0 to the length of its bytes";
    check_text(&[0, 3], b"abc", 1, "kept");
    check_text(&[0, 4], b"abc", 1, offsets);
    check_text(&[1, 3], b"abc", 1, offsets);
    check_text(&[0, u32::MAX], b"abc", 1, offsets);
    check_text(&[0, 2], b"abc", 1, offsets);
    check_text(&[0, 2, 1, 3], b"abc", 1, offsets);
    check_text(&[], b"", 1, offsets);
    check_text(&[0, 1, 3], b"abc", 1, "returned malformed output: column `y` has 2 values for 1 rows");
    check_text(&[0, 2], b"\xffa", 1, "returned malformed output: column `y` is not UTF-8 in row 0");
    check_text(&[0, 2], "€".as_bytes().split_at(2).0, 1, "returned malformed output: column `y` is not UTF-8 in row 0");
    check_text(&[0, 3], b"abc", 1_000_000_000, "returned malformed output: 1000000000 rows for 1");
    check_text(&[0, 3], b"abc", 0, "returned malformed output: 0 rows for 1");

    for (validity, expected) in [
        (&[0][..], "column `y` is null in row 0 but not nullable"),
        (&[7], "column `y` has the byte 7 in row 0 where only 0 and 1 have a meaning"),
        (&[1, 1], "column `y` has 2 values for 1 rows"),
        (&[], "column `y` has 0 values for 1 rows"),
    ] {
        let (mut answer, offsets, bytes) = text(&[0, 3], b"abc");
        let validity = answer.put_bytes(validity);
        let Column(case, words, _) = utf8(offsets, bytes);
        check(
            &answer.rows(1, &[Column(case, words, Some(validity))]),
            &format!("returned malformed output: {expected}"),
        );
    }
}

#[test]
fn answers_of_other_shapes_are_malformed() {
    check(&Answer::new().rows(1, &[]), "returned malformed output: 0 columns came where the schema has 1");
    let mut answer = Answer::new();
    let values = answer.put_int64s(&[1]);
    check(
        &answer.rows(1, &[int64s(values)]),
        "returned malformed output: column `y` holds int64 where the schema says utf8",
    );
    let verdict = |verdicts: &[u8], rejections: u32, expected: &str| {
        let mut answer = Answer::new();
        let (offsets, bytes, verdicts) = (answer.put_words(&[0, 0]), answer.put_bytes(b""), answer.put_bytes(verdicts));
        let rejection = answer.put_words(&[rejections, 0, 0, 0, 0]).0;
        let guest = answer.judged(1, &[utf8(offsets, bytes)], Some(verdicts), (rejection, u32::from(rejections < 9)));
        check(&guest, expected);
    };
    verdict(&[0], 9, "kept");
    verdict(&[1], 9, "dropped");
    verdict(&[2], 0, "rejected:  (0 bytes)");
    verdict(&[2], 9, "returned malformed output: no rejection for the rejected row 0");
    verdict(&[0], 0, "returned malformed output: a rejection for row 0, which was not rejected");
    verdict(&[2], 1, "returned malformed output: no rejection for the rejected row 0");
    verdict(&[0, 0], 9, "returned malformed output: 2 verdicts for 1 rows");
    verdict(&[3], 9, "returned malformed output: unexpected discriminant: 3");
}

/// Lists that are longer than memory, or so many that the host would run out of its own.
#[test]
fn answers_of_gigantic_size_cost_the_host_nothing() {
    let beyond = (1 << 20, 1 << 28);
    check(
        &Answer::new().rows(1, &[int64s(beyond)]),
        "returned malformed output: list pointer/length out of bounds of memory",
    );
    check(&Answer::new().error(beyond), "returned malformed output: string pointer/length out of bounds of memory");
    check(
        &Answer::new().error((u32::MAX, u32::MAX)),
        "returned malformed output: string pointer/length out of bounds of memory",
    );
    // One megabyte of text, over and over.
    let mut answer = Answer::new();
    let text = answer.put_bytes(&[b'a'; 1 << 19]);
    let aliases: Vec<_> = (0..1000).map(|_| Column(5, [0, 0, text.0, text.1], None)).collect();
    check(
        &answer.rows(1, &aliases),
        "returned malformed output: too much data is being copied between the host and the guest: fuel allocated for hostcalls has been exhausted",
    );
    let mut answer = Answer::new();
    let text = answer.put_bytes(&[b'a'; 1 << 19]);
    check(&answer.error(text), "rejected: error (4099 bytes)");
    let mut answer = Answer::new();
    let text = answer.put_bytes(&[0xff; 100]);
    check(&answer.error(text), "returned malformed output: invalid utf-8 sequence of 1 bytes from index 0");
    let mut answer = Answer::new();
    let offsets = answer.put_words(&[0, 0]);
    check(
        &answer.judged(1, &[utf8(offsets, (2048, 0))], None, (4096, 1 << 24)),
        "returned malformed output: list pointer/length out of bounds of memory",
    );
}

#[test]
fn results_at_wrong_addresses_are_malformed() {
    check(&row_guest("", "(i32.const 1025)"), "returned malformed output: return pointer not aligned");
    check(&row_guest("", "(i32.const -4)"), "returned malformed output: pointer out of bounds of memory");
    check(&row_guest("", "(i32.const 1048572)"), "returned malformed output: pointer out of bounds of memory");
    let wrong = r#"(data (i32.const 1024) "\02")"#;
    check(&row_guest(wrong, "(i32.const 1024)"), "returned malformed output: invalid expected discriminant");
}

/// The host calls `realloc` to hand over the row, before any of the guest's own calls.
#[test]
fn allocators_that_misbehave_end_the_row() {
    let guest = |realloc: &str| {
        let apply = apply("(i32.const 1024)");
        let start = apply.find(r#"(func (export "realloc")"#).expect("an allocator");
        let end = apply.find(r#"(func (export "apply")"#).expect("a call");
        let realloc = format!(r#"(func $realloc (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc})"#);
        Guest::new(&[], &format!("{}{realloc}{}", &apply[..start], &apply[end..]))
    };
    check(&guest("unreachable"), "trapped: wasm `unreachable` instruction executed");
    check(&guest(LOOP_FOR_I32), "ran out of fuel");
    check(&guest("(call $realloc (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))"), "ran out of stack");
    check(&guest("(i32.const -8)"), "returned malformed output: realloc return: beyond end of memory");
    check(&guest("(i32.const 4097)"), "returned malformed output: realloc return: result not aligned");
    check(&guest("(drop (memory.grow (i32.const 1))) (i32.const 0)"), "returned malformed output: 0 rows for 1");
}

const LOOP_FOR_I32: &str = "(loop $ever (br $ever)) (i32.const 0)";

#[test]
fn what_comes_before_and_after_a_call_counts_as_the_guests() {
    let started = |body: &str| row_guest(&format!("(start $begin) (func $begin {body})"), "(i32.const 1024)");
    check(&started(LOOP), "refused: `configure` ran out of fuel");
    check(&started("unreachable"), "refused: `configure` trapped: wasm `unreachable` instruction executed");
    check(&started("(drop (memory.grow (i32.const 65535)))"), "returned malformed output: 0 rows for 1");
    let after = |body: &str| Guest {
        options: r#"(post-return (core func $code "after"))"#,
        ..row_guest(
            &format!(r#"(func (export "after") (param i32) {body})"#),
            "(i32.store (i32.const 1028) (i32.const 1)) (i32.const 1024)",
        )
    };
    check(&after(""), "kept");
    check(&after(LOOP), "ran out of fuel");
    check(&after("unreachable"), "trapped: wasm `unreachable` instruction executed");
    let data = |data: &str| row_guest(data, "(i32.const 1024)");
    check(&data(r#"(data (i32.const 1048576) "a")"#), "refused: `configure` trapped: out of bounds memory access");
    check(
        &data("(table 1 funcref) (elem (i32.const 1) $f) (func $f)"),
        "refused: `configure` trapped: undefined element: out of bounds table access",
    );
}

#[test]
fn configure_is_watched_like_any_call() {
    let guest = |configure: String| Guest { configure, apply: apply("(i32.const 1024)"), options: "" };
    let with = |body: &str| guest(configure_with(&[DataType::Int64], &[], body));
    check(&with(LOOP_FOR_I32), "refused: `configure` ran out of fuel");
    check(&with("unreachable"), "refused: `configure` trapped: wasm `unreachable` instruction executed");
    check(&with("(i32.const -4)"), "refused: `configure` returned malformed output: pointer out of bounds of memory");
    check(
        &with(
            "(i32.store8 (i32.const 16) (i32.const 1)) (i64.store (i32.const 20) (i64.const 0x80000_00000000)) (i32.const 16)",
        ),
        "refused: `configure` returned malformed output: string pointer/length out of bounds of memory",
    );
    check(
        &with(
            "(i32.store8 (i32.const 16) (i32.const 1)) (i64.store (i32.const 20) (i64.const 0x8000_00000000)) (i32.const 16)",
        ),
        "refused: `configure` returned malformed output: invalid utf-8 sequence of 1 bytes from index 25",
    );
    let twice = [DataType::Int64; 2];
    check(&guest(configure(&twice, &[])), "refused: the descriptor is malformed: column `x` stands twice");
    // As many fields as there is memory.
    check(
        &with("(i64.store (i32.const 44) (i64.const 0xc00_00000080)) (i32.const 16)"),
        "refused: the descriptor is malformed: a column has no name",
    );
}

/// The engine runs rows together on one instance, and takes their word for it that they do not notice: what a component leaves
/// in its memory, or reads from it, shows within a batch, and never beyond. The check before publication refuses such plugins.
#[test]
fn state_and_addresses_show_within_a_batch_and_never_beyond() {
    let answers = |component: &[u8], rows: &[i64]| -> Vec<i64> {
        let Values::Int64(answers) = applied(component, rows).rows.columns.remove(0).values else {
            panic!("the guests answer with int64s")
        };
        answers
    };
    let honest = answers_with_its_value();
    assert_eq!(answers(&honest, &[5, 6, 7]), [5, 6, 7]);
    let (state, address, neighbour) = (keeps_state_across_rows(), hashes_by_address(), reads_uninitialised_memory());
    assert_eq!(answers(&state, &[5, 5, 5]), [1, 2, 3]);
    assert_eq!(answers(&neighbour, &[5, 6, 7]), [6, 7, 0]);
    let hashes = answers(&address, &[5, 5]);
    assert_ne!(hashes[0], hashes[1]);
    for component in [state, address, neighbour] {
        let alone = answers(&component, &[5]);
        answers(&component, &[1, 2, 3]);
        assert_eq!(answers(&component, &[5]), alone, "nothing is left of an invocation");
    }
}
