//! What fuel and the NaN rule cost: batches of 4,096 rows through one instance of a standard plugin, under the settings of the
//! engine and with one of them turned off.

#[path = "../src/wire.rs"]
#[expect(dead_code, reason = "the bench calls one function of the contract with these types")]
mod wire;

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use oast_core::{Batch, ColumnBuilder, DataType, Field, Schema, Value};
use wasmtime::{
    Config, Engine, Store,
    component::{Component, Linker, TypedFunc},
};
use wire::{BatchArg, WireDescriptor, WireField, WireOutput, wire_fields};

const ROWS: usize = 4096;
const PLUGIN: &str = "oast:transform/plugin@0.2.0";
const TRANSFORM: &str = "oast:transform/transform@0.2.0";

type Configure<'a> = TypedFunc<(&'a str, &'a [WireField]), (Result<WireDescriptor, String>,)>;
type Apply<'a> = TypedFunc<(BatchArg<'a>,), (Result<WireOutput, String>,)>;

/// A plugin with parameters that suit the columns `x` and `s`.
struct Subject {
    name: &'static str,
    params: &'static str,
    columns: &'static [(&'static str, &'static str)],
}

const SUBJECTS: [Subject; 2] = [
    Subject { name: "fill", params: r#"{"s":"none","x":0.5}"#, columns: &[("s", "utf8?"), ("x", "float64?")] },
    Subject { name: "ratio", params: "{}", columns: &[("numerator", "float64?"), ("denominator", "float64?")] },
];

fn schema(subject: &Subject) -> Schema {
    let fields = subject.columns.iter().map(|(name, data_type)| Field::parse(*name, data_type).expect("a type"));
    Schema::new(fields.collect()).expect("each name once")
}

fn batch(schema: &Schema) -> Batch {
    let value = |field: &Field, row: usize| match field.data_type {
        DataType::Float64 => (!row.is_multiple_of(10)).then(|| Value::Float64(row as f64 / 8.0)),
        _ => (!row.is_multiple_of(7)).then(|| Value::Utf8(format!("N{row}"))),
    };
    let column = |field: &Field| {
        let mut builder = ColumnBuilder::new(field.data_type);
        (0..ROWS).for_each(|row| builder.push(value(field, row).as_ref()));
        builder.finish()
    };
    Batch { rows: ROWS, columns: schema.fields().iter().map(column).collect() }
}

/// The settings that matter here, as the engine has them, but for the one that is changed.
fn engine(change: fn(&mut Config) -> &mut Config) -> Engine {
    let mut config = Config::new();
    config.cranelift_nan_canonicalization(true).consume_fuel(true).concurrency_support(false);
    config.memory_reservation(4 << 30).wasm_backtrace_max_frames(None);
    change(&mut config);
    Engine::new(&config).expect("the settings agree")
}

fn bench(criterion: &mut Criterion, subject: &Subject, variant: &str, engine: &Engine) {
    let bytes = oast_plugins::plugin(subject.name).expect("a standard plugin").component;
    let component = Component::from_binary(engine, bytes).expect("it compiles");
    let mut store = Store::new(engine, ());
    store.set_fuel(u64::MAX).ok();
    let instance = Linker::new(engine).instantiate(&mut store, &component).expect("it has no imports");
    let function = |interface, function| {
        let interface = component.get_export_index(None, interface).expect("the interface");
        component.get_export_index(Some(&interface), function).expect("the function")
    };
    let schema = schema(subject);
    let fields = wire_fields(&schema);
    let configure: Configure<'_> =
        instance.get_typed_func(&mut store, function(PLUGIN, "configure")).expect("of this type");
    configure.call(&mut store, (subject.params, &fields)).expect("a call").0.expect("parameters that suit");
    let apply: Apply<'_> = instance.get_typed_func(&mut store, function(TRANSFORM, "apply")).expect("of this type");
    let rows = batch(&schema);
    let mut group = criterion.benchmark_group(format!("settings/{}", subject.name));
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(20);
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function(variant, |b| {
        b.iter(|| apply.call(&mut store, (BatchArg::from(black_box(&rows)),)).expect("a call").0.expect("an output"));
    });
    group.finish();
}

fn settings(criterion: &mut Criterion) {
    for subject in &SUBJECTS {
        bench(criterion, subject, "as the engine has them", &engine(|config| config));
        bench(criterion, subject, "without fuel", &engine(|config| config.consume_fuel(false)));
        let engine = engine(|config| config.cranelift_nan_canonicalization(false));
        bench(criterion, subject, "without the NaN rule", &engine);
    }
}

criterion_group!(benches, settings);
criterion_main!(benches);
