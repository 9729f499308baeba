//! The checks before publication: the standard plugins pass them, and a plugin that breaks a law is shown the rows.

use std::fs;

use oast_runtime::{attach_samples, check_plugin};

use crate::support::repository;

fn golden(name: &str) -> String {
    fs::read_to_string(repository(&format!("plugins/{name}/golden.json"))).expect("golden.json can be read")
}

#[test]
fn the_standard_plugins_carry_their_samples_and_keep_their_laws() {
    for plugin in oast_plugins::standard() {
        let report = check_plugin(plugin.component, None).unwrap_or_else(|error| panic!("{}: {error}", plugin.name));
        let golden = golden(plugin.name);
        let json: serde_json::Value = serde_json::from_str(&golden).expect("golden.json is JSON");
        let cases: Vec<_> = json["cases"].as_array().into_iter().flatten().map(|case| case["name"].clone()).collect();
        assert_eq!(report.uses.iter().map(|used| used.name.as_str()).collect::<Vec<_>>(), cases, "{}", plugin.name);
        let rows: u64 = report.uses.iter().map(|used| used.outcomes.rows).sum();
        assert!(rows >= 1024, "{}: {rows} rows", plugin.name);
        assert_eq!(
            attach_samples(plugin.component, &golden).expect("a component"),
            plugin.component,
            "{}",
            plugin.name
        );
    }
}

#[test]
fn a_report_is_the_same_every_time() {
    let plugin = oast_plugins::plugin("moments").expect("a standard plugin").component;
    let text = || serde_json::to_string(&check_plugin(plugin, None).expect("it keeps its laws")).expect("it is JSON");
    assert_eq!(text(), text());
}

const LAWLESS: &str = include_str!("components/lawless.wat");
const LAWLESS_FOLD: &str = include_str!("components/lawless-fold.wat");

/// A transform that drops the rows that the code says; see `components/lawless.wat`.
pub(crate) fn lawless(drops: &str, calls: &str) -> Vec<u8> {
    let text = LAWLESS.replace("{drops}", drops).replace("{calls}", calls).replace("{version}", "1.0.0");
    wat::parse_str(text).expect("a component as text")
}

/// How a [`lawless_fold`] departs from a sum.
struct Fold<'t> {
    step: &'t str,
    merge: &'t str,
    calls: &'t str,
    order_sensitive: bool,
    law: &'t str,
}

const STEP: &str = "(i64.add (local.get $state) (local.get $x))";

const SUM: Fold<'_> = Fold { step: STEP, merge: STEP, calls: "", order_sensitive: false, law: "exact" };

/// An aggregate that folds and merges as the code says; see `components/lawless-fold.wat`.
fn lawless_fold(fold: &Fold<'_>) -> Vec<u8> {
    let law = ["exact", "rounded", "approximate"].iter().position(|law| *law == fold.law).expect("a merge law");
    let text = LAWLESS_FOLD
        .replace("{step}", fold.step)
        .replace("{merge}", fold.merge)
        .replace("{finish}", "(local.get $state)")
        .replace("{calls}", fold.calls)
        .replace("{order}", if fold.order_sensitive { "01" } else { "00" })
        .replace("{law}", &format!("0{law}"));
    wat::parse_str(text).expect("a component as text")
}

/// A sum that counts one too many for every row beyond this many in a call.
pub(crate) fn add_after(rows: u32) -> Vec<u8> {
    let step = format!("(i64.add {STEP} (i64.extend_i32_u (i32.gt_u (local.get $at) (i32.const {rows}))))");
    lawless_fold(&Fold { step: &step, ..SUM })
}

const GOLDEN: &str = r#"{"plugin": "lawless", "kind": "transform", "cases": [{"name": "one", "params": {}, "offered": [],
    "input": [["x", "int64"]], "output": OUTPUT, "rows": [[1], [2]], "expect": []}]}"#;

