//! The golden vectors of the standard plugins, run through their components, and the exact fuel that they consume.
//!
//! `plugins/README.md` has the format of the vectors.

use std::{collections::BTreeMap, env, fs};

use oast_core::{Batch, Blobs, Column, ColumnBuilder, DataType, Field, Limits, Outcome, Schema, Timestamp, Value};
use oast_engine::{Aggregate, Applied, Component, Engine, Groups, Plugin, Transform};
use serde_json::Value as Json;

use crate::support::repository;

/// Setting this writes the golden files instead of checking them.
pub(crate) const UPDATE: &str = "OAST_UPDATE_GOLDEN";

/// A standard plugin, which the engine compiles once.
pub(crate) fn component(name: &str) -> Component {
    let plugin = oast_plugins::plugin(name).unwrap_or_else(|| panic!("there is no plugin `{name}`"));
    engine().load(plugin.component).expect("a standard plugin loads")
}

pub(crate) fn engine() -> Engine {
    Engine::shared().expect("an engine")
}

#[test]
fn components_answer_as_their_golden_vectors_say() {
    let names: Vec<_> = oast_plugins::standard().iter().map(|plugin| plugin.name.to_owned()).collect();
    assert_eq!(golden_files().into_keys().collect::<Vec<_>>(), names, "every plugin has golden vectors");
    assert!(fuel_of_all().len() > names.len());
}

#[test]
fn fuel_is_what_it_was() {
    let found = fuel_of_all().join("\n") + "\n";
    let path = repository("tests/golden/fuel.txt");
    if env::var_os(UPDATE).is_some() {
        fs::write(&path, &found).expect("fuel.txt can be written");
    }
    let expected = fs::read_to_string(&path).expect("fuel.txt can be read");
    let changed = |(found, expected): &(&str, &str)| found != expected;
    let first = found.lines().zip(expected.lines()).find(changed);
    assert!(
        found == expected,
        "the standard plugins consume other fuel than tests/golden/fuel.txt says, so that a row near its budget may have \
         another outcome than it had; first: {first:?} (found, expected). If a plugin, the toolchain or wasmtime changed on \
         purpose, run the test again with {UPDATE}=1 and commit the file"
    );
}

fn golden_files() -> BTreeMap<String, Json> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(repository("plugins")).expect("the plugins' folder") {
        let entry = entry.expect("a folder of plugins can be listed");
        let path = entry.path().join("golden.json");
        if path.exists() {
            let text = fs::read_to_string(&path).expect("golden.json can be read");
            let name = entry.file_name().into_string().expect("a plugin's name is UTF-8");
            files.insert(name, serde_json::from_str(&text).expect("golden.json is JSON"));
        }
    }
    files
}

/// Checks every case, and says what each consumed: `plugin, case, call: fuel`.
fn fuel_of_all() -> Vec<String> {
    let mut lines = Vec::new();
    for (plugin, golden) in golden_files() {
        assert_eq!(golden["plugin"], *plugin);
        for case in list(&golden["cases"]) {
            let name = case["name"].as_str().expect("a case has a name");
            let context = format!("{plugin}, {name}");
            let consumed = check(&context, &golden, case);
            lines.extend(consumed.into_iter().map(|(call, fuel)| format!("{context}, {call}: {fuel}")));
        }
    }
    lines
}

