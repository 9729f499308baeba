//! Proofs that must fail, samples of proofs, and comparisons of versions, over the shipped flights.

use std::path::PathBuf;

use oast_runtime::{
    ClockMode, DiffOptions, DiffReport, DiffSubject, ReplayOptions, Runtime, Share, Verification, manifest_path,
};

use crate::{
    flights::{DEFINITION, departures, spine},
    support::Setup,
};

/// A dataset of the shipped flights as CSV, made from a snapshot in CSV, both of which can be edited as text.
struct Dataset {
    setup: Setup,
    runtime: Runtime,
}

impl Dataset {
    fn new() -> anyhow::Result<Self> {
        let setup = Setup::new()?;
        let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
        let reader = oast_runtime::TableReader::open(&departures(), None, oast_runtime::Columns::AsFound)?;
        let schema = reader.schema().clone();
        let events = setup.path("events.csv");
        let mut writer = oast_runtime::TableWriter::create(&events, oast_runtime::Format::Csv, &schema)?;
        for batch in reader {
            writer.write(&batch?)?;
        }
        writer.finish()?;
        let options = ReplayOptions {
            service: "delay_model".to_owned(),
            spine: spine(),
            out: setup.path("training.csv"),
            events: vec![("departures".to_owned(), events)],
            ..ReplayOptions::default()
        };
        runtime.replay(&options, &())?;
        Ok(Self { setup, runtime })
    }

    fn manifest(&self) -> PathBuf {
        manifest_path(&self.setup.path("training.csv"))
    }

    /// Verifies after one line of a file was edited, and puts the file right again.
    fn verify_edited(&self, file: &str, line: usize, from: &str, to: &str) -> anyhow::Result<Verification> {
        let path = self.setup.path(file);
        let original = std::fs::read_to_string(&path)?;
        let edit = |(at, text): (usize, &str)| if at == line { text.replacen(from, to, 1) } else { text.to_owned() };
        let edited: Vec<String> = original.lines().enumerate().map(edit).collect();
        assert_ne!(original.trim_end(), edited.join("\n"), "line {line} of {file} has no `{from}`");
        std::fs::write(&path, edited.join("\n"))?;
        let verification = self.runtime.verify(&self.manifest(), &())?;
        std::fs::write(&path, original)?;
        Ok(verification)
    }
}

fn failed(verification: &Verification) -> Vec<&str> {
    verification.checks.iter().filter(|check| !check.ok).map(|check| check.name.as_str()).collect()
}

#[test]
fn one_edited_event_cell_or_manifest_field_fails_the_proof() -> anyhow::Result<()> {
    let dataset = Dataset::new()?;
    assert!(dataset.runtime.verify(&dataset.manifest(), &())?.proved());

    let event = dataset.verify_edited("events.csv", 1000, "f", "g")?;
    assert_eq!(failed(&event), ["events of departures"]);
    let cause = "the events are not those the dataset was made from: a snapshot was edited, or the log differs";
    assert_eq!(event.cause.as_deref(), Some(cause));

    let cell = dataset.verify_edited("training.csv", 3, "1089", "1090")?;
    assert_eq!((cell.differing, cell.differences[0].row, cell.differences[0].column.as_str()), (1, 3, "distance"));
    assert_eq!(failed(&cell), ["dataset file"]);

    let manifest = std::fs::read_to_string(dataset.manifest())?;
    let nulls = manifest.lines().position(|line| line.contains("\"nulls\"")).expect("features have nulls");
    let field = dataset.verify_edited("training.csv.manifest.json", nulls, "\"nulls\": ", "\"nulls\": 1")?;
    assert_eq!(failed(&field), ["manifest"]);
    assert_eq!(field.cause.as_deref(), Some("the manifest was edited"));
    Ok(())
}

#[test]
fn one_edited_byte_of_a_component_fails_the_proof() -> anyhow::Result<()> {
    let dataset = Dataset::new()?;
    let component = oast_runtime::Manifest::read(&dataset.manifest())?.service.views[0].plugins[0].component;
    let path = dataset.setup.path("data").join("components").join(format!("{component}.wasm"));
    let mut bytes = std::fs::read(&path)?;
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes)?;
    let proof = dataset.runtime.verify(&dataset.manifest(), &())?;
    assert_eq!(failed(&proof), ["components"]);
    let cause = "a component was edited or removed, or the manifest names another one";
    assert_eq!(proof.cause.as_deref(), Some(cause));
    Ok(())
}

#[test]
fn a_missing_segment_is_named_as_the_cause() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    runtime.ingest_file("departures", &departures(), None, &())?;
    let out = setup.path("training.parquet");
    let options = ReplayOptions { service: "delay_model".to_owned(), spine: spine(), out, ..ReplayOptions::default() };
    let manifest = runtime.replay(&options, &())?;
    let path = manifest_path(&options.out);
    assert!(runtime.verify(&path, &())?.proved());

    let log = manifest.events[0].log.as_ref().expect("the events are from the log");
    std::fs::remove_file(setup.path("data").join("log").join(log.segments[0].file_name()))?;
    let proof = runtime.verify(&path, &())?;
    assert!(!proof.proved());
    assert_eq!(failed(&proof), ["derived again", "segments of departures"]);
    assert_eq!(proof.cause.as_deref(), Some("a segment of the log was edited, truncated or removed"));
    Ok(())
}

