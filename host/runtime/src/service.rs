use std::sync::Arc;

use oast_core::{Batch, Column, ColumnBuilder, DataType, Field, Fuel, Outcome, Schema, ServiceVersion, Status};
use oast_engine::{Component, Outcomes, World};
use oast_store::Catalog;

use crate::{
    RuntimeError,
    audit::{self, Places},
    binding::{BindError, Bound},
    fold::Features,
    library::Library,
    spec::{ServiceSpec, schema_of},
    view::{CompileError, CompileFailure, View, with_component},
};

/// With more plugins than this, a lookup is not light whatever each of them takes.
const CALLS_IF_LIGHT: usize = 16;

/// A service version, ready to run: the features that one model reads.
pub(crate) struct Service {
    pub(crate) spec: ServiceSpec,
    pub(crate) version: ServiceVersion,
    /// The pinned views, in the order of the specification.
    pub(crate) views: Vec<Arc<View>>,
    /// The join keys of all views, each once.
    pub(crate) entity: Vec<Field>,
    /// The fields the caller sends.
    pub(crate) request: Schema,
    /// What a lookup returns and a dataset gains: features as `<view>__<feature>`, then derived outputs. All may be null.
    pub(crate) columns: Vec<Field>,
    /// Where each feature comes from: a view and a feature of it.
    features: Vec<(usize, usize)>,
    derives: Vec<Derive>,
}

/// A transform at request time.
struct Derive {
    bound: Bound,
}

/// The columns of a service for some rows.
pub(crate) struct Answer {
    /// One column each of [`Service::columns`].
    pub(crate) columns: Vec<Column>,
    /// One status a column and row: `statuses[column][row]`.
    pub(crate) statuses: Vec<Vec<Status>>,
    /// How many rows of derived transforms were run again, alone.
    pub(crate) audited: u64,
    /// What each derived transform used.
    pub(crate) derived: Vec<Derived>,
}

/// What became of a derived transform.
pub(crate) struct Derived {
    /// How many columns it added.
    pub(crate) columns: usize,
    /// The fuel of all its rows together.
    pub(crate) fuel: Fuel,
    /// What it said of the first row that it did not keep.
    pub(crate) failure: Option<String>,
}

impl Service {
    pub(crate) fn compile(
        spec: ServiceSpec,
        views: Vec<Arc<View>>,
        library: &Library,
        catalog: &Catalog,
    ) -> Result<Self, CompileError> {
        let damaged = |error| CompileError {
            plugin_use: 0,
            plugin: String::new(),
            error: Box::new(CompileFailure::Runtime(error)),
        };
        let request = schema_of(&spec.request).map_err(damaged)?;
        let features = locate_features(&spec, &views).map_err(damaged)?;
        let mut columns: Vec<Field> = features.iter().map(|place| feature_field(&views, *place, "__")).collect();
        let mut row = derive_row(&views, &request);
        let mut derives = Vec::new();
        for (at, plugin) in spec.derives.iter().enumerate() {
            let bind = |component: &Component| Bound::new(component, plugin, &row, World::RowTransform);
            let bound = with_component(at, plugin, library, catalog, bind)?;
            let outputs = bound.output.fields().iter().map(|field| Field { nullable: true, ..field.clone() });
            columns.extend(outputs.clone());
            let fields = row.fields().iter().cloned().chain(outputs).collect();
            row = Schema::new(fields).map_err(|error| CompileError {
                plugin_use: at,
                plugin: plugin.plugin.clone(),
                error: Box::new(CompileFailure::Bind(BindError::Columns { message: error.to_string(), hint: None })),
            })?;
            derives.push(Derive { bound });
        }
        let hashes: Vec<_> = derives.iter().map(|derive| derive.bound.hash()).collect();
        let version = spec.version(&hashes, &request);
        let entity = entity_of(&views);
        Ok(Self { spec, version, views, entity, request, columns, features, derives })
    }

    /// The names of what a lookup returns, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.columns.iter().map(|field| field.name.clone()).collect()
    }

    /// Keeps instances of each derived plugin ready, for a service that is served.
    pub(crate) fn keep_ready(&self, instances: u64) {
        self.plugins().for_each(|(_, bound)| bound.plugin.keep_ready(instances));
    }

    /// Whether a lookup calls few plugins, and none that is known to take long.
    pub(crate) fn is_light(&self) -> bool {
        let of_views = self.views.iter().flat_map(|view| view.called_by_lookups());
        let mut called = of_views.chain(self.derives.iter().map(|derive| &derive.bound)).zip(1..);
        called.all(|(bound, count)| count <= CALLS_IF_LIGHT && bound.plugin.is_light())
    }

    /// Where each feature comes from: a view and a feature of it.
    pub(crate) fn feature_places(&self) -> impl Iterator<Item = (usize, usize)> {
        self.features.iter().copied()
    }

    /// The derived plugins, for manifests.
    pub(crate) fn plugins(&self) -> impl Iterator<Item = (&crate::spec::PluginSpec, &Bound)> {
        self.spec.derives.iter().zip(self.derives.iter().map(|derive| &derive.bound))
    }

    /// Puts the features of all views and the request fields together, and runs the derived transforms over them.
    /// A replay, which says where the first of these rows stands, has some run again.
    pub(crate) fn answer(
        &self,
        views: &[Features],
        request: &Batch,
        first: Option<u64>,
    ) -> Result<Answer, RuntimeError> {
        let mut answer = Answer { columns: Vec::new(), statuses: Vec::new(), audited: 0, derived: Vec::new() };
        for (view, feature) in &self.features {
            answer.columns.push(views[*view].columns[*feature].clone());
            answer.statuses.push(views[*view].statuses[*feature].clone());
        }
        if self.derives.is_empty() {
            return Ok(answer);
        }
        let columns = views.iter().flat_map(|view| &view.columns).chain(&request.columns).cloned().collect();
        let mut row = Batch { rows: request.rows, columns };
        for derive in &self.derives {
            derive.run(&mut row, &mut answer, first)?;
        }
        Ok(answer)
    }
}

