use oast_core::{
    Batch, Column, DataType, Field, Schema, TransformHash,
    definition::{list, suggest},
};
use oast_engine::{Aggregate, Component, EngineError, Outcomes, Plugin, Transform, World};

use crate::{
    RuntimeError,
    audit::{self, Places},
    spec::PluginSpec,
};

/// The column that every row carries, whatever its source calls it: when the event happened.
pub(crate) const EVENT_TIME: &str = "event_time";

/// A plugin bound to the columns of a row.
pub(crate) struct Bound {
    pub(crate) plugin: Plugin,
    /// Where each column of the descriptor's input stands in the row.
    pub(crate) input: Vec<usize>,
    /// What the plugin's columns are called.
    pub(crate) output: Schema,
}

/// Why a plugin cannot be bound.
#[derive(Debug)]
pub(crate) enum BindError {
    /// The plugin refused.
    Engine(EngineError),
    /// The columns do not fit.
    Columns { message: String, hint: Option<String> },
}

impl From<EngineError> for BindError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

fn misfit<T>(message: String, hint: &str) -> Result<T, BindError> {
    Err(BindError::Columns { message, hint: Some(hint.to_owned()) })
}

impl Bound {
    /// Configures a component for a row of this schema and finds the columns it takes.
    pub(crate) fn new(component: &Component, spec: &PluginSpec, row: &Schema, world: World) -> Result<Self, BindError> {
        if component.world() != world {
            return misfit(
                format!("`{}` is of the world `{}`", spec.plugin, component.world().name()),
                "row transforms go under `transform` and `derive`, aggregates under `aggregate`",
            );
        }
        let offered = offered(spec, row)?;
        let plugin = component.configure(&spec.params, &offered, spec.limits)?;
        check_version(spec, &plugin)?;
        let input = bind_input(spec, row, &plugin)?;
        let output = rename_output(spec, &plugin)?;
        Ok(Self { plugin, input, output })
    }

    /// The columns of the plugin's input, out of a batch of rows.
    pub(crate) fn input_of(&self, rows: &Batch) -> Batch {
        Batch { rows: rows.rows, columns: self.input.iter().map(|index| rows.columns[*index].clone()).collect() }
    }

    /// The transform, as lookups call it or as a replay does.
    pub(crate) fn transform(&self, is_replay: bool) -> Transform<'_> {
        let transform = self.plugin.transform().expect("what is bound as a transform is of the world row-transform");
        if is_replay { transform.lasting() } else { transform }
    }

    /// The aggregate, likewise.
    pub(crate) fn aggregate(&self, is_replay: bool) -> Aggregate<'_> {
        let aggregate = self.plugin.aggregate().expect("what is bound as an aggregate is of the world aggregation");
        if is_replay { aggregate.lasting() } else { aggregate }
    }

    /// The hash of everything that decides what the plugin gives.
    pub(crate) fn hash(&self) -> TransformHash {
        self.plugin.hash()
    }
}

/// The columns at hand: those bound by position, or all of the row.
fn offered(spec: &PluginSpec, row: &Schema) -> Result<Schema, BindError> {
    let Some(input) = &spec.input else { return Ok(row.clone()) };
    let mut fields = Vec::new();
    for name in input {
        match row.field(name) {
            Some(field) => fields.push(field.clone()),
            None => {
                return misfit(format!("there is no column `{name}`"), &suggest(name, "columns", row.names()));
            }
        }
    }
    // The same column may be given twice; a plugin sees positions, so each gets a name of its own.
    Schema::new(fields.clone()).or_else(|_| {
        let numbered =
            fields.into_iter().enumerate().map(|(at, field)| Field { name: format!("{}_{at}", field.name), ..field });
        Schema::new(numbered.collect()).map_err(|error| BindError::Columns { message: error.to_string(), hint: None })
    })
}

fn check_version(spec: &PluginSpec, plugin: &Plugin) -> Result<(), BindError> {
    let wanted = spec.plugin.split_once('@').map(|(_, version)| version);
    let found = &plugin.descriptor().version;
    match wanted {
        Some(wanted) if wanted != found => misfit(
            format!("the plugin in reach is version {found}, not {wanted}"),
            "name the version in reach, or a component hash",
        ),
        _ => Ok(()),
    }
}

fn bind_input(spec: &PluginSpec, row: &Schema, plugin: &Plugin) -> Result<Vec<usize>, BindError> {
    let wanted = &plugin.descriptor().input;
    let positions = spec.input.as_deref().unwrap_or(&[]);
    if positions.len() > wanted.len() {
        return misfit(
            format!("`{}` takes {} columns, and `input` names {}", spec.plugin, wanted.len(), positions.len()),
            &format!("its columns are {}", wanted.names_quoted()),
        );
    }
    let bind = |(at, field): (usize, &Field)| {
        let name = positions.get(at).unwrap_or(&field.name);
        match row.index_of(name) {
            Some(index) => check_type(&row.fields()[index], field, &spec.plugin).map(|()| index),
            None => misfit(
                format!("`{}` takes a column `{name}`, which the row does not have", spec.plugin),
                &format!("name the columns it should take with `input`; {}", list("columns", row.names())),
            ),
        }
    };
    wanted.fields().iter().enumerate().map(bind).collect()
}

