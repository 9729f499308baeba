//! Replays of more than memory holds: the same dataset, bit for bit, and nothing left on the disk.

use std::{
    num::NonZero,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use oast_runtime::{
    Batch, ClockMode, Column, DataType, Field, Format, Manifest, Progress, ReplayOptions, Resources, Runtime,
    RuntimeError, Schema, TableWriter, Values, VerifyOptions, manifest_path,
};
use proptest::{prelude::*, test_runner::TestRunner};

use crate::support::Setup;

const DEFINITION: &str = r#"
[source.clicks]
keys = { user = "int64", page = "utf8" }
event_time = "at"
available_time = "known"
idempotency_key = "id"
fields = { id = "int64", price = "float64?", note = "utf8" }
max_future = "30d"

[view.by_user]
source = "clicks"
entity = ["user"]
transform = [{ plugin = "fill", params = { price = 0.0 } }]

[[view.by_user.aggregate]]
plugin = "moments"
input = ["price"]
windows = ["1h", "7d"]
outputs = ["count", "sum", "mean"]

[view.by_page]
source = "clicks"
entity = ["page"]
ttl = "10d"

[[view.by_page.aggregate]]
plugin = "last"
input = ["price"]
windows = ["24h"]

[view.newest]
source = "clicks"
entity = ["user", "page"]
ttl = "5d"
latest = ["price", "note"]

[service.shop]
features = ["by_user:*", "by_page:*", "newest:*"]
"#;

/// Some numbers that look like chance and are always the same.
fn chance(seed: u64, at: u64) -> u64 {
    let mixed = (seed ^ at.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 31).wrapping_mul(0x94d0_49bb_1331_11eb) >> 20
}

fn column(values: Values) -> Column {
    Column { values, validity: None }
}

const MINUTE: i64 = 60_000_000;

/// Clicks in no order of time, a tenth of them sent twice. Every other click is of one user.
fn clicks(seed: u64, rows: u64) -> (Schema, Batch) {
    let id = |row: u64| row - row % 10 / 9;
    let number = |row: u64, salt: u64| chance(seed ^ salt, id(row));
    let at = |row: u64| (number(row, 1) % 40_000) as i64 * MINUTE / 2;
    let late = |row: u64| (number(row, 2) % 3_000) as i64 * MINUTE * i64::from(number(row, 3).is_multiple_of(5));
    let int64 = |value: &dyn Fn(u64) -> i64| Values::Int64((0..rows).map(value).collect());
    let user = |row: u64| if number(row, 4).is_multiple_of(2) { 7 } else { (number(row, 4) % 3_001) as i64 };
    let prices = (0..rows).map(|row| number(row, 6) as f64 / 7.0).collect();
    let validity = (0..rows).map(|row| u8::from(!number(row, 7).is_multiple_of(11))).collect();
    let note = |row: u64| "ä note that takes up some room ".repeat(1 + (number(row, 8) % 4) as usize);
    let fields = [
        Field::new("id", DataType::Int64),
        Field::new("user", DataType::Int64),
        Field::new("page", DataType::Utf8),
        Field::new("at", DataType::Timestamp),
        Field::new("known", DataType::Timestamp),
        Field::nullable("price", DataType::Float64),
        Field::new("note", DataType::Utf8),
    ];
    let columns = vec![
        column(int64(&|row| id(row) as i64)),
        column(int64(&user)),
        column(Values::Utf8((0..rows).map(|row| format!("page {}", number(row, 5) % 40)).collect())),
        column(Values::Timestamp((0..rows).map(at).collect())),
        column(Values::Timestamp((0..rows).map(|row| at(row) + late(row)).collect())),
        Column { values: Values::Float64(prices), validity: Some(validity) },
        column(Values::Utf8((0..rows).map(note).collect())),
    ];
    let schema = Schema::new(fields.into()).expect("the names differ");
    (schema, Batch { rows: rows as usize, columns })
}

/// Lookups in no order of time, some of users that nobody knows and some without a page.
fn spine(seed: u64, rows: u64) -> (Schema, Batch) {
    let number = |row: u64, salt: u64| chance(seed ^ salt, row);
    let user = |row: u64| if number(row, 11).is_multiple_of(3) { 7 } else { (number(row, 11) % 4_001) as i64 };
    let fields = [
        Field::new("user", DataType::Int64),
        Field::nullable("page", DataType::Utf8),
        Field::new("event_timestamp", DataType::Timestamp),
        Field::new("label", DataType::Utf8),
    ];
    let pages = (0..rows).map(|row| match number(row, 12) % 50 {
        40.. => String::new(),
        page => format!("page {page}"),
    });
    let validity = (0..rows).map(|row| u8::from(number(row, 12) % 50 < 40)).collect();
    let columns = vec![
        column(Values::Int64((0..rows).map(user).collect())),
        Column { values: Values::Utf8(pages.collect()), validity: Some(validity) },
        column(Values::Timestamp((0..rows).map(|row| (number(row, 13) % 45_000) as i64 * MINUTE / 2).collect())),
        column(Values::Utf8((0..rows).map(|row| format!("row {row}")).collect())),
    ];
    let schema = Schema::new(fields.into()).expect("the names differ");
    (schema, Batch { rows: rows as usize, columns })
}

/// Writes a table into so many files of a folder.
fn write(folder: &Path, (schema, rows): &(Schema, Batch), files: usize, extension: &str) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let per_file = rows.rows.div_ceil(files).max(1);
    for (file, start) in (0..rows.rows).step_by(per_file).enumerate() {
        let path = folder.join(format!("{file:03}.{extension}"));
        let mut writer = TableWriter::create(&path, Format::of_path(&path)?, schema)?;
        writer.write(&rows.slice(start, rows.rows.min(start + per_file)))?;
        writer.finish()?;
    }
    Ok(folder.to_owned())
}

