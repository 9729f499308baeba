//! Tries standard plugins: against what other software computed, the cases of `plugins/NAME/oracle.json`, which
//! `plugins/oracle/make.py` writes; and for the [laws] that every aggregate keeps.

use oast_sdk::testing::{Aggregation, Transform};
use oast_sdk::{BatchAggregate, BatchTransform, Json};

pub mod laws;

/// Checks a transform against every case. All rows of a case are one batch.
pub fn check_transform<T: BatchTransform>(file: &str) {
    for case in &cases(file) {
        let (name, offered) = head(case);
        let plugin = Transform::<T>::new(case["params"].clone(), offered).unwrap_or_else(|e| panic!("{name}: {e}"));
        let found = plugin.apply(case["rows"].clone());
        assert_close(&found, &case["expect"], tolerance(case), name);
    }
}

/// Checks an aggregate against every case: all rows in one state, and split into several.
pub fn check_aggregate<A: BatchAggregate>(file: &str) {
    for case in &cases(file) {
        let (name, offered) = head(case);
        let plugin = Aggregation::<A>::new(case["params"].clone(), offered).unwrap_or_else(|e| panic!("{name}: {e}"));
        let rows = case["rows"].as_array().map_or(0, Vec::len);
        for splits in [&[][..], &[rows / 3], &[rows / 7, rows / 2, rows / 2]] {
            let found = plugin.fold(case["rows"].clone(), splits);
            assert_close(&found, &case["expect"], tolerance(case), &format!("{name}, split at {splits:?}"));
        }
    }
}

fn cases(file: &str) -> Vec<Json> {
    let file: Json = file.parse().expect("oracle.json is JSON");
    let cases = file["cases"].as_array().cloned().unwrap_or_default();
    assert!(!cases.is_empty(), "there are cases");
    cases
}

fn head(case: &Json) -> (&str, &str) {
    let text = |key: &str| case[key].as_str().unwrap_or_else(|| panic!("a case has the text `{key}`"));
    (text("name"), text("offered"))
}

fn tolerance(case: &Json) -> f64 {
    case["tolerance"].as_f64().expect("a case has a tolerance")
}

/// Numbers agree up to the tolerance, relative to the expected one where that is larger than 1; a tolerance of 0 means
/// the same bits. Everything else must be equal.
fn assert_close(found: &Json, expect: &Json, tolerance: f64, context: &str) {
    match (found, expect) {
        (Json::Array(left), Json::Array(right)) if left.len() == right.len() => {
            for (at, (left, right)) in left.iter().zip(right).enumerate() {
                assert_close(left, right, tolerance, &format!("{context}, {at}"));
            }
        }
        (Json::Number(left), Json::Number(right)) if tolerance > 0.0 => {
            let (left, right) = (left.as_f64().expect("a double"), right.as_f64().expect("a double"));
            let error = (left - right).abs() / right.abs().max(1.0);
            assert!(error <= tolerance, "{context}: found {left}, expected {right}");
        }
        _ => assert_eq!(found.to_string(), expect.to_string(), "{context}"),
    }
}
