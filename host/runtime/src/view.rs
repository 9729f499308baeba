mod series;

use oast_core::{
    Canonical, DataType, EntityKey, Field, Schema, TimeSpan, TransformHash, ViewVersion, definition::suggest,
};
use oast_engine::{Component, World};
use oast_store::Catalog;

use crate::{
    RuntimeError,
    binding::{BindError, Bound, TransformStep, row_schema},
    library::Library,
    spec::{AggregateSpec, PluginSpec, SourceSpec, ViewSpec, encode_binding, schema_of},
};

pub(crate) use series::{RecentShape, Series, SeriesShapes, SessionsShape, TilesShape, ViewWindow};

/// A view version, ready to run.
pub(crate) struct View {
    pub(crate) spec: ViewSpec,
    pub(crate) version: ViewVersion,
    pub(crate) source_schema: Schema,
    /// Where the parts of the entity key stand in an event.
    pub(crate) key_columns: Vec<usize>,
    pub(crate) key_types: Vec<DataType>,
    /// Where the event time stands in an event.
    pub(crate) event_time: usize,
    pub(crate) transforms: Vec<TransformStep>,
    pub(crate) ttl: Option<TimeSpan>,
    pub(crate) shape: Shape,
    /// The features in order; every one may be null.
    pub(crate) features: Vec<Field>,
}

/// What a view ends in.
pub(crate) enum Shape {
    /// Aggregates over windows, and the distinct series of states that serve them.
    Aggregates { aggregates: Vec<ViewAggregate>, series: SeriesShapes },
    /// These columns of the last row of an entity.
    Latest(Vec<usize>),
}

/// An aggregate with its windows.
pub(crate) struct ViewAggregate {
    pub(crate) bound: Bound,
    pub(crate) windows: Vec<ViewWindow>,
    /// Which columns of the plugin's output are features.
    pub(crate) outputs: Vec<usize>,
    /// Where the aggregate's features begin among the view's.
    pub(crate) first_feature: usize,
}

/// The most series of states in a view: their number is one byte of a key in the online state.
const SERIES_MAX: usize = 250;

/// Why a view or service cannot be compiled: which plugin, and why.
#[derive(Debug)]
pub(crate) struct CompileError {
    /// Which use of a plugin: its place among all uses of the view or service.
    pub(crate) plugin_use: usize,
    pub(crate) plugin: String,
    pub(crate) error: Box<CompileFailure>,
}

#[derive(Debug)]
pub(crate) enum CompileFailure {
    Bind(BindError),
    Runtime(RuntimeError),
}

/// Loads the component of a use of a plugin and hands it on; failures say which use it was.
pub(crate) fn with_component<T>(
    at: usize,
    spec: &PluginSpec,
    library: &Library,
    catalog: &Catalog,
    bind: impl FnOnce(&Component) -> Result<T, BindError>,
) -> Result<T, CompileError> {
    let failed = |error| CompileError { plugin_use: at, plugin: spec.plugin.clone(), error: Box::new(error) };
    let component = library.load_published(spec.component, catalog);
    let component = component.map_err(|error| failed(CompileFailure::Runtime(error)))?;
    bind(&component).map_err(|error| failed(CompileFailure::Bind(error)))
}

impl View {
    /// Compiles a view and computes its version.
    pub(crate) fn compile(spec: ViewSpec, library: &Library, catalog: &Catalog) -> Result<Self, CompileError> {
        let damaged = |error| CompileError {
            plugin_use: 0,
            plugin: String::new(),
            error: Box::new(CompileFailure::Runtime(error)),
        };
        let source_schema = schema_of(&spec.source.columns).map_err(damaged)?;
        let column = |name: &String| {
            let missing = RuntimeError::Catalog { kind: "view", name: spec.name.clone() };
            source_schema.index_of(name).ok_or_else(|| damaged(missing))
        };
        let key_columns: Vec<_> = spec.entity.iter().map(column).collect::<Result<_, _>>()?;
        let key_types = key_columns.iter().map(|index| source_schema.fields()[*index].data_type).collect();
        let event_time = column(&spec.source.event_time)?;
        let (transforms, row) = compile_transforms(&spec.transforms, row_schema(&source_schema), library, catalog)?;
        let (shape, features) = if spec.aggregates.is_empty() {
            compile_latest(&spec, &row).map_err(damaged)?
        } else {
            compile_aggregates(&spec, &row, library, catalog)?
        };
        let ttl = spec.ttl_us.map(TimeSpan::from_micros);
        let version = ViewVersion::of(encode(&spec, &source_schema, &transforms, &shape).as_bytes());
        Ok(Self { spec, version, source_schema, key_columns, key_types, event_time, transforms, ttl, shape, features })
    }

