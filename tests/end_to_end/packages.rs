//! Components that were built against an earlier version of the contract.

use oast_core::{Batch, Fuel, Limits, MergeLaw, Value};
use oast_engine::{Engine, Groups, Package, Plugin};
use serde_json::json;

use crate::{engine::batch_of, golden::schema};

/// What its two rows cost under wasmtime 48.
const RATIO_FUEL: u64 = 2008;

/// What the standard plugins `ratio` and `moments` were when the package was at 0.1.0.
const RATIO_0_1_0: &[u8] = include_bytes!("../fixtures/components/0.1.0/ratio.wasm");
const MOMENTS_0_1_0: &[u8] = include_bytes!("../fixtures/components/0.1.0/moments.wasm");

fn configured(component: &[u8], columns: &[&str]) -> Plugin {
    let offered: Vec<_> = columns.iter().map(|name| json!([name, "float64?"])).collect();
    let component = Engine::shared().expect("an engine").load(component).expect("an old component still loads");
    component.configure("{}", &schema(&json!(offered)), Limits::default()).expect("an old component still configures")
}

#[test]
fn a_transform_of_package_0_1_0_still_runs() {
    let plugin = configured(RATIO_0_1_0, &["a", "b"]);
    assert_eq!(plugin.component().package(), Package::V0_1);
    assert_eq!(
        plugin.component().hash().to_string(),
        "18d428e0a196181eec871d69a2670961a17fe766610459747a902389637d01ba"
    );
    assert_eq!((plugin.descriptor().name.as_str(), plugin.descriptor().merge_law), ("ratio", None));
    let row = |a, b| vec![Some(Value::Float64(a)), Some(Value::Float64(b))];
    let rows = batch_of(&plugin.descriptor().input, &[row(1.0, 4.0), row(3.0, 2.0)]);
    let applied = plugin.transform().expect("a transform").apply(&rows).expect("the rows run");
    let expect = [0.25, 1.5].map(|ratio| vec![Some(Value::Float64(ratio))]);
    assert_eq!(applied.rows, batch_of(&plugin.descriptor().output, &expect));
    assert_eq!(applied.consumed, Fuel(RATIO_FUEL));
}

#[test]
fn an_aggregate_of_package_0_1_0_still_folds() {
    let plugin = configured(MOMENTS_0_1_0, &["a"]);
    assert_eq!(plugin.descriptor().merge_law, None, "a package that could not say");
    let current = oast_plugins::plugin("moments").expect("a standard plugin").component;
    let current = configured(current, &["a"]);
    assert_eq!(current.component().package(), Package::CURRENT);
    assert_eq!(current.descriptor().merge_law, Some(MergeLaw::Rounded));

    let rows: Vec<_> = (0..100).map(|row| vec![Some(Value::Float64(f64::from(row) / 8.0))]).collect();
    let rows = batch_of(&plugin.descriptor().input, &rows);
    let [old, new] = [&plugin, &current].map(|plugin| features(plugin, &rows));
    assert_eq!(old.columns[..6], new.columns[..6], "the same features, whatever the package");
}

fn features(plugin: &Plugin, rows: &Batch) -> Batch {
    let aggregate = plugin.aggregate().expect("an aggregate");
    let state = aggregate.update(&[&[]], &[rows.rows as u32], rows).expect("the rows fold").states;
    aggregate.finish(Groups::new(&state, &[1])).expect("the state finishes").rows
}
