//! Real flights against an oracle that an unrelated engine computed.

use std::path::Path;

use oast_runtime::{
    Batch, ClockMode, Columns, Manifest, ReplayOptions, Resources, Runtime, Schema, TableReader, Value,
};

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
        resources: Resources { threads, ..Resources::default() },
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
    for (column, field) in
        oracle.columns.iter().zip(oracle_schema.fields()).filter(|(_, field)| field.name.contains("__"))
    {
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
                let tolerance =
                    if field.name.contains("_mean_") || field.name.contains("_stddev_") { 1e-9 } else { 0.0 };
                assert!(close(tolerance), "row {row}, {}: expected {expected:?}, found {found:?}", field.name);
            }
            compared += 1;
        }
        assert!(relative / rows.rows as f64 <= 0.03, "{} is off by {}", field.name, relative / rows.rows as f64);
    }
    assert_eq!(compared, rows.rows * 48);
    Ok(())
}

/// The dataset of the shipped slice. It changes only when what a feature means changes, which is never by accident.
const DATASET_HASH: &str = "653eb6a69b06de37be1eb56d8ce93deedb19ab9017759de1769c3a1367893a09";

#[test]
fn the_dataset_hash_is_the_same_for_every_way_to_it() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    let report = runtime.ingest_file("departures", &departures(), None, &())?;
    assert_eq!((report.accepted, report.duplicates, report.quarantined.len()), (26_353, 0, 0));
    let again = runtime.ingest_file("departures", &departures(), None, &())?;
    assert_eq!((again.accepted, again.duplicates), (0, 26_353));
    for (out, threads, snapshot) in [("one.parquet", 1, true), ("two.csv", 2, true), ("log.arrow", 2, false)] {
        let manifest = replay(&runtime, &setup, out, threads, snapshot)?;
        assert_eq!(manifest.dataset.hash.to_string(), DATASET_HASH, "{out}");
        let proof = runtime.verify(&oast_runtime::manifest_path(&setup.path(out)), &())?;
        assert!(proof.proved(), "{out}: {proof:#?}");
    }
    Ok(())
}

#[test]
fn verify_names_what_was_edited() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    replay(&runtime, &setup, "training.csv", 0, true)?;
    let dataset = setup.path("training.csv");
    let manifest = oast_runtime::manifest_path(&dataset);
    let original = std::fs::read_to_string(&dataset)?;
    let edited: Vec<String> = original.lines().enumerate().map(|(at, line)| edit_line(at, line)).collect();
    std::fs::write(&dataset, edited.join("\n"))?;
    let proof = runtime.verify(&manifest, &())?;
    assert!(!proof.proved());
    assert_eq!((proof.differing, proof.differences[0].row, proof.differences[0].column.as_str()), (1, 3, "distance"));
    assert_eq!(proof.cause.as_deref(), Some("the dataset's file was edited after it was written"));
    std::fs::write(&dataset, original)?;

    let text = std::fs::read_to_string(&manifest)?;
    let hash = Manifest::read(&manifest)?.dataset.hash.to_string();
    std::fs::write(&manifest, text.replace(&hash, &"0".repeat(64)))?;
    let proof = runtime.verify(&manifest, &())?;
    assert_eq!(proof.cause.as_deref(), Some("the manifest was edited, or its hash belongs to another dataset"));
    Ok(())
}

/// Makes the distance of the third flight a mile longer.
fn edit_line(at: usize, line: &str) -> String {
    if at == 3 { line.replace("1089", "1090") } else { line.to_owned() }
}
