//! What folding rows costs through the component of each standard aggregate, as a replay calls it and in a fresh instance a
//! call, beside the same Rust compiled natively: 4,096 rows into one state, which is then kept as bytes.

use std::{hint::black_box, time::Duration};

use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use oast_core::{Batch, Blobs, Column, ColumnBuilder, DataType, Field, Limits, Schema, Timestamp, Value, Values};
use oast_engine::{Engine, Plugin};
use oast_sdk::{BatchAggregate, Buffer, Fold, Params};

const ROWS: usize = 4096;
const WORDS: [&str; 10] = ["9E", "AA", "B6", "DL", "EV", "FL", "MQ", "UA", "US", "WN"];

fn schema(columns: &[(&str, &str)]) -> Schema {
    let field = |(name, data_type): &(&str, &str)| Field::parse(*name, data_type).expect("a type");
    Schema::new(columns.iter().map(field).collect()).expect("each name once")
}

/// Rows a second apart, every tenth value null.
fn batch(schema: &Schema) -> Batch {
    let value = |field: &Field, row: usize| match field.data_type {
        DataType::Bool => Value::Bool(row.is_multiple_of(3)),
        DataType::Float64 => Value::Float64((row * 7919 % 1000) as f64 / 8.0 - 20.0),
        DataType::Timestamp => Value::Timestamp(Timestamp::from_micros(row as i64 * 1_000_000)),
        DataType::Utf8 => Value::Utf8(WORDS[row * 7919 % WORDS.len()].to_owned()),
        other => panic!("no aggregate is timed with {other}"),
    };
    let column = |field: &Field| {
        let mut builder = ColumnBuilder::new(field.data_type);
        let is_null = |row: usize| field.nullable && row.is_multiple_of(10);
        (0..ROWS).for_each(|row| builder.push((!is_null(row)).then(|| value(field, row)).as_ref()));
        builder.finish()
    };
    Batch { rows: ROWS, columns: schema.fields().iter().map(column).collect() }
}

/// The same rows as the SDK has them.
fn sdk_batch(batch: &Batch) -> oast_sdk::Batch {
    let blobs = |blobs: &Blobs| oast_sdk::Blobs { offsets: blobs.offsets.clone(), bytes: blobs.bytes.clone() };
    let buffer = |column: &Column| match &column.values {
        Values::Bool(values) => Buffer::Bools(values.clone()),
        Values::Float64(values) => Buffer::Float64s(values.clone()),
        Values::Timestamp(values) => Buffer::Timestamps(values.clone()),
        Values::Utf8(texts) => Buffer::Utf8(blobs(texts)),
        other => panic!("no aggregate is timed with {other:?}"),
    };
    let column = |column: &Column| oast_sdk::Column { buffer: buffer(column), validity: column.validity.clone() };
    oast_sdk::Batch { rows: batch.rows, columns: batch.columns.iter().map(column).collect() }
}

fn plugin(name: &str, params: &str, offered: &Schema) -> Plugin {
    let component = oast_plugins::plugin(name).expect("a standard plugin").component;
    let component = Engine::shared().and_then(|engine| engine.load(component)).expect("it loads");
    component.configure(params, offered, Limits::default()).expect("it configures")
}

/// Folds the rows and encodes the state, as the component does.
fn fold<A: BatchAggregate>(aggregate: &A, mut rows: oast_sdk::Batch) -> Vec<u8> {
    let count = rows.rows;
    let mut state = A::State::default();
    let reader = aggregate.rows(&mut rows).expect("columns that suit");
    aggregate.update(&mut state, &reader, 0..count).expect("rows that fold");
    oast_sdk::state::to_bytes(&state)
}

fn aggregate<A: BatchAggregate>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    params: &str,
    offered: &[(&str, &str)],
) {
    let plugin = plugin(name, params, &schema(offered));
    let rows = batch(&plugin.descriptor().input);
    let component = plugin.aggregate().expect("an aggregate");
    let counts = [ROWS as u32];
    for (instances, component) in [("component", component.lasting()), ("fresh", component)] {
        group.bench_function(format!("{name}/{instances}"), |b| {
            b.iter(|| component.update(&[&[]], &counts, black_box(&rows)).expect("it runs"));
        });
    }
    let listed: Vec<_> = offered.iter().map(|(name, data_type)| format!("{name}: {data_type}")).collect();
    let offered = oast_sdk::testing::schema(&listed.join(", "));
    let (native, _) = A::configure(A::Params::parse(params).expect("parameters"), &offered).expect("it configures");
    let rows = sdk_batch(&rows);
    group.bench_function(format!("{name}/native"), |b| {
        b.iter_batched(|| rows.clone(), |rows| fold(&native, rows), BatchSize::LargeInput);
    });
}

fn aggregates(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("aggregates");
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(20);
    group.throughput(Throughput::Elements(ROWS as u64));
    let (flag, number, text) = ([("x", "bool?")], [("x", "float64?")], [("x", "utf8?")]);
    aggregate::<Fold<oast_bool_counts::BoolCounts>>(&mut group, "bool-counts", "{}", &flag);
    aggregate::<oast_collect_set::CollectSet>(&mut group, "collect-set", "{}", &text);
    let pair = [("x", "float64?"), ("y", "float64?")];
    aggregate::<Fold<oast_correlation::Correlation>>(&mut group, "correlation", "{}", &pair);
    aggregate::<oast_distinct::Distinct>(&mut group, "distinct", "{}", &text);
    aggregate::<Fold<oast_ewma::Ewma>>(&mut group, "ewma", r#"{"half_life_seconds":60}"#, &number);
    aggregate::<oast_extrema::Extrema>(&mut group, "extrema", "{}", &number);
    aggregate::<oast_first::First>(&mut group, "first", "{}", &text);
    aggregate::<oast_histogram::Histogram>(&mut group, "histogram", r#"{"edges":[0,15,60]}"#, &number);
    aggregate::<oast_last::Last>(&mut group, "last", "{}", &text);
    aggregate::<oast_last_n::LastN>(&mut group, "last-n", r#"{"n":10}"#, &number);
    aggregate::<Fold<oast_moments::Moments>>(&mut group, "moments", "{}", &number);
    aggregate::<oast_quantiles::Quantiles>(&mut group, "quantiles", r#"{"percentiles":[50,90,99]}"#, &number);
    aggregate::<oast_rate::Rate>(&mut group, "rate", "{}", &number);
    aggregate::<oast_top_k::TopK>(&mut group, "top-k", r#"{"k":5}"#, &text);
    group.finish();
}

criterion_group!(benches, aggregates);
criterion_main!(benches);
