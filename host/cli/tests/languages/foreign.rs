use std::fs;

use oast_runtime::run_golden;
use serde_json::{Value, json};

use crate::workshop::{WILD_GOLDEN, Workshop, compiled, copy_folder, quickjs_project};

/// What comes of the wild rows, and what is said of them, as `oast plugin test` tells it.
fn outcomes(language: &str) -> (Value, String) {
    let compiled = compiled();
    let report = run_golden(&compiled.bytes(language), WILD_GOLDEN, Some(&compiled.artefacts(language)));
    let report = report.expect("the golden file runs");
    let updated: Value = serde_json::from_str(&report.updated).expect("JSON");
    let said = report.cases[0].differences.iter().map(|difference| format!("{}\n", difference.got)).collect();
    (updated["cases"][0]["expect"].clone(), said)
}

fn check_said(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.contains(line), "`{line}` is in:\n{said}");
    }
}

#[test]
fn whatever_python_raises_is_a_rejection_with_its_line() {
    let (outcomes, said) = outcomes("python");
    let (exception, output) = (json!({"reject": "exception"}), json!({"reject": "output"}));
    let expect = [
        json!([5.0]),
        json!("drop"),
        json!({"reject": "no_delay"}), // as it should be
        exception.clone(),
        exception.clone(),
        exception.clone(),
        exception.clone(), // 1 / 0, clock, dice, clock
        output.clone(),
        output.clone(), // no row, another type
        exception.clone(),
        exception.clone(),            // endless recursion, exit
        json!([0.32383276483316237]), // dice of a seed
    ];
    assert_eq!(outcomes.as_array().expect("a list")[..12], expect);
    assert_eq!(
        outcomes.as_array().expect("a list")[13..],
        [
            exception.clone(),
            exception.clone(),
            json!([1.0]),
            exception,
            output, // dice, file, print, import, None
            json!([1356998400.0]),
            json!([6.0]),
        ]
    );
    check_said(
        &said,
        &[
            "ZeroDivisionError: division by zero (plugin.py, line 33)",
            "NoClock: `time.time` has no answer",
            "NoClock: `datetime.now` has no answer",
            "NoDice: `random.random` has no answer",
            "RecursionError: maximum recursion depth exceeded (plugin.py, line 29)",
            "SystemExit: 3 (plugin.py, line 40)",
            "NoFiles: `open` has no answer",
            "ModuleNotFoundError: No module named 'tomllib'",
            "the column `excess` (float64) cannot hold str `'text'`",
        ],
    );
}

#[test]
fn whatever_javascript_throws_is_a_rejection_with_its_line() {
    let (outcomes, said) = outcomes("js");
    let (exception, output) = (json!({"reject": "exception"}), json!({"reject": "output"}));
    assert_eq!(
        outcomes,
        json!([
            [5.0], "drop", {"reject": "no_delay"}, // as it should be
            exception, exception, exception, exception, // a property of null, clock, dice, clock
            output, output, // no row, another type
            {"fail": "ran out of fuel"}, // endless recursion
            exception, exception, // a text is thrown, clock
            [123.0], // the keys of an object
            exception, output, [1.0], output, output, // dice, a promise, the console, a BigInt, nothing
            [1356998400.0], [6.0],
        ])
    );
    check_said(
        &said,
        &[
            "TypeError: can't access property \"length\" of null (plugin.ts, line 11)",
            "`Date.now` has no answer: a plugin has no clock",
            "`Math.random` has no answer: a plugin has no random source",
            "thrown: a string",
            "the column `excess` (float64) cannot hold `\"text\"`",
        ],
    );
}

