use std::time::Instant;

use oast_core::{Batch, ComponentHash, Descriptor, Fuel, Limits, MergeLaw, Schema};
use oast_engine::{CheckReport, CheckedUse, Component, Engine, EngineError, Measured, Plugin};
use serde::Serialize;

use crate::{
    RuntimeError, checks,
    samples::{Sample, Samples},
    spec::field_specs,
};

/// How many rows one timed call has, and how often it is made.
const TIMED_ROWS: usize = 4096;
const TIMED_CALLS: usize = 5;

/// With what a plugin is configured: as given, or else as its first sample has it.
#[derive(Debug, Clone, Default)]
pub struct PluginUse {
    /// The parameters, a JSON object.
    pub params: Option<String>,
    /// The columns at hand.
    pub offered: Option<Schema>,
    /// A golden file that takes the place of the samples that the component carries.
    pub golden: Option<String>,
}

/// What can be told of a component by looking at it and running it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// The component hash.
    pub hash: ComponentHash,
    /// The world it exports.
    pub world: &'static str,
    /// The package it was built against.
    pub package: &'static str,
    /// What it is made of.
    pub size: Measured,
    /// What it imports: nothing, or it would have been refused.
    pub imports: Vec<String>,
    /// The interfaces it exports.
    pub exports: Vec<String>,
    /// How many samples its author brought.
    pub samples: usize,
    /// The parameters it was configured with.
    pub params: String,
    /// The columns it was offered, as `name: type`.
    pub offered: Vec<String>,
    /// What it says of itself, if it configures.
    pub descriptor: Option<InspectedDescriptor>,
    /// Why it does not configure.
    pub configure_error: Option<String>,
    /// What one row may cost.
    pub limits: Limits,
    /// What came of its checks, which may have failed; nothing if it does not configure.
    pub report: Option<CheckReport>,
    /// How long a row takes in a batch, in nanoseconds. It is of this machine, and no part of any report.
    pub row_ns: Option<f64>,
}

/// A descriptor, for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InspectedDescriptor {
    /// The plugin's name.
    pub name: String,
    /// Its semantic version.
    pub version: String,
    /// What it computes, in Markdown.
    pub documentation: String,
    /// The columns it takes, as `name: type`.
    pub input: Vec<String>,
    /// The columns it gives, as `name: type`.
    pub output: Vec<String>,
    /// Whether the order of rows within a state matters by more than rounding.
    pub order_sensitive: bool,
    /// What it promises of merging states.
    pub merge_law: Option<MergeLaw>,
}

/// A component with samples, to be configured.
pub(crate) struct Opened {
    pub(crate) component: Component,
    pub(crate) samples: Samples,
}

impl Opened {
    pub(crate) fn new(bytes: &[u8], with: &PluginUse) -> Result<Self, RuntimeError> {
        let component = Engine::shared()?.load(bytes).map_err(RuntimeError::Component)?;
        Ok(Self { component, samples: checks::samples_for(bytes, with.golden.as_deref())? })
    }

    /// The first sample that configures, unless the caller brings other columns. Parameters of the caller's go with its
    /// columns and rows.
    pub(crate) fn first_sample(&self, with: &PluginUse) -> Option<&Sample> {
        self.samples.cases.iter().find(|sample| sample.error.is_none()).filter(|_| with.offered.is_none())
    }

    /// The parameters and columns to configure with.
    pub(crate) fn arguments(&self, with: &PluginUse) -> Result<(String, Schema), RuntimeError> {
        let sample = self.first_sample(with);
        let params = match (&with.params, sample) {
            (Some(params), _) => params.clone(),
            (None, Some(sample)) => sample.params(),
            (None, None) => "{}".to_owned(),
        };
        let offered = match sample {
            Some(sample) => sample.offered()?,
            None => with.offered.clone().unwrap_or_default(),
        };
        let malformed = |error| {
            RuntimeError::request(
                format!("the parameters are no JSON: {error}"),
                "write an object, for example `--params '{\"zero\": 0.0}'`",
            )
        };
        let canonical: serde_json::Value = serde_json::from_str(&params).map_err(malformed)?;
        Ok((canonical.to_string(), offered))
    }
}

