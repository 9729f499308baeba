use oast_runtime::{Trial, TrialFeatures, TrialRow, try_plugin};
use serde_json::Value;

use super::component::Component;
use crate::{
    args::{Global, PluginRun},
    output::{self, Table, style, thousands},
    report::Failure,
};

/// The longest text of a cell.
const CELL: usize = 60;

/// `oast plugin run`
pub(super) fn run(global: &Global, args: &PluginRun) -> anyhow::Result<()> {
    let component = Component::read(&args.plugin.file)?;
    let lines = match &args.rows {
        None => None,
        Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
            Failure::input(format!("cannot read `{}`: {error}", path.display()), "name a file of JSON lines")
        })?),
    };
    let trial = try_plugin(&component.bytes, &component.with(&args.plugin)?, lines.as_deref())?;
    if global.json { print_lines(&trial) } else { print(&trial) }
}

fn print_lines(trial: &Trial) -> anyhow::Result<()> {
    for row in &trial.rows {
        output::line(serde_json::to_string(row)?)?;
    }
    match &trial.features {
        Some(features) => Ok(output::line(serde_json::to_string(&serde_json::json!({ "features": features }))?)?),
        None => Ok(()),
    }
}

fn print(trial: &Trial) -> anyhow::Result<()> {
    let folds = trial.features.is_some();
    let last = if folds { "state" } else { "output" };
    let mut table = Table::new(&["row", "outcome", "fuel", "input", last]).right(&[0, 2]);
    for row in &trial.rows {
        let fuel = row.fuel.map_or("-".to_owned(), thousands);
        table.row([
            row.row.to_string(),
            row.outcome.to_owned(),
            fuel,
            cell(&row.input, &trial.takes),
            result(row, &trial.gives),
        ]);
    }
    table.print()?;
    match &trial.features {
        Some(features) => print_features(features, &trial.gives),
        None => Ok(()),
    }
}

fn print_features(features: &TrialFeatures, names: &[String]) -> anyhow::Result<()> {
    let bold = style::BOLD;
    let (bytes, fuel) = (thousands(features.state_bytes), thousands(features.fuel));
    output::line(format_args!("\n{bold}features{bold:#}  of a state of {bytes} bytes, {fuel} fuel to finish"))?;
    if let Some(reason) = &features.reason {
        output::line(format_args!("  {reason}"))?;
    }
    let mut table = Table::new(&["name", "value"]);
    for (name, value) in features.output.iter().flat_map(|output| members(output, names)) {
        table.row([name.clone(), crate::command::shown(value)]);
    }
    Ok(table.lines("  ").iter().skip(1).try_for_each(output::line)?)
}

/// What came of a row, in a cell.
fn result(row: &TrialRow, gives: &[String]) -> String {
    match (&row.reason, &row.output, row.state_bytes) {
        (Some(reason), _, _) => shortened(reason),
        (None, Some(output), _) => cell(output, gives),
        (None, None, Some(bytes)) => format!("{} bytes", thousands(bytes)),
        (None, None, None) => String::new(),
    }
}

/// A JSON object as `name=value` pairs, in the order of the columns.
fn cell(object: &Value, names: &[String]) -> String {
    let pairs = members(object, names).map(|(name, value)| format!("{name}={}", crate::command::shown(value)));
    shortened(&pairs.collect::<Vec<_>>().join(" "))
}

fn members<'a>(object: &'a Value, names: &'a [String]) -> impl Iterator<Item = (&'a String, &'a Value)> {
    names.iter().filter_map(|name| Some((name, object.get(name)?)))
}

fn shortened(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() <= CELL { text } else { text.chars().take(CELL - 1).chain(['…']).collect() }
}
