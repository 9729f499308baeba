//! What whole paths cost: a row through a component beside the same Rust function, one row alone, a lookup inside the
//! process, and a replay of the demo's flights.
//!
//! `cargo bench -p oast-tests` takes less than a minute once it is compiled.

use std::{fs, hint::black_box, path::PathBuf, time::Duration};

use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use oast_arith::Arith;
use oast_core::{Batch, Blobs, Column, ColumnBuilder, DataType, Field, Limits, Schema, Value, Values};
use oast_engine::{Engine, Plugin};
use oast_fill::Fill;
use oast_filter::Filter;
use oast_geo::Geo;
use oast_hash_encode::HashEncode;
use oast_moments::Moments;
use oast_power::power;
use oast_ratio::ratio;
use oast_runtime::{
    ClockMode, LockFile, LookupRequest, Options, ReplayOptions, Runtime, StandardPlugin, read_definition,
};
use oast_scale::scale;
use oast_sdk::{Aggregate, BatchTransform, Buffer, Params, Row};
use oast_string::Text;
use oast_text_hash::TextHash;
use serde_json::{Map, Value as Json, json};
use tempfile::TempDir;

const ROWS: usize = 4096;
/// How many instances the bench of prepared ones keeps.
const READY: u64 = 2;
const CARRIERS: [&str; 10] = ["9E", "AA", "B6", "DL", "EV", "FL", "MQ", "UA", "US", "WN"];
const ORIGINS: [&str; 3] = ["EWR", "JFK", "LGA"];

fn group<'c>(criterion: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(20);
    group
}

fn plugin(name: &str, params: &Json, offered: &Schema) -> Plugin {
    let component = oast_plugins::plugin(name).expect("a standard plugin").component;
    let component = Engine::shared().and_then(|engine| engine.load(component)).expect("it loads");
    component.configure(&params.to_string(), offered, Limits::default()).expect("it configures")
}

fn schema(fields: &[(&str, &str)]) -> Schema {
    let field = |(name, data_type): &(&str, &str)| Field::parse(*name, data_type).expect("a type");
    Schema::new(fields.iter().map(field).collect()).expect("each name once")
}

/// Rows in which every tenth float is null, and every seventh text. The floats would do as degrees of latitude.
fn batch(schema: &Schema) -> Batch {
    let value = |field: &Field, row: usize| match field.data_type {
        DataType::Float64 => (!row.is_multiple_of(10)).then(|| Value::Float64((row % 640) as f64 / 8.0)),
        _ => (!row.is_multiple_of(7)).then(|| Value::Utf8(CARRIERS[row % CARRIERS.len()].to_owned())),
    };
    let column = |field: &Field| {
        let mut builder = ColumnBuilder::new(field.data_type);
        (0..ROWS).for_each(|row| builder.push(value(field, row).as_ref()));
        builder.finish()
    };
    Batch { rows: ROWS, columns: schema.fields().iter().map(column).collect() }
}

/// The same rows as the SDK has them.
fn sdk_batch(batch: &Batch) -> oast_sdk::Batch {
    let blobs = |blobs: &Blobs| oast_sdk::Blobs { offsets: blobs.offsets.clone(), bytes: blobs.bytes.clone() };
    let buffer = |column: &Column| match &column.values {
        Values::Float64(values) => Buffer::Float64s(values.clone()),
        Values::Utf8(texts) => Buffer::Utf8(blobs(texts)),
        other => panic!("the benches have no rows of {other:?}"),
    };
    let column = |column: &Column| oast_sdk::Column { buffer: buffer(column), validity: column.validity.clone() };
    oast_sdk::Batch { rows: batch.rows, columns: batch.columns.iter().map(column).collect() }
}

/// The plugin's own Rust, compiled for this machine instead of WebAssembly.
fn native<T: BatchTransform>(params: &Json, offered: &[(&str, &str)]) -> T {
    let params = T::Params::parse(&params.to_string()).expect("parameters");
    let column = |(name, data_type): &(&str, &str)| format!("{name}: {data_type}");
    let offered = oast_sdk::testing::schema(&offered.iter().map(column).collect::<Vec<_>>().join(", "));
    T::configure(params, &offered).expect("it configures").0
}

