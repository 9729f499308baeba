//! `oast plugin`: what people and programs are shown of a component.

use std::fs;

use serde_json::Value;

use crate::setup::{Folder, told};

fn standard(folder: &Folder, name: &str) {
    let component = oast_plugins::plugin(name).expect("a standard plugin").component;
    fs::write(folder.path(&format!("{name}.wasm")), component).expect("the component is written");
}

#[test]
fn inspect_shows_what_a_component_is_and_that_it_keeps_its_laws() {
    let folder = Folder::new();
    standard(&folder, "moments");
    let provenance = r#"{"toolchain": "1.95.0", "revision": "abc"}"#;
    fs::write(folder.path("moments.provenance.json"), provenance).expect("a file is written");
    let (status, text, stderr) = told(folder.oast(&["plugin", "inspect", "moments.wasm"]));
    assert_eq!(status, Some(0), "{stderr}");
    for shown in [
        "moments 0.1.0  aggregation of oast:transform@0.2.0",
        "imports    nothing",
        "exports    oast:transform/aggregate@0.2.0, oast:transform/plugin@0.2.0",
        "takes      value: float64?",
        "merge      rounded",
        "limits     100,000,000 fuel a row, 64 MiB of memory",
        "✓  the textbook sample",
        "update at once",
        "measured on this machine",
        "revision   abc",
    ] {
        assert!(text.contains(shown), "expected {shown:?}:\n{text}");
    }
    let (status, json, _) = told(folder.oast(&["--json", "plugin", "inspect", "moments"]));
    let value: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((status, &value["descriptor"]["name"]), (Some(0), &"moments".into()));
    assert_eq!(value["report"]["uses"][0]["outcomes"]["rows"], 1024);
}

#[test]
fn a_plugin_that_needs_columns_is_given_them() {
    let folder = Folder::new();
    let args = ["plugin", "inspect", "ratio", "--params", r#"{"zero": 0.5}"#, "--offered", "a:float64,b:float64?"];
    let (status, text, stderr) = told(folder.oast(&args));
    assert_eq!(status, Some(0), "{stderr}");
    assert!(
        text.contains(r#"params     {"zero":0.5}"#) && text.contains("offered    a: float64, b: float64?"),
        "{text}"
    );
    let (status, text, _) = told(folder.oast(&["plugin", "inspect", "ratio", "--offered", "a:float64"]));
    assert_eq!(status, Some(0));
    assert!(text.contains("refused    expected the columns `numerator`") && text.contains("--offered"), "{text}");
    let (status, _, stderr) = told(folder.oast(&["plugin", "inspect", "ratio", "--offered", "a"]));
    assert_eq!(status, Some(2));
    assert!(stderr.contains("`a` is no column"), "{stderr}");
    let (status, _, stderr) = told(folder.oast(&["plugin", "inspect", "nothing.wasm"]));
    assert_eq!(status, Some(2));
    assert!(stderr.contains("cannot read `nothing.wasm`"), "{stderr}");
}

#[test]
fn run_shows_what_becomes_of_each_row() {
    let folder = Folder::new();
    let rows =
        "{\"fast\": 1, \"slow\": 4}\n\n{\"numerator\": 3.5, \"denominator\": 0}\n{\"fast\": null, \"slow\": \"NaN\"}\n";
    fs::write(folder.path("rows.jsonl"), rows).expect("a file is written");
    let args = ["plugin", "run", "ratio", "--offered", "fast:float64?,slow:float64?", "--rows", "rows.jsonl"];
    let (status, text, stderr) = told(folder.oast(&args));
    assert_eq!(status, Some(0), "{stderr}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("row  outcome"), "{text}");
    assert!(lines[1].contains("numerator=1.0 denominator=4.0") && lines[1].contains("ratio=0.25"), "{text}");
    assert!(lines[2].contains("numerator=3.5") && lines[2].contains("ratio=-"), "{text}");
    let (_, json, _) = told(folder.oast(&[&["--json"][..], &args].concat()));
    let third: Value = serde_json::from_str(json.lines().nth(2).expect("three lines")).expect("JSON");
    assert_eq!(
        (&third["row"], &third["outcome"], &third["input"]["denominator"]),
        (&3.into(), &"keep".into(), &"NaN".into())
    );
    assert!(third["fuel"].as_u64().is_some_and(|fuel| fuel > 100), "{third}");

    fs::write(folder.path("rows.jsonl"), "{\"fast\": 1, \"slow\": \"x\"}").expect("a file is written");
    let (status, _, stderr) = told(folder.oast(&args));
    assert_eq!(status, Some(2));
    assert!(stderr.contains("line 1: `denominator` is the string \"x\""), "{stderr}");
}

#[test]
fn parameters_go_with_the_columns_and_rows_of_the_first_sample() {
    let folder = Folder::new();
    let (status, text, stderr) = told(folder.oast(&["plugin", "run", "ratio", "--params", r#"{"zero": 7.0}"#]));
    assert_eq!(status, Some(0), "{stderr}");
    assert!(text.contains("ratio=7"), "{text}");
    let (status, _, stderr) = told(folder.oast(&["plugin", "run", "ratio", "--params", r#"{"zero": "x"}"#]));
    assert_eq!(status, Some(2));
    assert!(stderr.contains("parameter `zero`") && !stderr.contains("samples"), "{stderr}");

    fs::write(folder.path("rows.jsonl"), r#"{"num": 1, "den": 2}"#).expect("a file is written");
    let (status, _, stderr) = told(folder.oast(&["plugin", "run", "ratio", "--rows", "rows.jsonl"]));
    assert_eq!(status, Some(2));
    assert!(stderr.contains("line 1: the row has none of the columns `numerator`, `denominator`"), "{stderr}");
}

#[test]
fn run_folds_the_rows_of_an_aggregate_into_one_state() {
    let folder = Folder::new();
    let (status, text, stderr) = told(folder.oast(&["plugin", "run", "moments"]));
    assert_eq!(status, Some(0), "{stderr}");
    assert!(text.contains("72 bytes") && text.contains("features  of a state of 72 bytes"), "{text}");
    assert!(text.contains("count     8\n") && text.contains("stddev    2.138089935299395"), "{text}");
}

#[test]
fn publish_puts_a_component_into_the_catalog_once() {
    let folder = Folder::new();
    standard(&folder, "moments");
    let (status, text, stderr) = told(folder.oast(&["plugin", "publish", "moments.wasm"]));
    assert_eq!(status, Some(0), "{stderr}");
    assert!(text.starts_with("moments@0.1.0  published\n") && text.contains("passed over"), "{text}");
    let (status, text, _) = told(folder.oast(&["plugin", "publish", "."]));
    assert_eq!(status, Some(0));
    assert!(text.starts_with("moments@0.1.0  published before, with these very bytes"), "{text}");
    let (_, text, _) = told(folder.oast(&["catalog", "list"]));
    assert!(text.contains("plugin  moments"), "{text}");
    let (_, json, _) = told(folder.oast(&["--json", "catalog", "show", "moments"]));
    let shown: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&shown["kind"], &shown["definition"]["world"]), (&"plugin".into(), &"aggregation".into()));
    fs::write(folder.path("moments.wasm"), b"garbage").expect("a file is written");
    let (status, _, stderr) = told(folder.oast(&["plugin", "publish", "moments.wasm"]));
    assert_eq!(status, Some(2));
    assert!(stderr.contains("`moments.wasm` is not published"), "{stderr}");
}
