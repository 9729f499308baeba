//! What single settings of the engine cost: batches of 4,096 rows through a standard plugin, under the settings of the engine and
//! with one of them changed.

#[path = "../src/wire.rs"]
#[expect(dead_code, reason = "the bench calls one function of the contract with these types")]
mod wire;

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use oast_core::{Batch, ColumnBuilder, DataType, Field, Schema, Value};
use oast_engine::make_nans_canonical;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    component::{Component, ComponentExportIndex, InstancePre, Linker, TypedFunc},
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

const SUBJECTS: [Subject; 3] = [
    Subject { name: "fill", params: r#"{"s":"none","x":0.5}"#, columns: &[("s", "utf8?"), ("x", "float64?")] },
    Subject { name: "ratio", params: "{}", columns: &[("numerator", "float64?"), ("denominator", "float64?")] },
    Subject {
        name: "geo",
        params: r#"{"op":"haversine"}"#,
        columns: &[("lat1", "float64?"), ("lon1", "float64?"), ("lat2", "float64?"), ("lon2", "float64?")],
    },
];

fn schema(subject: &Subject) -> Schema {
    let fields = subject.columns.iter().map(|(name, data_type)| Field::parse(*name, data_type).expect("a type"));
    Schema::new(fields.collect()).expect("each name once")
}

fn batch(schema: &Schema) -> Batch {
    let value = |field: &Field, row: usize| match field.data_type {
        DataType::Float64 => (!row.is_multiple_of(10)).then(|| Value::Float64((row % 640) as f64 / 8.0)),
        _ => (!row.is_multiple_of(7)).then(|| Value::Utf8(format!("N{row}"))),
    };
    let column = |field: &Field| {
        let mut builder = ColumnBuilder::new(field.data_type);
        (0..ROWS).for_each(|row| builder.push(value(field, row).as_ref()));
        builder.finish()
    };
    Batch { rows: ROWS, columns: schema.fields().iter().map(column).collect() }
}

/// The settings that matter here, as the engine has them.
fn settings() -> (Config, PoolingAllocationConfig) {
    let (mut config, mut pool) = (Config::new(), PoolingAllocationConfig::new());
    config.consume_fuel(true).concurrency_support(false);
    config.memory_reservation(4 << 30).memory_guard_size(32 << 20).wasm_backtrace_max_frames(None);
    pool.linear_memory_keep_resident(4 << 20).table_keep_resident(20_000 * size_of::<usize>());
    pool.pagemap_scan(Enabled::No).max_memory_size(64 << 20).total_memories(8).total_core_instances(64);
    (config, pool)
}

fn start((mut config, pool): (Config, PoolingAllocationConfig)) -> Engine {
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).expect("the settings agree")
}

fn as_it_is() -> Engine {
    start(settings())
}

fn with_config(change: fn(&mut Config) -> &mut Config) -> Engine {
    let (mut config, pool) = settings();
    change(&mut config);
    start((config, pool))
}

fn with_pool(change: fn(&mut PoolingAllocationConfig) -> &mut PoolingAllocationConfig) -> Engine {
    let (config, mut pool) = settings();
    change(&mut pool);
    start((config, pool))
}

/// Whether a component is rewritten so that its NaNs are canonical.
#[derive(Clone, Copy)]
enum Nans {
    Rewritten,
    AsTheyAre,
}

/// A plugin compiled under the settings of one engine.
struct Compiled<'s> {
    subject: &'s Subject,
    pre: InstancePre<()>,
    configure: ComponentExportIndex,
    apply: ComponentExportIndex,
}

impl<'s> Compiled<'s> {
    fn new(subject: &'s Subject, engine: &Engine, nans: Nans) -> Self {
        let bytes = oast_plugins::plugin(subject.name).expect("a standard plugin").component;
        let component = match nans {
            Nans::Rewritten => {
                let bytes = make_nans_canonical(bytes).expect("a valid component");
                Component::from_binary(engine, &bytes)
            }
            Nans::AsTheyAre => Component::from_binary(engine, bytes),
        };
        let component = component.expect("it compiles");
        let function = |interface, function| {
            let interface = component.get_export_index(None, interface).expect("the interface");
            component.get_export_index(Some(&interface), function).expect("the function")
        };
        let (configure, apply) = (function(PLUGIN, "configure"), function(TRANSFORM, "apply"));
        let pre = Linker::new(engine).instantiate_pre(&component).expect("it has no imports");
        Self { subject, pre, configure, apply }
    }

    /// A fresh instance that has its parameters.
    fn instance(&self, fields: &[WireField]) -> (Store<()>, Apply<'_>) {
        let mut store = Store::new(self.pre.engine(), ());
        store.set_fuel(u64::MAX).ok();
        let instance = self.pre.instantiate(&mut store).expect("there is room");
        let configure: Configure<'_> = instance.get_typed_func(&mut store, self.configure).expect("of this type");
        configure.call(&mut store, (self.subject.params, fields)).expect("a call").0.expect("parameters that suit");
        let apply = instance.get_typed_func(&mut store, self.apply).expect("of this type");
        (store, apply)
    }
}

fn group<'c>(criterion: &'c mut Criterion, name: String) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(20);
    group.throughput(Throughput::Elements(ROWS as u64));
    group
}

/// What the rules cost a batch: one instance that is called again and again.
fn rules(criterion: &mut Criterion) {
    let engines = [
        ("as the engine has them", as_it_is(), Nans::Rewritten),
        ("without fuel", with_config(|config| config.consume_fuel(false)), Nans::Rewritten),
        ("without the NaN rule", as_it_is(), Nans::AsTheyAre),
        (
            "with the NaN rule of wasmtime",
            with_config(|config| config.cranelift_nan_canonicalization(true)),
            Nans::AsTheyAre,
        ),
    ];
    for subject in &SUBJECTS {
        let schema = schema(subject);
        let (fields, rows) = (wire_fields(&schema), batch(&schema));
        let mut group = group(criterion, format!("rules/{}", subject.name));
        for (variant, engine, nans) in &engines {
            let compiled = Compiled::new(subject, engine, *nans);
            let (mut store, apply) = compiled.instance(&fields);
            let mut call = || apply.call(&mut store, (BatchArg::from(black_box(&rows)),));
            group.bench_function(*variant, |b| b.iter(|| call().expect("a call").0.expect("an output")));
        }
    }
}

/// What the ways of keeping instances cost: a fresh instance for each batch, as every call of the engine has one.
fn instances(criterion: &mut Criterion) {
    let engines = [
        ("as the engine has them", as_it_is()),
        ("with nothing kept resident", with_pool(|pool| pool.linear_memory_keep_resident(0).table_keep_resident(0))),
        ("with only written pages cleared", with_pool(|pool| pool.pagemap_scan(Enabled::Auto))),
    ];
    for subject in &SUBJECTS {
        let schema = schema(subject);
        let (fields, rows) = (wire_fields(&schema), batch(&schema));
        let mut group = group(criterion, format!("instances/{}", subject.name));
        for (variant, engine) in &engines {
            let compiled = Compiled::new(subject, engine, Nans::Rewritten);
            let call = || {
                let (mut store, apply) = compiled.instance(&fields);
                apply.call(&mut store, (BatchArg::from(black_box(&rows)),))
            };
            group.bench_function(*variant, |b| b.iter(|| call().expect("a call").0.expect("an output")));
        }
    }
}

criterion_group!(benches, rules, instances);
criterion_main!(benches);