/// Batches of 4,096 rows through components, as a replay makes them and each in a fresh instance, and through the same Rust
/// compiled natively, columns in and columns out.
fn rows(criterion: &mut Criterion) {
    let mut group = group(criterion, "rows");
    group.throughput(Throughput::Elements(ROWS as u64));
    let (one, two) = ([("x", "float64?")], [("a", "float64?"), ("b", "float64?")]);
    let places = ["lat1", "lon1", "lat2", "lon2"].map(|name| (name, "float64?"));
    transform::<ratio>(&mut group, "ratio", &json!({}), &two);
    transform::<scale>(&mut group, "scale", &json!({ "method": "standard", "mean": 10.0, "std": 4.0 }), &one);
    transform::<power>(&mut group, "power", &json!({ "method": "log1p" }), &one);
    transform::<Arith>(&mut group, "arith", &json!({ "expression": "(a - b) / (a + b + 1)" }), &two);
    transform::<Geo>(&mut group, "geo", &json!({ "op": "haversine" }), &places);
    let mixed = [("x", "float64?"), ("s", "utf8?")];
    transform::<Fill>(&mut group, "fill", &json!({ "x": 0.0, "s": "none" }), &mixed);
    let conditions = json!({ "where": [{ "column": "x", "op": ">=", "value": 10.0 }, { "column": "s", "op": "!=", "value": "AA" }] });
    transform::<Filter>(&mut group, "filter", &conditions, &mixed);
    transform::<HashEncode>(&mut group, "hash-encode", &json!({ "width": 8 }), &mixed);
    transform::<Text>(&mut group, "string", &json!({ "op": "normalise" }), &mixed[1..]);
    transform::<TextHash>(&mut group, "text-hash", &json!({ "width": 8 }), &mixed[1..]);

    let number = schema(&[("x", "float64?")]);
    let (moments, input) = (plugin("moments", &json!({}), &number), batch(&number));
    let aggregate = moments.aggregate().expect("an aggregate");
    let counts = [ROWS as u32];
    for (instances, aggregate) in [("component", aggregate.lasting()), ("fresh", aggregate)] {
        group.bench_function(format!("moments/{instances}"), |b| {
            b.iter(|| aggregate.update(&[&[]], &counts, black_box(&input)).expect("it runs"));
        });
    }
    let rows = sdk_batch(&input);
    group.bench_function("moments/native", |b| b.iter(|| native_moments(black_box(&rows))));
    group.finish();
}

/// One transform through the component and natively.
fn transform<T: BatchTransform>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    params: &Json,
    offered: &[(&str, &str)],
) {
    let component = plugin(name, params, &schema(offered));
    let (component, input) = (component.transform().expect("a transform"), batch(&component.descriptor().input));
    for (instances, component) in [("component", component.lasting()), ("fresh", component)] {
        group.bench_function(format!("{name}/{instances}"), |b| {
            b.iter(|| component.apply(black_box(&input)).expect("it runs"));
        });
    }
    let (native, input) = (native::<T>(params, offered), sdk_batch(&input));
    group.bench_function(format!("{name}/native"), |b| {
        b.iter_batched(|| input.clone(), |rows| native.apply(rows).expect("it runs"), BatchSize::LargeInput);
    });
}

