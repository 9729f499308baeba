//! Proofs that must fail, samples of proofs, and comparisons of versions, over the shipped flights.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use oast_runtime::{
    Arrival, ClockMode, Columns, DiffOptions, DiffReport, DiffSubject, Events, Field, Format, Progress, ReplayOptions,
    Resources, Runtime, Schema, Share, TableReader, TableWriter, Verification, VerifyOptions, manifest_path,
};
use oast_store::NarrowTypes;

use crate::{
    flights::{DEFINITION, departures, spine},
    support::{Setup, repository},
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
        let reader = TableReader::open(&departures(), None, Columns::AsFound)?;
        let schema = reader.schema().clone();
        let events = setup.path("events.csv");
        let mut writer = TableWriter::create(&events, Format::Csv, &schema)?;
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

/// Copies a table to another file, with other names for its columns.
fn copy_renamed(from: &Path, to: &Path, renamed: &[(&str, &str)]) -> anyhow::Result<()> {
    let reader = TableReader::open(from, None, Columns::AsFound)?;
    let rename = |field: &Field| {
        let other = renamed.iter().find(|(name, _)| *name == field.name);
        Field { name: other.map_or(&field.name[..], |(_, other)| other).to_owned(), ..field.clone() }
    };
    let schema = Schema::new(reader.schema().fields().iter().map(rename).collect())?;
    let mut writer = TableWriter::create(to, Format::of_path(to)?, &schema)?;
    for batch in reader {
        writer.write(&batch?)?;
    }
    writer.finish()?;
    Ok(())
}

#[test]
fn columns_of_other_names_are_mapped_and_prove_the_same_dataset() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    let narrow = repository("tests/fixtures/spines/narrow.parquet");
    let replay = |spine: &Path, events: &Path, out: &str, map: &[(&str, &str)]| {
        let options = ReplayOptions {
            service: "delay_model".to_owned(),
            spine: spine.to_owned(),
            out: setup.path(out),
            events: vec![("departures".to_owned(), events.to_owned())],
            map: map.iter().map(|(name, column)| ((*name).to_owned(), (*column).to_owned())).collect(),
            ..ReplayOptions::default()
        };
        runtime.replay(&options, &())
    };
    let plain = replay(&narrow, &departures(), "plain.parquet", &[])?;

    copy_renamed(&narrow, &setup.path("spine.csv"), &[("carrier", "airline"), ("event_timestamp", "at")])?;
    copy_renamed(&departures(), &setup.path("events.parquet"), &[("origin", "from"), ("dep_delay", "late")])?;
    let map = [
        ("carrier", "airline"),
        ("event_timestamp", "at"),
        ("departures.origin", "from"),
        ("departures.dep_delay", "late"),
    ];
    let mapped = replay(&setup.path("spine.csv"), &setup.path("events.parquet"), "mapped.parquet", &map)?;
    assert_eq!((plain.dataset.hash, plain.events[0].hash), (mapped.dataset.hash, mapped.events[0].hash));
    let proof = runtime.verify(&manifest_path(&setup.path("mapped.parquet")), &())?;
    assert!(proof.proved(), "{proof:#?}");

    let refused = |map: &[(&str, &str)]| {
        let error = replay(&setup.path("spine.csv"), &setup.path("events.parquet"), "refused.parquet", map);
        error.map(drop).expect_err("it is refused").to_string()
    };
    assert_eq!(
        refused(&[("carier", "airline")]),
        "`--map` names `carier`, and the spine is not asked for such a column"
    );
    assert_eq!(refused(&[("flights.origin", "from")]), "`--map flights.…` names a source that is not read from a file");
    let unmapped = refused(&[("carrier", "airline"), ("event_timestamp", "at")]);
    assert!(unmapped.contains("events.parquet` has no column `dep_delay`; there are `flight_id`, "), "{unmapped}");
    let twice = refused(&[("carrier", "origin"), ("event_timestamp", "at")]);
    assert!(twice.starts_with("the columns cannot be mapped: "), "{twice}");
    Ok(())
}