    /// Where a feature stands among the view's.
    pub(crate) fn feature_index(&self, name: &str) -> Option<usize> {
        self.features.iter().position(|field| field.name == name)
    }

    /// The plugins that a lookup calls.
    pub(crate) fn called_by_lookups(&self) -> impl Iterator<Item = &Bound> {
        let aggregates = match &self.shape {
            Shape::Aggregates { aggregates, .. } => aggregates.as_slice(),
            Shape::Latest(_) => &[],
        };
        aggregates.iter().map(|aggregate| &aggregate.bound)
    }

    /// Keeps instances of each plugin ready, for a view that is served.
    pub(crate) fn keep_ready(&self, instances: u64) {
        self.plugins().into_iter().for_each(|(_, bound)| bound.plugin.keep_ready(instances));
    }

    /// Every plugin in order, for manifests.
    pub(crate) fn plugins(&self) -> Vec<(&PluginSpec, &Bound)> {
        let transforms = self.spec.transforms.iter().zip(self.transforms.iter().map(TransformStep::bound));
        let aggregates: Vec<_> = match &self.shape {
            Shape::Aggregates { aggregates, .. } => self
                .spec
                .aggregates
                .iter()
                .map(|spec| &spec.plugin)
                .zip(aggregates.iter().map(|each| &each.bound))
                .collect(),
            Shape::Latest(_) => Vec::new(),
        };
        transforms.chain(aggregates).collect()
    }

    /// The entity key of an event.
    pub(crate) fn key_of(&self, events: &oast_core::Batch, row: usize) -> Result<EntityKey, RuntimeError> {
        let parts = self.key_columns.iter().zip(&self.spec.entity);
        let values = parts.map(|(index, name)| (name.as_str(), events.columns[*index].get(row)));
        Ok(EntityKey::encode(values)?)
    }

    /// Adds the bytes of an event's entity key to others.
    pub(crate) fn encode_key(
        &self,
        bytes: &mut Vec<u8>,
        events: &oast_core::Batch,
        row: usize,
    ) -> Result<(), RuntimeError> {
        let names = self.spec.entity.iter().map(String::as_str);
        let columns = self.key_columns.iter().map(|index| &events.columns[*index]);
        Ok(EntityKey::encode_row(bytes, names.zip(columns), row)?)
    }
}

fn compile_transforms(
    specs: &[PluginSpec],
    mut row: Schema,
    library: &Library,
    catalog: &Catalog,
) -> Result<(Vec<TransformStep>, Schema), CompileError> {
    let mut steps = Vec::new();
    for (at, spec) in specs.iter().enumerate() {
        let step = with_component(at, spec, library, catalog, |component| TransformStep::new(component, spec, &row))?;
        row = step.row().clone();
        steps.push(step);
    }
    Ok((steps, row))
}

fn compile_latest(spec: &ViewSpec, row: &Schema) -> Result<(Shape, Vec<Field>), RuntimeError> {
    let find = |name: &String| {
        row.index_of(name).ok_or_else(|| RuntimeError::Resolve {
            location: format!("view `{}`", spec.name),
            message: format!("`latest` names `{name}`, which the rows do not have"),
            hint: Some(suggest(name, "columns", row.names())),
        })
    };
    let columns: Vec<_> = spec.latest.iter().map(find).collect::<Result<_, _>>()?;
    let feature = |index: &usize| Field { nullable: true, ..row.fields()[*index].clone() };
    let features = columns.iter().map(feature).collect();
    Ok((Shape::Latest(columns), features))
}

fn compile_aggregates(
    spec: &ViewSpec,
    row: &Schema,
    library: &Library,
    catalog: &Catalog,
) -> Result<(Shape, Vec<Field>), CompileError> {
    let (mut aggregates, mut series, mut features) = (Vec::new(), SeriesShapes::default(), Vec::new());
    for (at, aggregate) in spec.aggregates.iter().enumerate() {
        let plugin = &aggregate.plugin;
        let bind = |component: &Component| {
            let bound = Bound::new(component, plugin, row, World::Aggregation)?;
            let outputs = feature_outputs(aggregate, &bound)?;
            if series.len() + aggregate.windows.len() > SERIES_MAX {
                return Err(BindError::Columns {
                    message: format!("a view has at most {SERIES_MAX} aggregates with windows of one kind and hop"),
                    hint: Some("split the view in two".to_owned()),
                });
            }
            Ok((bound, outputs))
        };
        let (bound, outputs) = with_component(spec.transforms.len() + at, plugin, library, catalog, bind)?;
        let first_feature = features.len();
        features.extend(aggregate_features(aggregate, &bound, &outputs));
        let windows = aggregate.windows.iter().map(|window| series.place(window.window(), at)).collect();
        aggregates.push(ViewAggregate { bound, windows, outputs, first_feature });
    }
    Ok((Shape::Aggregates { aggregates, series }, features))
}

