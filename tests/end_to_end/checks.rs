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