#[test]
fn columns_of_fewer_bits_are_kept_and_hash_like_wide_ones() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    let narrow = repository("tests/fixtures/spines/narrow.parquet");
    copy_renamed(&narrow, &setup.path("wide.parquet"), &[])?;
    let types = NarrowTypes::of(&narrow)?;
    assert_ne!(types, NarrowTypes::of(&setup.path("wide.parquet"))?);
    let replay = |spine: PathBuf, out: &str| {
        let options = ReplayOptions {
            service: "delay_model".to_owned(),
            spine,
            out: setup.path(out),
            events: vec![("departures".to_owned(), departures())],
            ..ReplayOptions::default()
        };
        runtime.replay(&options, &())
    };
    let wide = replay(setup.path("wide.parquet"), "from_wide.parquet")?;
    for out in ["out.parquet", "out.arrow", "out.csv"] {
        let manifest = replay(narrow.clone(), out)?;
        assert_eq!((manifest.dataset.hash, manifest.spine.hash), (wide.dataset.hash, wide.spine.hash), "{out}");
        let kept = if out == "out.csv" { NarrowTypes::default() } else { types.clone() };
        assert_eq!(NarrowTypes::of(&setup.path(out))?, kept, "{out}");
        assert!(runtime.verify(&manifest_path(&setup.path(out)), &())?.proved(), "{out}");
    }
    Ok(())
}

/// Stops a replay once features of so many rows are computed, and notes what went to a file.
#[derive(Default)]
struct StopsAfter {
    rows: u64,
    done: AtomicU64,
    is_counting: AtomicBool,
    spilled: AtomicU64,
}

impl StopsAfter {
    fn rows(rows: u64) -> Self {
        Self { rows, ..Self::default() }
    }
}

impl Progress for StopsAfter {
    fn phase(&self, name: &str, _total: Option<u64>) {
        self.is_counting.store(name.starts_with("replaying"), Ordering::Relaxed);
    }

    fn advance(&self, amount: u64) {
        if self.is_counting.load(Ordering::Relaxed) {
            self.done.fetch_add(amount, Ordering::Relaxed);
        }
    }

    fn spilled(&self, bytes: u64) {
        self.spilled.store(bytes, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.done.load(Ordering::Relaxed) >= self.rows
    }
}

#[test]
fn a_stopped_replay_goes_on_where_it_was_to_the_same_bits() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    runtime.ingest_file("departures", &departures(), None, &())?;
    let options = |out: &str, threads: usize| ReplayOptions {
        service: "delay_model".to_owned(),
        spine: spine(),
        out: setup.path(out),
        resources: Resources { threads, ..Resources::default() },
        ..ReplayOptions::default()
    };
    let stop = |options: &ReplayOptions, rows: u64| {
        let stopped = runtime.replay(options, &StopsAfter::rows(rows));
        stopped.map(drop).map_err(|error| error.to_string())
    };
    let whole = runtime.replay(&options("whole.parquet", 2), &())?;
    // Nothing at all, some keys of one view, most keys of both.
    for (came_since, (rows, threads)) in (0..).zip([(0, 1), (9_000, 1), (9_000, 2), (30_000, 2)]) {
        let parts = options("parts.parquet", threads);
        assert_eq!(stop(&parts, rows), Err("the replay was stopped".to_owned()));
        assert!(!parts.out.exists());
        // Before all inputs are read there is nothing to keep.
        assert_eq!(setup.path("parts.parquet.unfinished").exists(), rows > 0);
        // What the log takes meanwhile is no part of it.
        let later = format!(
            r#"{{"flight_id":"later{came_since}","carrier":"AA","origin":"JFK","dest":"LAX","distance":2475.0,"#
        ) + r#""dep_delay":2.0,"sched_time":"2014-01-05T10:00:00Z","dep_time":"2014-01-05T10:02:00Z"}"#;
        let taken = runtime.ingest("departures", Events::JsonLines(later.as_bytes()), Arrival::History)?;
        assert_eq!(taken.accepted, 1, "{taken:?}");
        let counted = StopsAfter::rows(u64::MAX);
        let resumed = runtime.replay(&options("parts.parquet", 3 - threads), &counted)?;
        assert_eq!((resumed.dataset.hash, resumed.dataset.bytes), (whole.dataset.hash, whole.dataset.bytes), "{rows}");
        assert_eq!((&resumed.features, &resumed.outcomes), (&whole.features, &whole.outcomes));
        let is_anew = u64::from(rows == 0);
        assert_eq!(resumed.events[0].rows, whole.events[0].rows + came_since + is_anew);
        assert_eq!(std::fs::read(&parts.out)?, std::fs::read(setup.path("whole.parquet"))?);
        assert!(!setup.path("parts.parquet.unfinished").exists());
        assert!(runtime.verify(&manifest_path(&parts.out), &())?.proved());
        std::fs::remove_file(&parts.out)?;
    }