type Consumed = Vec<(&'static str, u64)>;

fn check(context: &str, golden: &Json, case: &Json) -> Consumed {
    let name = golden["plugin"].as_str().expect("a plugin has a name");
    let params = case["params"].to_string();
    let configured = component(name).configure(&params, &schema(&case["offered"]), Limits::default());
    if let Some(error) = case.get("error") {
        let found = configured.err().unwrap_or_else(|| panic!("{context}: an error was expected"));
        assert_eq!(found.to_string(), *error, "{context}");
        return Vec::new();
    }
    let plugin = configured.unwrap_or_else(|error| panic!("{context}: {error}"));
    check_descriptor(context, &plugin, golden, case);
    match golden["kind"].as_str() {
        Some("transform") => check_transform(context, &plugin, plugin.transform().expect("a transform"), case),
        Some("aggregate") => check_aggregate(context, &plugin, plugin.aggregate().expect("an aggregate"), case),
        kind => panic!("{context}: {kind:?} is no kind of plugin"),
    }
}

fn check_descriptor(context: &str, plugin: &Plugin, golden: &Json, case: &Json) {
    let descriptor = plugin.descriptor();
    assert_eq!(golden["plugin"], *descriptor.name, "{context}");
    assert_eq!(descriptor.input, schema(&case["input"]), "{context}: input");
    assert_eq!(descriptor.output, schema(&case["output"]), "{context}: output");
    assert_eq!(golden.get("order_sensitive") == Some(&Json::Bool(true)), descriptor.order_sensitive, "{context}");
    let merge_law = serde_json::to_value(descriptor.merge_law).expect("a law is JSON");
    assert_eq!(golden.get("merge_law").unwrap_or(&Json::Null), &merge_law, "{context}");
}

/// The rows as one batch and each row alone.
fn check_transform(context: &str, plugin: &Plugin, transform: Transform<'_>, case: &Json) -> Consumed {
    let descriptor = plugin.descriptor();
    let input = batch(&descriptor.input, list(&case["rows"]));
    let expect = list(&case["expect"]);
    let whole = transform.apply(&input).expect("the batch runs");
    check_applied(context, &descriptor.output, &whole, expect);
    let mut fuel = 0;
    for row in 0..input.rows {
        let alone = transform.apply(&input.slice(row, row + 1)).expect("the row runs");
        check_applied(&format!("{context}, row {row} alone"), &descriptor.output, &alone, &expect[row..=row]);
        fuel += alone.consumed.0;
    }
    vec![("as a batch", whole.consumed.0), ("row by row", fuel)]
}

fn check_applied(context: &str, output: &Schema, applied: &Applied, expect: &[Json]) {
    let outcomes: Vec<Json> = applied.outcomes.iter().map(outcome_json).collect();
    let keep = |expect: &Json| if expect.is_array() { Json::from("keep") } else { expect.clone() };
    assert_eq!(outcomes, expect.iter().map(keep).collect::<Vec<_>>(), "{context}");
    let is_kept = |row: &usize| expect[*row].is_array();
    let kept: Vec<usize> = (0..expect.len()).filter(is_kept).collect();
    assert_eq!(applied.kept.iter().map(|row| *row as usize).collect::<Vec<_>>(), kept, "{context}");
    let rows: Vec<Json> = kept.into_iter().map(|row| expect[row].clone()).collect();
    assert_same(context, &applied.rows, &batch(output, &rows));
}

fn outcome_json(outcome: &Outcome) -> Json {
    match outcome {
        Outcome::Keep => Json::from("keep"),
        Outcome::Drop => Json::from("drop"),
        Outcome::Reject(rejection) => serde_json::json!({ "reject": rejection.code }),
        Outcome::Fail(failure) => panic!("a standard plugin {failure}"),
    }
}

/// Every fold of the case, and all rows into one state in one call and row by row.
fn check_aggregate(context: &str, plugin: &Plugin, aggregate: Aggregate<'_>, case: &Json) -> Consumed {
    let descriptor = plugin.descriptor();
    let rows = batch(&descriptor.input, list(&case["rows"]));
    let mut finished_fuel = 0;
    for fold in list(&case["folds"]) {
        let states = fold_runs(aggregate, &rows, &run_lengths(&fold["splits"], rows.rows));
        let count = [states.len() as u32];
        let groups = Groups::new(&states, &count);
        let finished = aggregate.finish(groups).expect("the states finish");
        assert_eq!(finished.failures, [None], "{context}");
        assert_same(context, &finished.rows, &batch(&descriptor.output, std::slice::from_ref(&fold["expect"])));
        let merged = aggregate.merge(groups).expect("the states merge");
        assert_eq!(merged.failures, [], "{context}");
        let of_merged = aggregate.finish(Groups::new(&merged.states, &[1])).expect("the merged state finishes");
        assert_same(&format!("{context}, finished after the merge"), &of_merged.rows, &finished.rows);
        finished_fuel += finished.consumed.0;
    }
    let (at_once, at_once_fuel) = fold_all(aggregate, &rows);
    let (stepwise, stepwise_fuel) = fold_stepwise(aggregate, &rows);
    assert_eq!(at_once, stepwise, "{context}: one call and row by row");
    vec![("update in one call", at_once_fuel), ("update row by row", stepwise_fuel), ("finish", finished_fuel)]
}

fn run_lengths(splits: &Json, rows: usize) -> Vec<u32> {
    let splits = list(splits).iter().map(|split| split.as_u64().expect("a split is a row") as usize);
    let mut start = 0;
    let lengths = splits.chain([rows]).map(|end| {
        let length = u32::try_from(end - start).expect("few rows");
        start = end;
        length
    });
    lengths.collect()
}

/// One new state for each run of rows.
fn fold_runs(aggregate: Aggregate<'_>, rows: &Batch, runs: &[u32]) -> Blobs {
    let updated = aggregate.update(&vec![&[][..]; runs.len()], runs, rows).expect("the rows fold");
    assert_eq!(updated.failures, []);
    updated.states
}

/// All rows in one state, folded by one call; and the fuel.
pub(crate) fn fold_all(aggregate: Aggregate<'_>, rows: &Batch) -> (Vec<u8>, u64) {
    let updated = aggregate.update(&[&[]], &[rows.rows as u32], rows).expect("the rows fold");
    (updated.states.get(0).to_vec(), updated.consumed.0)
}

/// All rows in one state, each folded by a call of its own; and the fuel.
pub(crate) fn fold_stepwise(aggregate: Aggregate<'_>, rows: &Batch) -> (Vec<u8>, u64) {
    let (mut state, mut fuel) = (Vec::new(), 0);
    for row in 0..rows.rows {
        let updated = aggregate.update(&[&state], &[1], &rows.slice(row, row + 1)).expect("the row folds");
        state = updated.states.get(0).to_vec();
        fuel += updated.consumed.0;
    }
    (state, fuel)
}

/// Compares bit for bit: 0 and -0 differ, all NaN are one.
pub(crate) fn assert_same(context: &str, found: &Batch, expected: &Batch) {
    assert_eq!((found.rows, found.columns.len()), (expected.rows, expected.columns.len()), "{context}");
    for (column, (found, expected)) in found.columns.iter().zip(&expected.columns).enumerate() {
        for row in 0..expected.len() {
            let (found_value, expected_value) = (found.get(row), expected.get(row));
            let same = found.same_bits(row, expected, row);
            assert!(same, "{context}: row {row}, column {column}: found {found_value:?}, expected {expected_value:?}");
        }
    }
}

/// A schema from pairs of name and type.
pub(crate) fn schema(json: &Json) -> Schema {
    let field = |pair: &Json| {
        let text = |at: usize| pair[at].as_str().unwrap_or_else(|| panic!("`{pair}` is no column"));
        Field::parse(text(0), text(1)).expect("a type")
    };
    Schema::new(list(json).iter().map(field).collect()).expect("each name once")
}

fn batch(schema: &Schema, rows: &[Json]) -> Batch {
    let column = |(at, field): (usize, &Field)| -> Column {
        let mut builder = ColumnBuilder::new(field.data_type);
        rows.iter().for_each(|row| builder.push(value(field.data_type, &row[at]).as_ref()));
        builder.finish()
    };
    Batch { rows: rows.len(), columns: schema.fields().iter().enumerate().map(column).collect() }
}

fn value(data_type: DataType, json: &Json) -> Option<Value> {
    if json.is_null() {
        return None;
    }
    let value = match data_type {
        DataType::Bool => json.as_bool().map(Value::Bool),
        DataType::Int64 => json.as_i64().map(Value::Int64),
        DataType::Float64 => float(json).map(Value::Float64),
        DataType::Utf8 => json.as_str().map(|text| Value::Utf8(text.to_owned())),
        DataType::Binary => json.as_str().map(|text| Value::Binary(bytes(text))),
        DataType::Timestamp => json.as_i64().map(|micros| Value::Timestamp(Timestamp::from_micros(micros))),
        DataType::Vector(_) => {
            let single = |value: &Json| float(value).map(|value| value as f32);
            json.as_array().and_then(|values| values.iter().map(single).collect()).map(Value::Vector)
        }
    };
    Some(value.unwrap_or_else(|| panic!("`{json}` is no {data_type}")))
}

fn float(json: &Json) -> Option<f64> {
    match json.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(_) => None,
        None => json.as_f64(),
    }
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&hexadecimal[at..at + 2], 16).expect("hexadecimal digits");
    (0..hexadecimal.len()).step_by(2).map(byte).collect()
}

fn list(json: &Json) -> &[Json] {
    json.as_array().unwrap_or_else(|| panic!("`{json}` is not a list"))
}
