//! Golden files: what a plugin must say of given rows, for its own tests and for the component in the engine.

use serde_json::Value as Json;

use super::json_rows::field;
use super::{Aggregation, Transform, parse};
use crate::{BatchAggregate, BatchTransform, Error, Field, Schemas};

/// Checks a transform against a golden file.
pub fn check_transform<T: BatchTransform>(golden: &str) {
    for case in cases(golden) {
        let configured = Transform::<T>::offer(&case["params"], &fields(&case["offered"]));
        let Some(plugin) = expect_schemas(case, configured, |plugin| &plugin.schemas) else {
            continue;
        };
        same(case, &plugin.apply(case["rows"].clone()), &case["expect"]);
        // A row must come out of a batch as it comes out alone.
        for (row, expect) in list(&case["rows"]).iter().zip(list(&case["expect"])) {
            let alone = plugin.apply(Json::Array(vec![row.clone()]));
            same(case, &alone[0], expect);
        }
    }
}

/// Checks an aggregate against a golden file.
pub fn check_aggregate<A: BatchAggregate>(golden: &str) {
    for case in cases(golden) {
        let configured = Aggregation::<A>::offer(&case["params"], &fields(&case["offered"]));
        let Some(plugin) = expect_schemas(case, configured, |plugin| &plugin.schemas) else {
            continue;
        };
        for fold in list(&case["folds"]) {
            let splits: Vec<usize> =
                list(&fold["splits"]).iter().map(|split| split.as_u64().expect("a split is a row") as usize).collect();
            let finished = plugin.fold(case["rows"].clone(), &splits);
            same(case, &finished, &fold["expect"]);
        }
        check_resumed(case, &plugin);
    }
}

/// Folding rows in one call or one by one, through the returned state, gives the same bytes.
fn check_resumed<A: BatchAggregate>(case: &Json, plugin: &Aggregation<A>) {
    let at_once = plugin.update(b"", &case["rows"]).expect("the rows fold");
    let mut state = Vec::new();
    for row in list(&case["rows"]) {
        let row = Json::Array(vec![row.clone()]);
        state = plugin.update(&state, &row).expect("the row folds");
    }
    assert_eq!(state, at_once, "{}: one by one", case["name"]);
}

/// Checks the schemas or the error of a case, and passes the plugin on if there is one to run.
fn expect_schemas<P>(case: &Json, configured: Result<P, Error>, schemas: impl Fn(&P) -> &Schemas) -> Option<P> {
    let expect = case.get("error").map(|error| error.as_str());
    match (configured, expect) {
        (Ok(plugin), None) => {
            let Schemas { input, output } = schemas(&plugin);
            assert_eq!(input, &fields(&case["input"]), "{}: input", case["name"]);
            assert_eq!(output, &fields(&case["output"]), "{}: output", case["name"]);
            Some(plugin)
        }
        (Err(error), Some(expect)) => {
            assert_eq!(Some(error.to_string().as_str()), expect, "{}", case["name"]);
            None
        }
        (Ok(_), Some(_)) => panic!("{}: an error was expected", case["name"]),
        (Err(error), None) => panic!("{}: {error}", case["name"]),
    }
}

/// Compares as text, which tells 0 from -0.
fn same(case: &Json, found: &Json, expect: &Json) {
    assert_eq!(found.to_string(), expect.to_string(), "{}", case["name"]);
}

fn cases(golden: &str) -> impl Iterator<Item = &'static Json> {
    // Golden files are small and read once a test.
    let golden: &'static Json = Box::leak(Box::new(parse(golden)));
    let cases = list(&golden["cases"]);
    assert!(!cases.is_empty(), "a golden file has cases");
    cases.iter()
}

fn fields(schema: &Json) -> Vec<Field> {
    list(schema)
        .iter()
        .map(|pair| match (pair[0].as_str(), pair[1].as_str()) {
            (Some(name), Some(data_type)) => field(name, data_type),
            _ => panic!("a column is a name and a type, not `{pair}`"),
        })
        .collect()
}

fn list(json: &Json) -> &[Json] {
    json.as_array().map_or_else(|| panic!("`{json}` is not a list"), Vec::as_slice)
}
