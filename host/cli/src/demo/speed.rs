use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use oast_ratio::{Input, Zero, ratio};
use oast_runtime::{
    Batch, ClockMode, Column, DataType, Field, LookupRequest, Manifest, Progress, Schema, Values, bench::TransformRun,
};
use serde::Serialize;
use serde_json::json;

use super::{
    SERVICE,
    flights::Flights,
    live::{Served, quantile_us},
    setup::Setup,
    steps::Steps,
};
use crate::command;

/// How fast the parts are on this machine.
#[derive(Debug, Serialize)]
pub(super) struct Speed {
    pub(super) lookup_us: f64,
    pub(super) replay_rows_per_second: f64,
    pub(super) component_ns_per_row: f64,
    pub(super) native_ns_per_row: f64,
}

/// How many rows a batch has when the component is timed.
pub(super) const BATCH_ROWS: usize = 4096;

/// How many lookups are timed.
const LOOKUPS: usize = 2000;

/// How long a component, and then the same Rust, is run to time it.
const BATCHES: usize = 200;

pub(super) fn measure(
    setup: &Setup,
    flights: &Flights,
    served: &Served,
    manifest: &Manifest,
    steps: &Steps,
) -> anyhow::Result<Speed> {
    steps.phase("speed", None);
    let speed = Speed {
        lookup_us: lookup_us(setup, flights, served)?,
        replay_rows_per_second: manifest.dataset.rows as f64 / (manifest.duration_us().max(1) as f64 / 1e6),
        component_ns_per_row: component_ns()?,
        native_ns_per_row: native_ns(),
    };
    steps.done("speed", "a lookup inside the process, a component beside the same Rust")?;
    Ok(speed)
}

/// The median time of a lookup of one flight inside the process.
fn lookup_us(setup: &Setup, flights: &Flights, served: &Served) -> anyhow::Result<f64> {
    let runtime = command::open(&setup.data, ClockMode::Simulated)?;
    let last = flights.asked.iter().map(|asked| asked.at.as_micros()).max().unwrap_or(0);
    let requests = served.rows.keys().cycle().take(LOOKUPS).zip(1..).map(|(row, later)| {
        let asked = &flights.asked[*row];
        let request = json!({
            "service": SERVICE,
            "at": last + later,
            "entities": [asked.entity()],
            "request": [{"distance": asked.distance}],
        });
        serde_json::from_value::<LookupRequest>(request)
    });
    let requests = requests.collect::<Result<Vec<_>, _>>()?;
    let mut times = Vec::with_capacity(requests.len());
    for request in &requests {
        let begun = Instant::now();
        black_box(runtime.lookup(request)?);
        times.push(begun.elapsed());
    }
    Ok(quantile_us(&mut times, 0.5))
}

/// Nanoseconds a row of `ratio` through its component, as a replay calls it.
fn component_ns() -> anyhow::Result<f64> {
    let standard = oast_plugins::plugin("ratio").context("`ratio` is a standard plugin")?;
    let names = ["numerator", "denominator"];
    let schema = Schema::new(names.map(|name| Field::nullable(name, DataType::Float64)).to_vec())?;
    let transform = TransformRun::new(standard.component, "{}", &schema)?;
    let column = |values: Vec<f64>| Column { values: Values::Float64(values), validity: None };
    let (numerators, denominators) = operands();
    let batch = Batch { rows: BATCH_ROWS, columns: vec![column(numerators), column(denominators)] };
    ensure!(transform.apply(&batch)?.rows == BATCH_ROWS, "`ratio` keeps every row");
    let begun = Instant::now();
    for _ in 0..BATCHES {
        black_box(transform.apply(black_box(&batch))?);
    }
    Ok(ns_per_row(begun.elapsed()))
}

/// Nanoseconds a row of the same function, called as the Rust that it is.
fn native_ns() -> f64 {
    let (numerators, denominators) = operands();
    let rows = || numerators.iter().zip(&denominators);
    let begun = Instant::now();
    for _ in 0..BATCHES {
        let divide = |(numerator, denominator): (&f64, &f64)| {
            let row = Input { numerator: Some(*numerator), denominator: Some(*denominator) };
            ratio(row, &Zero { zero: None }).ratio
        };
        black_box(black_box(rows()).map(divide).collect::<Vec<_>>());
    }
    ns_per_row(begun.elapsed())
}

fn operands() -> (Vec<f64>, Vec<f64>) {
    (0..BATCH_ROWS).map(|row| (row as f64, row as f64 + 0.5)).unzip()
}

fn ns_per_row(took: Duration) -> f64 {
    took.as_secs_f64() * 1e9 / (BATCHES * BATCH_ROWS) as f64
}
