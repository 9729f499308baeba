use std::{hint::black_box, time::Instant};

use oast_core::{Batch, Column, Field, Limits, Schema, Values};
use oast_engine::{Artefacts, Engine, Plugin};

use crate::workshop::compiled;

const ROWS: usize = 4096;

/// Rows of one transform in each language: what they cost, for the table in `docs/authoring.md`.
#[test]
fn a_row_costs_far_less_than_its_budget_in_every_language() {
    for language in ["rust", "python", "js", "quickjs"] {
        let plugin = plugin(language);
        let transform = plugin.transform().expect("a transform");
        let row = rows(1);
        let alone = transform.apply(&row).expect("the row runs").consumed.0;
        let budget = plugin.limits().budget_fuel.0;
        assert!(alone < budget / 20, "{language}: {alone} of {budget} fuel");
        let fresh = median(31, || black_box(transform.apply(&row)).map(drop).expect("the row runs"));
        let many = rows(ROWS);
        transform.apply(&many).expect("the rows run");
        let begun = Instant::now();
        let fuel = transform.apply(&many).expect("the rows run").consumed.0;
        let batch = begun.elapsed().as_secs_f64();
        eprintln!(
            "{language}: {} bytes; alone {:.3} ms and {alone} fuel; in batches {:.3} µs and {} fuel a row",
            compiled().bytes(language).len(),
            fresh * 1e3,
            batch * 1e6 / ROWS as f64,
            fuel / ROWS as u64,
        );
    }
}

fn plugin(language: &str) -> Plugin {
    let engine = Engine::shared().expect("an engine");
    let artefacts = Artefacts::open(compiled().artefacts(language)).expect("a cache");
    let component = engine.load_cached(&compiled().bytes(language), &artefacts).expect("the component loads");
    let begun = Instant::now();
    let plugin = component.configure("{}", &schema(), Limits::default()).expect("it configures");
    eprintln!("{language}: instantiated and configured in {:.3} ms", begun.elapsed().as_secs_f64() * 1e3);
    plugin
}

fn schema() -> Schema {
    let delay = Field::parse("delay", "float64?").expect("a type");
    Schema::new(vec![delay]).expect("one name")
}

fn rows(count: usize) -> Batch {
    let delays = (0..count).map(|row| 20.5 + (row % 50) as f64).collect();
    Batch { rows: count, columns: vec![Column { values: Values::Float64(delays), validity: None }] }
}

fn median(times: usize, mut call: impl FnMut()) -> f64 {
    let mut seconds: Vec<f64> = (0..times)
        .map(|_| {
            let begun = Instant::now();
            call();
            begun.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[times / 2]
}