impl Derive {
    /// Adds the transform's columns to the row and to the answer: null where a row was not kept.
    fn run(&self, row: &mut Batch, answer: &mut Answer, first: Option<u64>) -> Result<(), RuntimeError> {
        let input = self.bound.input_of(row);
        let applied = self.bound.transform(first.is_some()).apply(&input)?;
        if let Some(first) = first {
            let places = Places { first, kept: None };
            answer.audited += audit::transformed(&self.bound.plugin, &input, places, &applied)?;
        }
        answer.derived.push(Derived {
            columns: applied.rows.columns.len(),
            fuel: applied.consumed,
            failure: applied.outcomes.iter().find_map(not_kept),
        });
        for column in &applied.rows.columns {
            let column = scatter(column, &applied.outcomes);
            let status = |(at, outcome): (usize, &Outcome)| match outcome {
                Outcome::Keep if column.is_valid(at) => Status::Present,
                Outcome::Keep | Outcome::Drop => Status::Missing,
                Outcome::Reject(_) => Status::Rejected,
                Outcome::Fail(_) => Status::Failed,
            };
            answer.statuses.push(applied.outcomes.iter().enumerate().map(status).collect());
            answer.columns.push(column.clone());
            row.columns.push(column);
        }
        Ok(())
    }
}

/// Why a row was not kept, if a plugin gave a reason.
fn not_kept(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Keep | Outcome::Drop => None,
        Outcome::Reject(rejection) => Some(format!("rejected: {}: {}", rejection.code, rejection.message)),
        Outcome::Fail(failure) => Some(failure.to_string()),
    }
}

/// Spreads a column of kept rows over all rows, null where a row was not kept.
fn scatter(kept: &Column, outcomes: &Outcomes) -> Column {
    if kept.len() == outcomes.len() {
        return kept.clone();
    }
    let mut builder = ColumnBuilder::new(kept.data_type());
    let mut next = 0;
    for outcome in outcomes.iter() {
        if *outcome == Outcome::Keep {
            builder.push(kept.get(next).as_ref());
            next += 1;
        } else {
            builder.push_null();
        }
    }
    builder.finish()
}

fn locate_features(spec: &ServiceSpec, views: &[Arc<View>]) -> Result<Vec<(usize, usize)>, crate::RuntimeError> {
    let locate = |feature: &crate::spec::FeatureSpec| {
        let view = views.iter().position(|view| view.spec.name == feature.view)?;
        Some((view, views[view].feature_index(&feature.feature)?))
    };
    let located: Option<Vec<_>> = spec.features.iter().map(locate).collect();
    located.ok_or_else(|| crate::RuntimeError::Catalog { kind: "service", name: spec.name.clone() })
}

fn feature_field(views: &[Arc<View>], (view, feature): (usize, usize), separator: &str) -> Field {
    let field = &views[view].features[feature];
    Field { name: format!("{}{separator}{}", views[view].spec.name, field.name), ..field.clone() }
}

/// What derived transforms can take: every feature of the views as `view:feature`, then the request fields.
fn derive_row(views: &[Arc<View>], request: &Schema) -> Schema {
    let places =
        views.iter().enumerate().flat_map(|(at, view)| (0..view.features.len()).map(move |feature| (at, feature)));
    let features = places.map(|place| feature_field(views, place, ":"));
    let fields = features.chain(request.fields().iter().cloned()).collect();
    Schema::new(fields).expect("feature references have a colon, which no request field has")
}

fn entity_of(views: &[Arc<View>]) -> Vec<Field> {
    let mut entity: Vec<Field> = Vec::new();
    for view in views {
        for (name, data_type) in view.spec.entity.iter().zip(&view.key_types) {
            if !entity.iter().any(|field| field.name == *name) {
                entity.push(Field::new(name, *data_type));
            }
        }
    }
    entity
}

/// The types of a service's entity, for messages.
pub(crate) fn type_of(entity: &[Field], name: &str) -> Option<DataType> {
    entity.iter().find(|field| field.name == name).map(|field| field.data_type)
}
