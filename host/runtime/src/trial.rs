//! Trying a plugin on a few rows, each in its canonical run.

use oast_core::{Batch, Blobs, ColumnBuilder, Failure, Limits, Outcome, Schema};
use oast_engine::{Aggregate, Groups, Plugin, Transform};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::{
    RuntimeError, checks,
    inspect::{Opened, PluginUse},
    json,
};

/// What came of trying a plugin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// The plugin's name and version.
    pub plugin: String,
    /// The names of the columns that the plugin takes.
    pub takes: Vec<String>,
    /// The names of the columns that it gives.
    pub gives: Vec<String>,
    /// One entry a row.
    pub rows: Vec<TrialRow>,
    /// For an aggregate, what all rows together came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<TrialFeatures>,
}

/// What came of one row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialRow {
    /// The row, from 1.
    pub row: u64,
    /// The row as the plugin saw it.
    pub input: Json,
    /// `keep`, `drop`, `reject` or `fail`; `fold` for an aggregate.
    pub outcome: &'static str,
    /// The fuel of the row's canonical run; nothing where the plugin died, since it may have used more than was counted.
    pub fuel: Option<u64>,
    /// The row that came back, if it was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    /// For an aggregate, the bytes of the state after the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_bytes: Option<u64>,
    /// Why the row was rejected or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The features of the state after all rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialFeatures {
    /// The features, if the state can be finished.
    pub output: Option<Json>,
    /// Why it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The fuel of finishing.
    pub fuel: u64,
    /// The bytes of the state.
    pub state_bytes: u64,
}

/// Runs a plugin on rows, JSON objects one a line, or on those of its first sample. An aggregate folds them into one state.
pub fn try_plugin(bytes: &[u8], with: &PluginUse, lines: Option<&str>) -> Result<Trial, RuntimeError> {
    let opened = Opened::new(bytes, with)?;
    let (params, offered) = opened.arguments(with)?;
    let why = if opened.samples.cases.is_empty() { checks::without_samples } else { RuntimeError::Component };
    let plugin = opened.component.configure(&params, &offered, Limits::default()).map_err(why)?;
    let rows = match (lines, opened.first_sample(with)) {
        (Some(lines), _) => rows_of(lines, &plugin.descriptor().input, &offered)?,
        (None, Some(sample)) if sample.input()? == plugin.descriptor().input => sample.rows()?,
        (None, Some(_)) => {
            return Err(RuntimeError::request(
                format!(
                    "with these parameters it takes {}, which the sample's rows do not have",
                    plugin.descriptor().input.names_quoted()
                ),
                "name a file of JSON lines with --rows",
            ));
        }
        (None, None) => {
            return Err(RuntimeError::request("there are no rows to run", "name a file of JSON lines with --rows"));
        }
    };
    let descriptor = plugin.descriptor();
    let names = |schema: &Schema| schema.fields().iter().map(|field| field.name.clone()).collect();
    let mut trial = Trial {
        plugin: format!("{} {}", descriptor.name, descriptor.version),
        takes: names(&descriptor.input),
        gives: names(&descriptor.output),
        rows: Vec::new(),
        features: None,
    };
    match (plugin.transform(), plugin.aggregate()) {
        (Some(transform), _) => transform_rows(&plugin, transform, &rows, &mut trial)?,
        (_, Some(aggregate)) => fold_rows(&plugin, aggregate, &rows, &mut trial)?,
        (None, None) => unreachable!("a component has one of the two worlds"),
    }
    Ok(trial)
}

fn transform_rows(
    plugin: &Plugin,
    transform: Transform<'_>,
    rows: &Batch,
    trial: &mut Trial,
) -> Result<(), RuntimeError> {
    let descriptor = plugin.descriptor();
    for row in 0..rows.rows {
        let applied = transform.apply(&rows.slice(row, row + 1))?;
        let outcome = applied.outcomes.get(0).cloned().unwrap_or(Outcome::Drop);
        let mut entry = entry(row, rows, &descriptor.input);
        entry.fuel = Some(applied.consumed.0);
        (entry.outcome, entry.reason) = match outcome {
            Outcome::Keep => ("keep", None),
            Outcome::Drop => ("drop", None),
            Outcome::Reject(rejection) => ("reject", Some(format!("{}: {}", rejection.code, rejection.message))),
            Outcome::Fail(failure) => ("fail", Some(failure.to_string())),
        };
        entry.fuel = entry.fuel.filter(|_| entry.outcome != "fail");
        entry.output = (entry.outcome == "keep").then(|| json::row_to_json(&descriptor.output, &applied.rows, 0));
        trial.rows.push(entry);
    }
    Ok(())
}

fn fold_rows(plugin: &Plugin, aggregate: Aggregate<'_>, rows: &Batch, trial: &mut Trial) -> Result<(), RuntimeError> {
    let descriptor = plugin.descriptor();
    let mut state = Vec::new();
    for row in 0..rows.rows {
        let updated = aggregate.update(&[&state], &[1], &rows.slice(row, row + 1))?;
        let failure: Option<&(u32, Failure)> = updated.failures.first();
        let mut entry = entry(row, rows, &descriptor.input);
        entry.outcome = if failure.is_some() { "fail" } else { "fold" };
        entry.reason = failure.map(|(_, failure)| failure.to_string());
        entry.fuel = Some(updated.consumed.0).filter(|_| failure.is_none());
        state = updated.states.get(0).to_vec();
        entry.state_bytes = Some(state.len() as u64);
        trial.rows.push(entry);
    }
    let finished = aggregate.finish(Groups::new(&Blobs::concat(&[&state]), &[1]))?;
    let failure = finished.failures.first().cloned().flatten();
    trial.features = Some(TrialFeatures {
        output: failure.is_none().then(|| json::row_to_json(&descriptor.output, &finished.rows, 0)),
        reason: failure.map(|failure| failure.to_string()),
        fuel: finished.consumed.0,
        state_bytes: state.len() as u64,
    });
    Ok(())
}

fn entry(row: usize, rows: &Batch, input: &Schema) -> TrialRow {
    TrialRow {
        row: row as u64 + 1,
        input: json::row_to_json(input, rows, row),
        outcome: "keep",
        fuel: None,
        output: None,
        state_bytes: None,
        reason: None,
    }
}

/// Rows from JSON lines. A column is found under its own name, or under that of the offered column it stands for.
fn rows_of(lines: &str, input: &Schema, offered: &Schema) -> Result<Batch, RuntimeError> {
    let hint = "write one JSON object a line, with a member for each column";
    let mut builders: Vec<_> = input.fields().iter().map(|field| ColumnBuilder::new(field.data_type)).collect();
    let mut rows = 0;
    for (number, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |what: String| RuntimeError::request(format!("line {}: {what}", number + 1), hint);
        let object: Map<String, Json> = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        let known = |name: &String| input.index_of(name).is_some() || offered.index_of(name).is_some();
        if !input.is_empty() && !object.keys().any(known) {
            return Err(wrong(format!("the row has none of the columns {}", input.names_quoted())));
        }
        for (at, (field, builder)) in input.fields().iter().zip(&mut builders).enumerate() {
            let by_position = || object.get(&offered.fields().get(at)?.name);
            let found = object.get(&field.name).or_else(by_position);
            let value = json::from_json(field, found).map_err(|error| wrong(error.message))?;
            builder.push(value.as_ref());
        }
        rows += 1;
    }
    Ok(Batch { rows, columns: builders.into_iter().map(ColumnBuilder::finish).collect() })
}