/// Makes sure that a component is refused by this check, and returns the error as the command line shows it.
fn check_refused(name: &str, component: &[u8]) -> String {
    let output = if component.windows(6).any(|bytes| bytes == b"folded") { r#"[["folded", "int64"]]"# } else { "[]" };
    let error = check_plugin(component, Some(&GOLDEN.replace("OUTPUT", output)));
    let error = error.err().unwrap_or_else(|| panic!("passed, where `{name}` was expected to fail"));
    let text = format!("{error}\nhint: {}", error.hint().expect("a hint"));
    assert!(text.contains(&format!("the check \"{name}\" failed")), "expected `{name}`: {text}");
    assert_eq!(error.code(), "broken_law");
    text
}

const KEEP: &str = "(i32.const 0)";

#[test]
fn transforms_that_break_a_law_are_refused_by_its_check() {
    let when = |condition: &str| format!("(i32.and {condition} (i32.const 1))");
    let greatest = "(i64.eq (local.get $x) (i64.const 0x7fffffffffffffff))";
    let does = |action: &str, condition: &str| format!("(if {condition} (then {action})) (i32.const 0)");

    check_refused("each row alone", &lawless(&does("unreachable", "(i64.eq (local.get $x) (i64.const 2))"), ""));
    check_refused("outputs as described", &lawless(&does("(return (i32.const 7))", "(i64.eqz (local.get $x))"), ""));
    check_refused("headroom", &lawless(&does("(call $loop (i32.const 12000000))", greatest), ""));
    let memory = check_refused("headroom", &lawless(&does("(drop (memory.grow (i32.const 600)))", greatest), ""));
    assert!(memory.contains("40370176 bytes of memory"), "{memory}");
    check_refused("no rows", &lawless(KEEP, "(if (i32.eqz (local.get $rows)) (then unreachable))"));
    let neighbour = check_refused("small batches", &lawless(&when("(i64.lt_s (local.get $before) (i64.const 0))"), ""));
    for shown in
        ["row 2   {\"x\":", "row 2 alone", "the same row in a batch of 2", "  dropped", "hint: compute every row"]
    {
        assert!(neighbour.contains(shown), "expected {shown:?}: {neighbour}");
    }
    check_refused("one batch", &lawless(&when("(i32.gt_u (local.get $rows) (i32.const 512))"), ""));
    let first = "(i32.and (i32.eqz (local.get $at)) (i32.and (i64.lt_s (local.get $x) (i64.const 0)) \
                 (i32.gt_u (local.get $rows) (i32.const 7))))";
    check_refused("other orders", &lawless(first, ""));
    check_refused("a used instance", &lawless(&when("(i32.gt_u (global.get $calls) (i32.const 1))"), ""));
}

#[test]
fn a_transform_that_dies_alike_on_every_path_passes_and_is_counted() {
    let drops = "(if (i64.eq (local.get $x) (i64.const 0x8000000000000000)) (then unreachable)) \
                 (i64.lt_s (local.get $x) (i64.const 0))";
    let report = check_plugin(&lawless(drops, ""), Some(&GOLDEN.replace("OUTPUT", "[]"))).expect("it keeps its laws");
    let counts = report.uses[0].outcomes;
    assert_eq!((counts.rows, counts.samples), (1024, 2));
    assert!(counts.failed > 3 && counts.dropped > 100 && counts.kept > 100, "{counts:?}");
    assert_eq!(counts.kept + counts.dropped + counts.failed, counts.rows);
}

#[test]
fn aggregates_that_break_a_law_are_refused_by_its_check() {
    let add = |more: &str| format!("(i64.add (i64.add (local.get $state) (local.get $x)) {more})");
    let step = |step: &str| lawless_fold(&Fold { step, ..SUM });
    let at_once = check_refused("update at once", &step(&add("(i64.extend_i32_u (local.get $at))")));
    assert!(at_once.contains("2 rows, one call each") && at_once.contains("2 rows in one call"), "{at_once}");
    let dear = "(if (i32.and (i32.eqz (local.get $at)) (i64.ne (local.get $state) (i64.const 0))) \
                (then (call $loop (i32.const 1000000))))";
    let cheap_run = check_refused("update at once", &step(&format!("{dear} {STEP}")));
    assert!(cheap_run.contains("at most 8 times the fuel of the run"), "{cheap_run}");
    let resumed = "(if (i32.eqz (local.get $at)) (then (global.set $mark (i64.ne (local.get $state) (i64.const 0)))))";
    let marked = add("(i64.extend_i32_u (i32.and (global.get $mark) (i32.ne (local.get $at) (i32.const 0))))");
    check_refused("update in parts", &step(&format!("{resumed} {marked}")));
    check_refused("several states in one call", &step(&add("(i64.extend_i32_u (local.get $group))")));
    let calls = add("(i64.extend_i32_u (i32.sub (global.get $calls) (i32.const 1)))");
    check_refused("a used instance", &step(&calls));
    let merge = |merge: &str, law| lawless_fold(&Fold { merge, law, ..SUM });
    let used = check_refused("a used instance", &merge(&calls, "exact"));
    assert!(used.contains("in a fresh instance") && used.contains("other calls"), "{used}");
    let dies = "(if (i32.ne (local.get $at) (i32.const 0)) (then unreachable))";
    let dying = check_refused("each row alone", &merge(&format!("{dies} {STEP}"), "exact"));
    assert!(dying.contains("`merge` dies on the state of the rows that the author brought"), "{dying}");
    let one_more = add("(i64.extend_i32_u (i64.ne (local.get $x) (i64.const 0)))");
    check_refused("merge and finish", &merge(&one_more, "exact"));
    // Two states merge as they should, and the third of three counts one too many.
    let third = add("(i64.extend_i32_u (i32.gt_u (local.get $at) (i32.const 1)))");
    let not_in_turn = check_refused("merge and finish", &merge(&third, "approximate"));
    assert!(not_in_turn.contains("merge from left to right"), "{not_in_turn}");
    let exclusive = "(i64.xor (local.get $state) (local.get $x))";
    for law in ["exact", "rounded"] {
        let promise = check_refused("the promised merge", &merge(exclusive, law));
        assert!(
            promise.contains(&format!("promises `{law}`")) && promise.contains("96 rows in one state"),
            "{promise}"
        );
    }
    let last = Fold {
        step: "(local.get $x)",
        merge: "(select (local.get $state) (local.get $x) (i64.eqz (local.get $x)))",
        law: "rounded",
        ..SUM
    };
    check_refused("the promised order", &lawless_fold(&last));
}

#[test]
fn aggregates_that_keep_what_they_promise_pass() {
    let check = |fold: &Fold<'_>| {
        let golden = GOLDEN.replace("OUTPUT", r#"[["folded", "int64"]]"#);
        check_plugin(&lawless_fold(fold), Some(&golden)).unwrap_or_else(|error| panic!("{error}"));
    };
    check(&SUM);
    let exclusive = "(i64.xor (local.get $state) (local.get $x))";
    check(&Fold { merge: exclusive, law: "approximate", ..SUM });
    let last = "(select (local.get $state) (local.get $x) (i64.eqz (local.get $x)))";
    check(&Fold { step: "(local.get $x)", merge: last, law: "rounded", order_sensitive: true, ..SUM });
}

#[test]
fn a_component_that_contradicts_its_authors_results_is_refused() {
    let sum = lawless_fold(&SUM);
    let golden = |folded: i64| {
        let folds = format!(r#""folds": [{{"splits": [], "expect": [{folded}]}}]"#);
        let kind = r#""lawless-fold", "kind": "aggregate", "order_sensitive": false, "merge_law": "exact""#;
        let golden = GOLDEN.replace(r#""lawless", "kind": "transform""#, kind);
        golden.replace("OUTPUT", r#"[["folded", "int64"]]"#).replace("\"expect\": []", &folds)
    };
    check_plugin(&sum, Some(&golden(3))).unwrap_or_else(|error| panic!("{error}"));
    let error = check_plugin(&sum, Some(&golden(4))).expect_err("one and two are three").to_string();
    assert!(error.contains("the check \"the author's results\" failed"), "{error}");
    assert!(error.contains("[3]") && error.contains("[4]"), "{error}");
    let kept = GOLDEN.replace("OUTPUT", "[]").replace("\"expect\": []", r#""expect": ["drop", []]"#);
    let error = check_plugin(&lawless(KEEP, ""), Some(&kept)).expect_err("no row is dropped").to_string();
    assert!(error.contains("the author's results"), "{error}");
}

#[test]
fn samples_are_held_against_the_component() {
    let sum = lawless_fold(&SUM);
    let golden = GOLDEN.replace("OUTPUT", r#"[["other", "int64"]]"#);
    let error = check_plugin(&sum, Some(&golden)).expect_err("the output is called otherwise").to_string();
    assert!(error.contains("(x: int64) -> (folded: int64)"), "{error}");
    let refusal = r#"{"cases": [{"name": "n", "params": {}, "offered": [], "error": "no"}]}"#;
    let error = check_plugin(&sum, Some(refusal)).expect_err("it configures").to_string();
    assert!(error.contains("the check \"refused by configure\" failed"), "{error}");
    let ratio = oast_plugins::plugin("ratio").expect("a standard plugin").component;
    let error = check_plugin(ratio, Some(refusal)).expect_err("it says something else").to_string();
    assert!(error.contains("by these names or in this order"), "{error}");
    assert!(check_plugin(ratio, Some("{")).expect_err("no JSON").to_string().contains("no golden file"));
}