    // It is bound to its inputs, and to its own bytes.
    let parts = options("parts.parquet", 1);
    assert!(stop(&parts, 9_000).is_err());
    let refused = |options: &ReplayOptions, what: &str| {
        let expected = format!(
            "`{}` holds an unfinished replay that this one cannot go on with: {what}",
            setup.path("parts.parquet.unfinished").display()
        );
        assert_eq!(stop(options, u64::MAX), Err(expected));
    };
    let other_spine = repository("tests/fixtures/spines/narrow.parquet");
    refused(&ReplayOptions { spine: other_spine, ..parts.clone() }, "the spine is another");
    copy_beginning(&departures(), &setup.path("few.parquet"))?;
    let few = vec![("departures".to_owned(), setup.path("few.parquet"))];
    refused(&ReplayOptions { events: few, ..parts.clone() }, "the events are others");
    let saved = ["0.arrow", "1.arrow"].map(|file| setup.path("parts.parquet.unfinished").join(file));
    let saved = saved.iter().max_by_key(|file| file.metadata().map_or(0, |file| file.len())).expect("there are two");
    let mut bytes = std::fs::read(saved)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(saved, bytes)?;
    refused(&parts, "a file in it was edited");
    Ok(())
}

/// Copies the first batch of a table.
fn copy_beginning(from: &Path, to: &Path) -> anyhow::Result<()> {
    let mut reader = TableReader::open(from, None, Columns::AsFound)?;
    let mut writer = TableWriter::create(to, Format::of_path(to)?, &reader.schema().clone())?;
    reader.next().into_iter().try_for_each(|batch| Ok::<_, anyhow::Error>(writer.write(&batch?)?))?;
    writer.finish()?;
    Ok(())
}

#[test]
fn a_sample_is_the_same_rows_every_time_and_finds_edits_among_them() -> anyhow::Result<()> {
    let dataset = Dataset::new()?;
    let sample = |share: &str| -> anyhow::Result<Verification> {
        let share: Share = share.parse().map_err(anyhow::Error::msg)?;
        let options = VerifyOptions { sample: Some(share), ..VerifyOptions::default() };
        Ok(dataset.runtime.verify_with(&dataset.manifest(), &options, &())?)
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

fn diff(runtime: &Runtime, before: &str, after: DiffSubject, resources: Resources) -> anyhow::Result<DiffReport> {
    let options = DiffOptions {
        before: DiffSubject::Published(before.to_owned()),
        after,
        spine: spine(),
        events: vec![("departures".to_owned(), departures())],
        map: Vec::new(),
        spine_time: None,
        resources,
        rows_max: 3,
    };
    Ok(runtime.diff(&options, &())?)
}

#[test]
fn a_version_does_not_differ_from_itself() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    let report = diff(&runtime, "delay_model", DiffSubject::Published("delay_model".to_owned()), Resources::default())?;
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
    let report = diff(&runtime, "carrier_delay", file(), Resources { threads: 1, ..Resources::default() })?;
    let by_disk = Resources { threads: 2, memory: Some(0), spill: Some(setup.path("")), ..Resources::default() };
    assert_eq!(report, diff(&runtime, "carrier_delay", file(), by_disk)?);
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