fn feature_outputs(aggregate: &AggregateSpec, bound: &Bound) -> Result<Vec<usize>, BindError> {
    let output = &bound.output;
    let Some(names) = &aggregate.outputs else { return Ok((0..output.len()).collect()) };
    let find = |name: &String| {
        output.index_of(name).ok_or_else(|| BindError::Columns {
            message: format!("`{}` has no output `{name}`", aggregate.plugin.plugin),
            hint: Some(suggest(name, "outputs", output.names())),
        })
    };
    names.iter().map(find).collect()
}

fn aggregate_features(aggregate: &AggregateSpec, bound: &Bound, outputs: &[usize]) -> Vec<Field> {
    let feature = |window: &str, output: &usize| {
        let field = &bound.output.fields()[*output];
        Field::nullable(format!("{}_{}_{window}", aggregate.name, field.name), field.data_type)
    };
    let windows = aggregate.windows.iter();
    windows.flat_map(|window| outputs.iter().map(move |output| feature(&window.window, output))).collect()
}

/// The canonical encoding of everything that decides a view's values.
fn encode(spec: &ViewSpec, source: &Schema, transforms: &[TransformStep], shape: &Shape) -> Canonical {
    let mut canonical = Canonical::new();
    canonical.text(&spec.name).text(&spec.source.name).schema(source).text(&spec.source.event_time);
    encode_gates(&mut canonical, &spec.source);
    canonical.option(spec.source.available_time.as_ref(), |canonical, name| {
        canonical.text(name);
    });
    canonical.list(&spec.entity, |canonical, name| {
        canonical.text(name);
    });
    let hashes: Vec<TransformHash> = transforms.iter().map(|step| step.bound().hash()).collect();
    encode_uses(&mut canonical, &hashes, &spec.transforms);
    canonical.option(spec.ttl_us, |canonical, micros| {
        canonical.i64(micros);
    });
    let hashes: Vec<_> = match shape {
        Shape::Aggregates { aggregates, .. } => aggregates.iter().map(|each| each.bound.hash()).collect(),
        Shape::Latest(_) => Vec::new(),
    };
    let uses: Vec<_> = spec.aggregates.iter().map(|aggregate| aggregate.plugin.clone()).collect();
    encode_uses(&mut canonical, &hashes, &uses);
    canonical.list(&spec.aggregates, encode_aggregate);
    canonical.list(&spec.latest, |canonical, name| {
        canonical.text(name);
    });
    // Versions of views whose source keeps everything stay what they were before there was retention.
    if let Some(kept) = spec.source.retention_us {
        canonical.text("retention").i64(kept);
    }
    canonical
}

/// What a source lets through decides what a replay from a snapshot sees.
fn encode_gates(canonical: &mut Canonical, source: &SourceSpec) {
    canonical.i64(source.max_future_us);
    canonical.option(source.idempotency_key.as_ref(), |canonical, name| {
        canonical.text(name);
    });
    canonical.list(&source.checks, |canonical, check| {
        canonical.text(&check.field);
        for bound in [&check.min, &check.max] {
            canonical.option(bound.as_ref(), |canonical, bound| {
                canonical.text(&bound.to_string());
            });
        }
        canonical.option(check.one_of.as_ref(), |canonical, values| {
            canonical.list(values, |canonical, value| {
                canonical.text(&value.to_string());
            });
        });
    });
}

fn encode_uses(canonical: &mut Canonical, hashes: &[TransformHash], uses: &[PluginSpec]) {
    canonical.list(hashes, |canonical, hash| {
        canonical.bytes(hash.as_bytes());
    });
    canonical.list(uses, |canonical, plugin| encode_binding(plugin, canonical));
}

fn encode_aggregate(canonical: &mut Canonical, aggregate: &AggregateSpec) {
    canonical.text(&aggregate.name);
    canonical.list(&aggregate.windows, |canonical, window| window.encode(canonical));
    canonical.option(aggregate.outputs.as_ref(), |canonical, outputs| {
        canonical.list(outputs, |canonical, name| {
            canonical.text(name);
        });
    });
}