#[test]
fn a_dataset_is_not_written_among_its_inputs() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    let inputs = setup.path("inputs");
    std::fs::create_dir_all(inputs.join("day=1"))?;
    std::fs::copy(spine(), inputs.join("spine.parquet"))?;
    let check = |named: &str, out: &str, refused: bool| {
        let options = ReplayOptions {
            service: "delay_model".to_owned(),
            spine: setup.path(named),
            out: setup.path(out),
            events: vec![("departures".to_owned(), departures())],
            ..ReplayOptions::default()
        };
        let replayed = runtime.replay(&options, &()).map(drop).map_err(|error| error.to_string());
        let expected = format!("the dataset would be among `{}`, which it is made from", setup.path(named).display());
        assert_eq!(replayed, if refused { Err(expected) } else { Ok(()) }, "{named} {out}");
    };
    check("inputs", "inputs/training.parquet", true);
    check("inputs", "inputs/day=1/training.parquet", true);
    check("inputs/*.parquet", "inputs/training.parquet", true);
    check("inp*", "inputs/training.parquet", true);
    check("inputs/**/*.parquet", "inputs/day=1/training.parquet", true);
    check("inputs/s*.parquet", "inputs/training.parquet", false);
    std::fs::remove_file(inputs.join("training.parquet"))?;
    std::fs::remove_file(manifest_path(&inputs.join("training.parquet")))?;
    check("inputs", "inputs/_training.parquet", false);
    check("inputs", "training.parquet", false);
    Ok(())
}

#[test]
fn a_sample_is_the_same_rows_every_time_and_finds_edits_among_them() -> anyhow::Result<()> {
    let dataset = Dataset::new()?;
    let sample = |share: &str| -> anyhow::Result<Verification> {
        let share: Share = share.parse().map_err(anyhow::Error::msg)?;
        Ok(dataset.runtime.verify_sample(&dataset.manifest(), share, &())?)
    };
    let (first, again) = (sample("2%")?, sample("0.02")?);
    assert!(first.proved(), "{first:#?}");
    assert_eq!((first.rows, first.derived), (again.rows, None));
    assert!((400..700).contains(&first.rows), "{}", first.rows);

    let path = dataset.setup.path("training.csv");
    let original = std::fs::read_to_string(&path)?;
    let (head, rows) = original.split_once('\n').expect("there is a head");
    let edited: String = rows.lines().map(|row| format!("{row}1\n")).collect();
    std::fs::write(&path, format!("{head}\n{edited}"))?;
    let proof = sample("2%")?;
    assert!(!proof.proved());
    // One digit more changes no number that had all the digits of a double.
    assert!((1..=proof.rows).contains(&proof.differing), "{} of {}", proof.differing, proof.rows);
    assert_eq!(sample("2%")?.differences, proof.differences);
    Ok(())
}

#[test]
fn shares_are_read_as_people_write_them() {
    let check = |text: &str, ok: bool| assert_eq!(text.parse::<Share>().is_ok(), ok, "{text}");
    check("1%", true);
    check("0.01", true);
    check("100%", true);
    check("0%", false);
    check("101%", false);
    check("2", false);
    check("NaN", false);
    check("some", false);
}

fn diff(runtime: &Runtime, before: &str, after: DiffSubject, threads: usize) -> anyhow::Result<DiffReport> {
    let options = DiffOptions {
        before: DiffSubject::Published(before.to_owned()),
        after,
        spine: spine(),
        events: vec![("departures".to_owned(), departures())],
        spine_time: None,
        threads,
        rows_max: 3,
    };
    Ok(runtime.diff(&options, &())?)
}

#[test]
fn a_version_does_not_differ_from_itself() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    let report = diff(&runtime, "delay_model", DiffSubject::Published("delay_model".to_owned()), 0)?;
    assert!(report.is_same(), "{} rows", report.rows_changed);
    assert_eq!((report.rows, report.features.len(), report.before.dataset), (26_865, 49, report.after.dataset));
    assert!(report.features.iter().all(|feature| feature.distribution.psi == 0.0));
    Ok(())
}

#[test]
fn a_definition_is_compared_with_what_is_published() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    let changed = DEFINITION.replacen(
        "entity = [\"carrier\"]\n",
        "entity = [\"carrier\"]\ntransform = [ { plugin = \"fill\", params = { dep_delay = 0.0 } }, \
         { plugin = \"clip\", input = [\"dep_delay\"], output = [\"dep_delay\"], params = { max = 60.0 } } ]\n",
        1,
    );
    let changed = changed.replacen("\"max\", \"stddev\"]", "\"max\"]", 1);
    setup.definition(&changed)?;
    let published = runtime.catalog_list()?;
    let file = || DiffSubject::Definition { file: setup.path("oast.toml"), name: None };
    let report = diff(&runtime, "carrier_delay", file(), 1)?;
    assert_eq!(report, diff(&runtime, "carrier_delay", file(), 2)?);
    assert_eq!(runtime.catalog_list()?, published);

    assert_eq!(report.removed, ["dep_delay_stddev_1h", "dep_delay_stddev_24h", "dep_delay_stddev_7d"]);
    assert_eq!((report.added.len(), report.rows_most.len()), (0, 3));
    let feature = |name: &str| report.features.iter().find(|feature| feature.name == name).expect(name);
    assert_eq!(feature("dep_delay_count_24h").changed, 0);
    let largest = feature("dep_delay_max_24h");
    assert!(largest.changed > 20_000, "{}", largest.changed);
    assert!(largest.mean_after.expect("there are values") <= 60.0);
    assert!(largest.distribution.psi > 0.25, "{}", largest.distribution.psi);
    assert!(largest.distribution.ks.expect("these are numbers") > 0.5);
    assert!(report.rows_most[0].score >= report.rows_most[1].score);
    Ok(())
}