/// Loads a component as publication would, checks it, times it, and says what it is.
pub fn inspect(component: &[u8], with: &PluginUse) -> Result<Inspection, RuntimeError> {
    let opened = Opened::new(component, with)?;
    let (params, offered) = opened.arguments(with)?;
    let loaded = &opened.component;
    let mut inspection = Inspection {
        hash: loaded.hash(),
        world: loaded.world().name(),
        package: loaded.package().name(),
        size: oast_engine::measure(component).map_err(RuntimeError::Component)?,
        imports: Vec::new(),
        exports: loaded.exports(),
        samples: opened.samples.cases.len(),
        offered: columns(&offered),
        descriptor: None,
        configure_error: None,
        limits: Limits::default(),
        report: None,
        row_ns: None,
        params,
    };
    match loaded.configure(&inspection.params, &offered, Limits::default()) {
        Err(EngineError::Configure(message)) => inspection.configure_error = Some(message),
        Err(error) => return Err(RuntimeError::Component(error)),
        Ok(plugin) => {
            inspection.descriptor = Some(InspectedDescriptor::from(plugin.descriptor()));
            let report = report(&opened, with, &plugin)?;
            inspection.row_ns = if report.passed() { time_a_row(&plugin)? } else { None };
            inspection.report = Some(report);
        }
    }
    Ok(inspection)
}

/// The report over all samples, or over the one use that the caller asked for.
fn report(opened: &Opened, with: &PluginUse, plugin: &Plugin) -> Result<CheckReport, RuntimeError> {
    if opened.first_sample(with).is_some() && with.params.is_none() {
        return checks::examine(&opened.component, &opened.samples);
    }
    let used: CheckedUse = plugin.check("as given", &Batch::empty(&plugin.descriptor().input))?;
    Ok(CheckReport {
        checks_version: oast_engine::CHECKS_VERSION,
        component: opened.component.hash(),
        engine: Engine::shared()?.fingerprint(),
        uses: vec![used],
    })
}

/// The shortest of a few calls, a row. It tells a person what to expect, and decides nothing.
fn time_a_row(plugin: &Plugin) -> Result<Option<f64>, RuntimeError> {
    let rows = plugin.made_up_rows(TIMED_ROWS);
    let mut fastest = f64::INFINITY;
    for _ in 0..TIMED_CALLS {
        let begun = Instant::now();
        let consumed = match (plugin.transform(), plugin.aggregate()) {
            (Some(transform), _) => transform.apply(&rows)?.consumed,
            (_, Some(aggregate)) => aggregate.update(&[&[]], &[rows.rows as u32], &rows)?.consumed,
            (None, None) => Fuel(0),
        };
        fastest = fastest.min(begun.elapsed().as_nanos() as f64 / rows.rows as f64);
        // A guest of a slow language has told enough after one call.
        if consumed > plugin.limits().budget_fuel {
            break;
        }
    }
    Ok(fastest.is_finite().then_some(fastest))
}

fn columns(schema: &Schema) -> Vec<String> {
    field_specs(schema).into_iter().map(|spec| format!("{}: {}", spec.name, spec.data_type)).collect()
}

impl From<&Descriptor> for InspectedDescriptor {
    fn from(descriptor: &Descriptor) -> Self {
        Self {
            name: descriptor.name.clone(),
            version: descriptor.version.clone(),
            documentation: descriptor.documentation.clone(),
            input: columns(&descriptor.input),
            output: columns(&descriptor.output),
            order_sensitive: descriptor.order_sensitive,
            merge_law: descriptor.merge_law,
        }
    }
}