fn native_moments(rows: &oast_sdk::Batch) -> Moments {
    let mut moments = Moments::default();
    let reader = <oast_moments::Input as Row<'_>>::reader(rows).expect("a column of numbers");
    (0..rows.rows).for_each(|row| moments.update(<oast_moments::Input as Row<'_>>::read(&reader, row), &()));
    moments
}

/// One row in a fresh instance, made on demand and prepared ahead: what a derived feature costs a lookup.
fn canonical_run(criterion: &mut Criterion) {
    let mut group = group(criterion, "canonical run");
    let numbers = schema(&[("a", "float64?"), ("b", "float64?")]);
    let row = batch(&numbers).slice(1, 2);
    let on_demand = plugin("ratio", &json!({}), &numbers);
    let transform = on_demand.transform().expect("a transform");
    group.bench_function("on demand", |b| b.iter(|| transform.apply(black_box(&row)).expect("it runs")));

    let prepared = plugin("ratio", &json!({}), &numbers);
    prepared.keep_ready(READY);
    let transform = prepared.transform().expect("a transform");
    group.bench_function("prepared", |b| {
        b.iter_batched(
            || {
                while Engine::shared().expect("an engine").ready_stats().ready < READY {
                    std::thread::yield_now()
                }
            },
            |()| transform.apply(black_box(&row)).expect("it runs"),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The demo's definitions, published in a data directory of their own.
fn demo(dir: &TempDir) -> Runtime {
    let standard = oast_plugins::standard().iter();
    let standard = standard.map(|plugin| StandardPlugin { name: plugin.name, component: plugin.component }).collect();
    let data = dir.path().join("data");
    let runtime = Runtime::open(Options {
        data,
        create: true,
        standard,
        clock: ClockMode::Simulated,
        receipts: Default::default(),
        receipts_kept: None,
    })
    .expect("a data directory");
    let definition = dir.path().join("oast.toml");
    fs::copy(repository("host/cli/demo/oast.toml"), &definition).expect("the demo's definition");
    let definition = read_definition(&definition).expect("the demo's definition is sound");
    runtime.apply(&definition, &LockFile::default(), dir.path()).expect("it is published");
    runtime
}

fn ingest(runtime: &Runtime) {
    let departures = repository("host/cli/demo/departures.parquet");
    let report = runtime.ingest_file("departures", &departures, None, &()).expect("events are taken");
    assert!(report.accepted > 0, "{:?}", report.quarantined.first());
    runtime.start(&()).expect("the views catch up");
}

fn request(entities: usize) -> LookupRequest {
    let object = |json: Json| match json {
        Json::Object(object) => object,
        other => panic!("an object: {other}"),
    };
    let entity = |at: usize| object(json!({ "carrier": CARRIERS[at % 10], "origin": ORIGINS[at % 3] }));
    let fields: Map<String, Json> = object(json!({ "distance": 733.0 }));
    LookupRequest {
        service: "delay_model".to_owned(),
        entities: (0..entities).map(entity).collect(),
        request: vec![fields; entities],
        at: Some(Json::from("2013-02-01T00:00:00Z")),
        ..LookupRequest::default()
    }
}

/// A lookup of the demo's 49 features, without HTTP.
fn lookups(criterion: &mut Criterion) {
    let dir = TempDir::new().expect("a temporary directory");
    let runtime = demo(&dir);
    ingest(&runtime);
    let mut group = group(criterion, "lookup");
    for entities in [1, 100] {
        let request = request(entities);
        let response = runtime.lookup(&request).expect("the lookup is answered");
        assert!(response.rows[0].values.iter().any(|value| !value.is_null()), "the entity is known: {response:?}");
        group.throughput(Throughput::Elements(entities as u64));
        group.bench_function(format!("{entities} entities"), |b| {
            b.iter(|| runtime.lookup(&request).expect("an answer"))
        });
    }
    group.finish();
}

/// The demo's training set: rows of the spine a second.
fn replay(criterion: &mut Criterion) {
    let dir = TempDir::new().expect("a temporary directory");
    let runtime = demo(&dir);
    let options = ReplayOptions {
        service: "delay_model".to_owned(),
        spine: repository("host/cli/demo/spine.parquet"),
        out: dir.path().join("training.parquet"),
        events: vec![("departures".to_owned(), repository("host/cli/demo/departures.parquet"))],
        ..ReplayOptions::default()
    };
    let mut group = group(criterion, "replay");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(26_865));
    group.bench_function("demo", |b| b.iter(|| runtime.replay(&options, &()).expect("it replays")));
    group.finish();
}

criterion_group!(paths, rows, canonical_run, lookups, replay);
criterion_main!(paths);