#[test]
fn quickjs_answers_as_starlingmonkey_does_but_for_its_messages() {
    let ((starling, _), (quick, said)) = (outcomes("js"), outcomes("quickjs"));
    let list = |json: Value| json.as_array().expect("a list").clone();
    let (mut starling, mut quick) = (list(starling), list(quick));
    // Endless recursion ends where the engine's own limit is.
    assert_eq!(
        (starling.remove(9), quick.remove(9)),
        (json!({"fail": "ran out of fuel"}), json!({"fail": "ran out of stack"}))
    );
    assert_eq!(starling, quick);
    check_said(
        &said,
        &["TypeError: cannot read property 'length' of null (plugin.ts, line 11)", "`Date.now` has no answer"],
    );
    let size = |language| compiled().bytes(language).len();
    assert!(size("quickjs") * 4 < size("js"));
}

const LARGE: &str = r#"import { transform } from "oast-sdk";
export default transform(
  { doc: "Takes a number.", input: { n: "int64" }, output: { n: "float64" } },
  ({ n }) => ({ n: Number(n) }),
);
"#;

#[test]
fn quickjs_is_refused_what_it_would_change() {
    let workshop = &compiled().workshop;
    quickjs_project(workshop, "large", LARGE, &workshop.path("js/wild"));
    workshop.oast(&["plugin", "build", "large"]);
    let args = ["plugin", "inspect", "large/large.wasm", "--offered", "n:int64"];
    let output = workshop.command(&args).output().expect("the command starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("the column `n` (int64) is not exact in QuickJS"), "{said}");
}

/// Builds differ, one artefact does not: the same values and the same fuel in every fresh instance, in company and alone, in
/// this process and in another.
#[test]
fn one_artefact_gives_the_same_bits_and_fuel_on_every_run() {
    let compiled = compiled();
    for language in ["python", "js", "quickjs"] {
        let run = || run_golden(&compiled.bytes(language), WILD_GOLDEN, Some(&compiled.artefacts(language)));
        let first = run().expect("the golden file runs");
        assert!(first.cases[0].differences.iter().all(|difference| !difference.place.contains("alone")), "{first:?}");
        for _ in 0..4 {
            assert_eq!(run().expect("the golden file runs"), first, "{language}");
        }
        let inside = oast_runtime::ComponentHash::of(&compiled.bytes(language)).to_string();
        let told = compiled.workshop.oast(&["plugin", "inspect", &format!("{language}/wild/wild.wasm")]);
        assert!(told.contains(&inside), "{told}");
    }
}

#[test]
fn aggregates_in_python_and_javascript_pass_their_tests() {
    let compiled = compiled();
    let workshop = Workshop::new();
    for language in ["python", "js"] {
        workshop.oast(&["plugin", "new", language, "--lang", language, "--kind", "aggregate"]);
        for tools in [".venv", "node_modules"] {
            let (have, want) =
                (compiled.workshop.path(language).join("wild").join(tools), workshop.path(language).join(tools));
            if have.exists() {
                copy_folder(&have, &want);
            }
        }
        let said = workshop.oast(&["plugin", "test", language]);
        assert!(said.ends_with(": it can be published\n"), "{said}");
    }
}

#[test]
fn a_source_that_cannot_be_imported_is_shown_with_its_line() {
    let workshop = &compiled().workshop;
    let check = |project: &str, file: &str, source: &str, expect: &[&str]| {
        let path = workshop.path(project).join(file);
        let sound = fs::read_to_string(&path).expect("a source");
        fs::write(&path, source).expect("it is changed");
        let output = workshop.command(&["plugin", "build", project]).output().expect("the command starts");
        fs::write(&path, sound).expect("it is restored");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        check_said(&said, expect);
    };
    check("python/wild", "plugin.py", "import nothing_of_the_kind\n", &["plugin.py\", line 1", "ModuleNotFoundError"]);
    check("python/wild", "plugin.py", "x = 1\n", &["has one plugin, under `@transform` or `@aggregate`; it has none"]);
    check("js/wild", "plugin.ts", "export default (;\n", &["plugin.ts:1:16", "ERROR"]);
    check("js/wild", "plugin.ts", "export default 5;\n", &["`plugin.ts` has no plugin"]);
}
