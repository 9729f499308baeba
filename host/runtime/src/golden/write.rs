//! Golden files as people write them: a line for each key of a case, keys in the order in which they are read.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

const HEAD: [&str; 4] = ["plugin", "kind", "order_sensitive", "merge_law"];
const CASE: [&str; 9] = ["name", "params", "offered", "error", "input", "output", "rows", "expect", "folds"];

/// The text of a golden file.
pub(super) fn golden(golden: &Map<String, Json>) -> String {
    let mut text = "{\n".to_owned();
    for (key, value) in ordered(golden, &HEAD).filter(|(key, _)| *key != "cases") {
        write_line(&mut text, 2, key, &spaced(value), ",");
    }
    text.push_str("  \"cases\": [\n");
    let cases = golden.get("cases").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let cases: Vec<String> = cases.iter().filter_map(Json::as_object).map(case).collect();
    text.push_str(&cases.join(",\n"));
    text.push_str("\n  ]\n}\n");
    text
}

fn case(case: &Map<String, Json>) -> String {
    let mut text = "    {\n".to_owned();
    let keys: Vec<_> = ordered(case, &CASE).collect();
    for (at, (key, value)) in keys.iter().enumerate() {
        let end = if at + 1 == keys.len() { "" } else { "," };
        let value = if *key == "folds" { folds(value) } else { spaced(value) };
        write_line(&mut text, 6, key, &value, end);
    }
    text + "    }"
}

fn write_line(text: &mut String, indent: usize, key: &str, value: &str, end: &str) {
    writeln!(text, "{:indent$}{}: {value}{end}", "", Json::from(key))
        .expect("a string takes whatever is written to it");
}

/// A line for each fold.
fn folds(folds: &Json) -> String {
    let folds = folds.as_array().map_or(&[][..], Vec::as_slice);
    let fold = |fold: &Json| {
        format!("        {{ \"splits\": {}, \"expect\": {} }}", spaced(&fold["splits"]), spaced(&fold["expect"]))
    };
    let lines: Vec<String> = folds.iter().map(fold).collect();
    if lines.is_empty() { "[]".to_owned() } else { format!("[\n{}\n      ]", lines.join(",\n")) }
}

/// The keys that have a place, in that order, and then the rest by name.
fn ordered<'a>(of: &'a Map<String, Json>, places: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a Json)> {
    let placed = places.iter().filter_map(|place| of.get_key_value(*place));
    let rest = of.iter().filter(|(key, _)| !places.contains(&key.as_str()));
    placed.chain(rest).map(|(key, value)| (key.as_str(), value))
}

/// JSON on one line with a space after each comma and colon.
fn spaced(json: &Json) -> String {
    match json {
        Json::Array(items) => format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        Json::Object(object) if object.is_empty() => "{}".to_owned(),
        Json::Object(object) => {
            let pairs = object.iter().map(|(key, value)| format!("{}: {}", Json::from(key.as_str()), spaced(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_golden_file_survives_being_written() {
        let text = include_str!("../../../../plugins/last/golden.json");
        let json: Map<String, Json> = serde_json::from_str(text).expect("JSON");
        assert_eq!(golden(&json), text);
    }
}
