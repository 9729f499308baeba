//! Real flights against an oracle that an unrelated engine computed.

use std::path::Path;

use oast_runtime::{Batch, ClockMode, Columns, Manifest, ReplayOptions, Runtime, Schema, TableReader, Value};

use crate::support::{Setup, repository};

pub(crate) const DEFINITION: &str = include_str!("../../host/cli/demo/oast.toml");

pub(crate) fn departures() -> std::path::PathBuf {
    repository("host/cli/demo/departures.parquet")
}

pub(crate) fn spine() -> std::path::PathBuf {
    repository("host/cli/demo/spine.parquet")
}

fn read(path: &Path) -> anyhow::Result<(Schema, Batch)> {
    let reader = TableReader::open(path, None, Columns::AsFound)?;
    let schema = reader.schema().clone();
    let mut rows = Batch::empty(&schema);
    for batch in reader {
        rows.append(&batch?);
    }
    Ok((schema, rows))
}

fn replay(runtime: &Runtime, setup: &Setup, out: &str, threads: usize, snapshot: bool) -> anyhow::Result<Manifest> {
    let events = if snapshot { vec![("departures".to_owned(), departures())] } else { Vec::new() };
    let options = ReplayOptions {
        service: "delay_model".to_owned(),
        spine: spine(),
        out: setup.path(out),
        events,
        threads,
        ..ReplayOptions::default()
    };
    Ok(runtime.replay(&options, &())?)
}

fn number(value: Option<Value>) -> Option<f64> {
    match value {
        Some(Value::Float64(value)) => Some(value),
        Some(Value::Int64(value)) => Some(value as f64),
        None => None,
        other => panic!("a feature is a number: {other:?}"),
    }
}

/// Counts, sums, extremes and last values agree exactly, means and deviations to 1e-9, approximate counts to 3 % on average.
#[test]
fn every_feature_equals_the_oracle() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    replay(&runtime, &setup, "training.parquet", 0, true)?;
    let (schema, rows) = read(&setup.path("training.parquet"))?;
    let (oracle_schema, oracle) = read(&repository("tests/fixtures/flights/oracle.parquet"))?;
    assert_eq!(rows.rows, oracle.rows);
    let mut compared = 0;
    for (column, field) in oracle.columns.iter().zip(oracle_schema.fields()).filter(|(_, field)| field.name.contains("__")) {
        let ours = &rows.columns[schema.index_of(&field.name).expect(&field.name)];
        let mut relative = 0.0;
        for row in 0..rows.rows {
            let (expected, found) = (number(column.get(row)), number(ours.get(row)));
            let close = |tolerance: f64| match (expected, found) {
                (Some(expected), Some(found)) => (expected - found).abs() <= tolerance * expected.abs().max(1e-300),
                (expected, found) => expected == found,
            };
            if field.name.contains("_distinct_") {
                let (expected, found) = (expected.unwrap_or(0.0), found.unwrap_or(0.0));
                relative += (expected - found).abs() / expected.max(1.0);
            } else {
                let tolerance = if field.name.contains("_mean_") || field.name.contains("_stddev_") { 1e-9 } else { 0.0 };
                assert!(close(tolerance), "row {row}, {}: expected {expected:?}, found {found:?}", field.name);
            }
            compared += 1;
        }
        assert!(relative / rows.rows as f64 <= 0.03, "{} is off by {}", field.name, relative / rows.rows as f64);
    }
    assert_eq!(compared, rows.rows * 48);
    Ok(())
}