/// Notes what went to the disk, and stops once features of so many rows are computed.
struct Watch {
    spilled: AtomicU64,
    left: AtomicU64,
    is_computing: std::sync::atomic::AtomicBool,
}

impl Watch {
    fn stopping_after(rows: u64) -> Self {
        Self { spilled: AtomicU64::new(0), left: AtomicU64::new(rows), is_computing: false.into() }
    }

    fn new() -> Self {
        Self::stopping_after(u64::MAX)
    }
}

impl Progress for Watch {
    fn phase(&self, name: &str, _total: Option<u64>) {
        self.is_computing.store(name.starts_with("replaying"), Ordering::Relaxed);
    }

    fn advance(&self, amount: u64) {
        if self.is_computing.load(Ordering::Relaxed) {
            let left = |left: u64| Some(left.saturating_sub(amount));
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).expect("there is always an answer");
        }
    }

    fn spilled(&self, bytes: u64) {
        self.spilled.store(bytes, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

struct Shop {
    setup: Setup,
    runtime: Runtime,
    events: (Schema, Batch),
    spine: (Schema, Batch),
}

impl Shop {
    fn new(seed: u64, events: u64, spine_rows: u64) -> anyhow::Result<Self> {
        let setup = Setup::new()?;
        let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
        let shop = Self { setup, runtime, events: clicks(seed, events), spine: spine(seed, spine_rows) };
        write(&shop.setup.path("events"), &shop.events, 1, "parquet")?;
        write(&shop.setup.path("spine"), &shop.spine, 1, "parquet")?;
        Ok(shop)
    }

    fn options(&self, out: &str) -> ReplayOptions {
        ReplayOptions {
            service: "shop".to_owned(),
            spine: self.setup.path("spine"),
            out: self.setup.path(out),
            events: vec![("clicks".to_owned(), self.setup.path("events"))],
            resources: Resources { threads: 2, ..Resources::default() },
            ..ReplayOptions::default()
        }
    }

    /// Replays; returns the manifest and how many bytes went to the disk.
    fn replay(&self, options: &ReplayOptions) -> anyhow::Result<(Manifest, u64)> {
        let watch = Watch::new();
        let manifest = self.runtime.replay(options, &watch)?;
        Ok((manifest, watch.spilled.into_inner()))
    }
}

fn memory(bytes: u64) -> Resources {
    Resources { memory: Some(bytes), ..Resources::default() }
}

/// Everything that a manifest says of the dataset, but not where it is and how long it took.
fn said(manifest: &Manifest) -> impl PartialEq + std::fmt::Debug {
    let manifest = manifest.clone();
    let events: Vec<_> = manifest.events.iter().map(|events| (events.hash, events.rows, events.duplicates)).collect();
    let counts = (manifest.outcomes, manifest.failed_events, manifest.audited_rows, manifest.features);
    (manifest.dataset.hash, manifest.dataset.bytes, manifest.spine.hash, events, counts)
}

#[test]
fn a_replay_with_little_memory_goes_by_the_disk_to_the_same_bytes() -> anyhow::Result<()> {
    let shop = Shop::new(3, 300_000, 60_000)?;
    let (plain, none) = shop.replay(&shop.options("plain.parquet"))?;
    assert_eq!((none, plain.events[0].rows, plain.events[0].duplicates), (0, 270_000, 30_000));
    let bytes = std::fs::read(shop.setup.path("plain.parquet"))?;

    let elsewhere = shop.setup.path("elsewhere");
    std::fs::create_dir(&elsewhere)?;
    for (memory, spill) in [(8 << 20, None), (8 << 20, Some(&elsewhere)), (0, None)] {
        let resources = Resources { memory: Some(memory), spill: spill.cloned(), ..Resources::default() };
        let options = ReplayOptions { resources, ..shop.options("tight.parquet") };
        let (tight, spilled) = shop.replay(&options)?;
        assert!(spilled > 20 << 20, "{spilled} bytes went to the disk with {memory} of memory");
        assert_eq!(said(&tight), said(&plain));
        assert!(std::fs::read(&options.out)? == bytes, "{memory}");
        assert_eq!(std::fs::read_dir(&elsewhere)?.count(), 0);
    }
    let names = std::fs::read_dir(shop.setup.dir.path())?.map(|entry| Ok(entry?.file_name().into_string().ok()));
    let names: Vec<_> = names.collect::<std::io::Result<_>>()?;
    assert!(!names.iter().flatten().any(|name| name.contains("spill") || name.contains("aside")), "{names:?}");
    let (options, watch) = (VerifyOptions { resources: memory(0), ..VerifyOptions::default() }, Watch::new());
    assert!(shop.runtime.verify_with(&manifest_path(&shop.setup.path("tight.parquet")), &options, &watch)?.proved());
    assert!(watch.spilled.into_inner() > 20 << 20);
    Ok(())
}

#[test]
fn a_replay_from_the_log_with_little_memory_is_the_same() -> anyhow::Result<()> {
    let shop = Shop::new(4, 60_000, 20_000)?;
    let events = shop.setup.path("events").join("000.parquet");
    shop.runtime.ingest_file("clicks", &events, None, &())?;
    let from_log = ReplayOptions { events: Vec::new(), ..shop.options("log.arrow") };
    let (plain, none) = shop.replay(&from_log)?;
    let (tight, spilled) = shop.replay(&ReplayOptions { resources: memory(1 << 20), ..from_log })?;
    assert!(none == 0 && spilled > 0);
    assert_eq!(said(&tight), said(&plain));
    let (snapshot, _) = shop.replay(&shop.options("snapshot.arrow"))?;
    assert_eq!((snapshot.dataset.hash, snapshot.events[0].hash), (plain.dataset.hash, plain.events[0].hash));
    Ok(())
}

#[test]
fn a_stopped_replay_with_little_memory_goes_on_to_the_same_bytes() -> anyhow::Result<()> {
    let shop = Shop::new(5, 80_000, 30_000)?;
    let (plain, _) = shop.replay(&shop.options("plain.parquet"))?;
    for (rows, bytes) in [(10_000, 1 << 20), (70_000, 0)] {
        let name = format!("parts-{rows}.parquet");
        let options = ReplayOptions { resources: memory(bytes), ..shop.options(&name) };
        let unfinished = shop.setup.path(&format!("{name}.unfinished"));
        let stopped = shop.runtime.replay(&options, &Watch::stopping_after(rows));
        assert!(matches!(stopped, Err(RuntimeError::Stopped)), "{stopped:?}");
        assert!(!options.out.exists() && unfinished.exists());
        let counted = Watch::new();
        let resumed = shop.runtime.replay(&options, &counted)?;
        assert_eq!(said(&resumed), said(&plain));
        let computed = u64::MAX - counted.left.into_inner();
        assert!(computed <= 3 * 30_000 - rows, "{computed} rows were computed after {rows} were done");
        assert!(std::fs::read(&options.out)? == std::fs::read(shop.setup.path("plain.parquet"))?);
        assert!(!unfinished.exists());
    }
    Ok(())
}

#[test]
fn a_spill_folder_that_is_not_there_is_an_error_and_leaves_nothing() -> anyhow::Result<()> {
    let shop = Shop::new(6, 20_000, 5_000)?;
    let missing = shop.setup.path("missing");
    let resources = Resources { spill: Some(missing.clone()), ..memory(0) };
    let options = ReplayOptions { resources: resources.clone(), ..shop.options("none.parquet") };
    let error = shop.runtime.replay(&options, &()).expect_err("there is no such folder");
    let expected = format!("cannot create a file for what memory cannot hold in `{}`", missing.display());
    assert_eq!((error.to_string(), error.hint()), (expected, Some("check the path".to_owned())));
    assert!(!options.out.exists() && !manifest_path(&options.out).exists() && !missing.exists());
    // With room for everything nobody looks for it.
    assert_eq!(shop.replay(&ReplayOptions { resources: Resources { memory: None, ..resources }, ..options })?.1, 0);
    Ok(())
}

#[test]
fn the_dataset_is_the_same_for_every_memory_split_slice_format_and_number_of_threads() -> anyhow::Result<()> {
    let shop = Shop::new(1, 10, 10)?;
    let memory = prop_oneof![Just(None), (0_u64..4 << 20).prop_map(Some)];
    let formats = vec![("parquet", "csv"), ("csv", "arrow"), ("jsonl", "parquet"), ("arrow", "parquet")];
    // The user of every other click has more events than these, so keys go from one slice of events to the next.
    let at_once = prop_oneof![Just(None), (1_usize..20_000).prop_map(NonZero::new)];
    let limits = (memory, at_once, 1_usize..4);
    let cases = (any::<u64>(), limits, (1_usize..5, 1_usize..5), prop::sample::select(formats));
    let config = ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() };
    let run = |(seed, (memory, events_at_once, threads), files, formats)| {
        let resources = Resources { threads, memory, events_at_once, ..Resources::default() };
        let options = ReplayOptions { resources, ..shop.options("") };
        check_case(&shop, seed, options, files, formats)
    };
    Ok(TestRunner::new(config)
        .run(&cases, |case| run(case).map_err(|error| TestCaseError::fail(format!("{error:#}"))))?)
}

/// Compares a replay of some files with one of a single file of Parquet that has all the memory it wants.
fn check_case(
    shop: &Shop,
    seed: u64,
    options: ReplayOptions,
    files: (usize, usize),
    formats: (&str, &str),
) -> anyhow::Result<()> {
    let (events, spine) = (clicks(seed, 30_000), spine(seed, 20_000));
    let inputs = tempfile::tempdir()?;
    let replay = |name: &str, files: (usize, usize), formats: (&str, &str), options: ReplayOptions| {
        let out = inputs.path().join(format!("{name}.parquet"));
        let options = ReplayOptions {
            spine: write(&inputs.path().join(name).join("spine"), &spine, files.1, formats.1)?,
            events: vec![(
                "clicks".to_owned(),
                write(&inputs.path().join(name).join("events"), &events, files.0, formats.0)?,
            )],
            out: out.clone(),
            ..options
        };
        Ok::<_, anyhow::Error>((shop.replay(&options)?.0, std::fs::read(out)?))
    };
    let (plain, bytes) = replay("plain", (1, 1), ("parquet", "parquet"), shop.options(""))?;
    let has_slices = options.resources.events_at_once.is_some();
    let (mut other, other_bytes) = replay("other", files, formats, options)?;
    if has_slices {
        // Which rows are run again, and so how many, follows from their places in the slice.
        other.audited_rows = plain.audited_rows;
    }
    assert_eq!((other.events[0].hash, other.dataset.rows), (plain.events[0].hash, plain.dataset.rows));
    assert_eq!(other.features, plain.features);
    // Text does not say which columns can be null, so the dataset of a spine in CSV has another schema.
    if formats.1 != "csv" {
        assert_eq!(said(&other), said(&plain));
        assert!(other_bytes == bytes, "the bytes are others");
    }
    Ok(())
}