fn check_type(found: &Field, wanted: &Field, plugin: &str) -> Result<(), BindError> {
    if found.data_type == wanted.data_type && (wanted.nullable || !found.nullable) {
        return Ok(());
    }
    let hint = if found.data_type == wanted.data_type {
        "replace nulls first, with the transform `fill`"
    } else {
        "choose another column or another plugin"
    };
    misfit(
        format!("column `{}` is {}, and `{plugin}` takes {}", found.name, found.type_name(), wanted.type_name()),
        hint,
    )
}

fn rename_output(spec: &PluginSpec, plugin: &Plugin) -> Result<Schema, BindError> {
    let given = &plugin.descriptor().output;
    let Some(names) = &spec.output else { return Ok(given.clone()) };
    if names.len() != given.len() {
        return misfit(
            format!("`{}` gives {} columns, and `output` names {}", spec.plugin, given.len(), names.len()),
            &format!("its columns are {}", given.names_quoted()),
        );
    }
    let renamed = given.fields().iter().zip(names).map(|(field, name)| Field { name: name.clone(), ..field.clone() });
    Schema::new(renamed.collect()).map_err(|error| BindError::Columns { message: error.to_string(), hint: None })
}

/// A row transform in its place: what comes out of it replaces columns of the same name, or is added.
pub(crate) struct TransformStep {
    bound: Bound,
    /// Where each output column goes in the row that leaves the step.
    targets: Vec<usize>,
    row: Schema,
}

/// Rows after a transform.
pub(crate) struct Transformed {
    /// The kept rows.
    pub(crate) rows: Batch,
    /// Their numbers among the rows that went in.
    pub(crate) kept: Vec<u32>,
    /// One outcome a row that went in.
    pub(crate) outcomes: Outcomes,
    /// How many of them were run again, alone.
    pub(crate) audited: u64,
}

impl TransformStep {
    pub(crate) fn new(component: &Component, spec: &PluginSpec, row: &Schema) -> Result<Self, BindError> {
        let bound = Bound::new(component, spec, row, World::RowTransform)?;
        let mut fields = row.fields().to_vec();
        let mut targets = Vec::new();
        for field in bound.output.fields() {
            match row.index_of(&field.name) {
                Some(index) => {
                    fields[index] = field.clone();
                    targets.push(index);
                }
                None => {
                    targets.push(fields.len());
                    fields.push(field.clone());
                }
            }
        }
        let row = Schema::new(fields).map_err(|error| BindError::Columns { message: error.to_string(), hint: None })?;
        Ok(Self { bound, targets, row })
    }

    /// The row that leaves the step.
    pub(crate) fn row(&self) -> &Schema {
        &self.row
    }

    pub(crate) fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Transforms rows; in a replay, which says where they stand, some of them again.
    pub(crate) fn run(&self, rows: &Batch, places: Option<Places<'_>>) -> Result<Transformed, RuntimeError> {
        let input = self.bound.input_of(rows);
        let applied = self.bound.transform(places.is_some()).apply(&input)?;
        let audited = match places {
            Some(places) => audit::transformed(&self.bound.plugin, &input, places, &applied)?,
            None => 0,
        };
        let mut kept = if applied.kept.len() == rows.rows { rows.clone() } else { rows.take(&applied.kept) };
        for (column, target) in applied.rows.columns.into_iter().zip(&self.targets) {
            if *target < kept.columns.len() {
                kept.columns[*target] = column;
            } else {
                kept.columns.push(column);
            }
        }
        Ok(Transformed { rows: kept, kept: applied.kept, outcomes: applied.outcomes, audited })
    }
}

/// The schema of a view's rows before its transforms: the source's columns, and the event time under its reserved name.
pub(crate) fn row_schema(source: &Schema) -> Schema {
    let mut fields = source.fields().to_vec();
    if source.index_of(EVENT_TIME).is_none() {
        fields.push(Field::new(EVENT_TIME, DataType::Timestamp));
    }
    Schema::new(fields).expect("a reserved name is added only where it is free")
}

/// A batch of a source's events as rows of that schema.
pub(crate) fn row_batch(events: &Batch, event_time: usize, source: &Schema) -> Batch {
    Batch { rows: events.rows, columns: row_columns(events, event_time, source).cloned().collect() }
}

/// The columns of [`row_batch`].
pub(crate) fn row_columns<'e>(
    events: &'e Batch,
    event_time: usize,
    source: &Schema,
) -> impl Iterator<Item = &'e Column> {
    let times = source.index_of(EVENT_TIME).is_none().then(|| &events.columns[event_time]);
    events.columns.iter().chain(times)
}
