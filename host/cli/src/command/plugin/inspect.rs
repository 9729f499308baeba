use std::path::Path;

use anyhow::Context;
use oast_runtime::{CheckReport, CheckedUse, Finding, InspectedDescriptor, Inspection, Measured};
use serde_json::{Value, json};

use super::component::Component;
use crate::{
    args::{Global, PluginInspect},
    output::{self, Table, count, short, style, thousands},
    report::CheckFailed,
};

/// `oast plugin inspect`
pub(super) fn inspect(global: &Global, args: &PluginInspect) -> anyhow::Result<()> {
    let component = Component::read(&args.plugin.file)?;
    let inspection = oast_runtime::inspect(&component.bytes, &component.with(&args.plugin)?)
        .with_context(|| format!("`{}` cannot be used as a plugin", component.path.display()))?;
    let provenance = provenance(&component.path);
    if global.json {
        let mut value = serde_json::to_value(&inspection)?;
        value["provenance"] = json!(provenance);
        output::json(&value)?;
    } else {
        print(&inspection, provenance.as_ref())?;
    }
    match inspection.report.as_ref().and_then(CheckReport::finding) {
        Some(_) => Err(CheckFailed.into()),
        None => Ok(()),
    }
}

/// What built the component, if that lies beside it as `NAME.provenance.json`.
fn provenance(component: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(component.with_extension("provenance.json")).ok()?;
    serde_json::from_str(&text).ok()
}

fn print(inspection: &Inspection, provenance: Option<&Value>) -> anyhow::Result<()> {
    let bold = style::BOLD;
    let title = match &inspection.descriptor {
        Some(descriptor) => format!("{bold}{} {}{bold:#}", descriptor.name, descriptor.version),
        None => format!("{bold}component{bold:#}"),
    };
    output::line(format_args!("{title}  {} of {}", inspection.world, inspection.package))?;
    let imports = if inspection.imports.is_empty() { "nothing".to_owned() } else { inspection.imports.join(", ") };
    field("component", &inspection.hash.to_string())?;
    field("size", &size(&inspection.size))?;
    field("imports", &imports)?;
    field("exports", &inspection.exports.join(", "))?;
    field("samples", &count(inspection.samples as u64, "case"))?;
    if let Some(descriptor) = &inspection.descriptor {
        print_descriptor(inspection, descriptor)?;
    }
    if let Some(error) = &inspection.configure_error {
        output::line("")?;
        field("params", &inspection.params)?;
        field("refused", error)?;
        let hint = "give it what it needs with --params and --offered";
        output::line(format_args!("{bold}hint:{bold:#} {hint}"))?;
    }
    if let Some(report) = &inspection.report {
        print_report(report)?;
        print_costs(inspection, report)?;
    }
    match provenance {
        Some(provenance) => print_provenance(provenance),
        None => Ok(()),
    }
}

fn size(size: &Measured) -> String {
    format!(
        "{} bytes: {} functions in {} bytes of code, {} bytes of data, {} bytes of memory at the start",
        thousands(size.bytes),
        thousands(size.functions),
        thousands(size.code_bytes),
        thousands(size.data_bytes),
        thousands(size.memory_bytes)
    )
}

fn field(name: &str, value: &str) -> Result<(), output::StdoutError> {
    let dim = style::DIM;
    output::line(format_args!("  {dim}{name:<10}{dim:#} {value}"))
}

fn section(name: &str, text: &str) -> Result<(), output::StdoutError> {
    let bold = style::BOLD;
    output::line(format_args!("\n{bold}{name}{bold:#}  {text}"))
}

fn print_descriptor(inspection: &Inspection, descriptor: &InspectedDescriptor) -> anyhow::Result<()> {
    output::line("")?;
    for line in descriptor.documentation.lines() {
        output::line(format_args!("  {line}").to_string().trim_end())?;
    }
    section("configured", "")?;
    field("params", &inspection.params)?;
    field("offered", &listed(&inspection.offered))?;
    field("takes", &listed(&descriptor.input))?;
    field("gives", &listed(&descriptor.output))?;
    if inspection.world == "aggregation" {
        let order = if descriptor.order_sensitive { "matters" } else { "does not matter" };
        field("order", order)?;
        field(
            "merge",
            &descriptor.merge_law.map_or("promises nothing".to_owned(), |law| format!("{law:?}").to_lowercase()),
        )?;
    }
    let limits = &inspection.limits;
    let row = format!(
        "{} fuel a row, {} MiB of memory, {} KiB of stack, {} KiB a row of output",
        thousands(limits.budget_fuel.0),
        limits.memory_bytes >> 20,
        limits.stack_bytes >> 10,
        limits.output_bytes >> 10
    );
    Ok(field("limits", &row)?)
}

fn listed(columns: &[String]) -> String {
    if columns.is_empty() { "nothing".to_owned() } else { columns.join(", ") }
}

fn print_report(report: &CheckReport) -> anyhow::Result<()> {
    let verdict = if report.passed() { "all passed" } else { "failed" };
    section("checks", &format!("{verdict}, on engine {}", short(&report.engine.to_string())))?;
    let mut table =
        Table::new(&["", "use", "checks", "rows", "kept", "dropped", "rejected", "failed"]).right(&[2, 3, 4, 5, 6, 7]);
    for used in &report.uses {
        let counts = &used.outcomes;
        let mark = if used.finding().is_none() { "✓" } else { "✗" };
        let numbers =
            [counts.rows, counts.kept, counts.dropped, counts.rejected, counts.failed].map(|count| {
                match used.outcomes.rows {
                    0 => "-".to_owned(),
                    _ => thousands(count),
                }
            });
        let cells = [mark.to_owned(), used.name.clone(), used.checks.len().to_string()];
        table.row(cells.into_iter().chain(numbers));
    }
    table.lines("  ").iter().try_for_each(output::line)?;
    if let Some(used) = report.uses.iter().find(|used| used.outcomes.rows > 0) {
        print_checks(used)?;
    }
    match report.finding() {
        Some((_, check, finding)) => print_finding(&check.name, finding),
        None => Ok(()),
    }
}

/// The checks of one use, of which all others have the same.
fn print_checks(used: &CheckedUse) -> anyhow::Result<()> {
    output::line(format_args!("\n  of `{}`:", used.name))?;
    let mut table = Table::new(&["check", "what was run"]);
    for check in &used.checks {
        table.row([check.name.as_str(), check.ran.as_str()]);
    }
    Ok(table.lines("  ").iter().try_for_each(output::line)?)
}

fn print_finding(name: &str, finding: &Finding) -> anyhow::Result<()> {
    let (red, bold) = (style::RED, style::BOLD);
    output::line(format_args!("\n{red}✗ {name}{red:#}  {}", finding.meaning))?;
    for (number, row) in finding.rows.iter().enumerate() {
        output::line(format_args!("  row {:<3} {row}", number + 1))?;
    }
    let mut table = Table::new(&["run", "output"]);
    for shown in [&finding.expected, &finding.found] {
        table.row([shown.run.as_str(), shown.output.as_str()]);
    }
    table.lines("  ").iter().skip(1).try_for_each(output::line)?;
    Ok(output::line(format_args!("{bold}hint:{bold:#} {}", finding.hint))?)
}

fn print_costs(inspection: &Inspection, report: &CheckReport) -> anyhow::Result<()> {
    let Some(used) = report.uses.iter().find(|used| used.outcomes.rows > 0) else { return Ok(()) };
    let costs = &used.costs;
    section("cost", &format!("of `{}`", used.name))?;
    let row = format!(
        "{} to {} fuel, half of the rows within {}",
        thousands(costs.row_fuel_min),
        thousands(costs.row_fuel_max),
        thousands(costs.row_fuel_median)
    );
    field("a row", &row)?;
    field("configure", &format!("{} fuel", thousands(costs.configure_fuel)))?;
    if let (Some(fuel), Some(bytes)) = (costs.state_fuel_max, costs.state_bytes_max) {
        field("a state", &format!("at most {} bytes, {} fuel to merge or finish", thousands(bytes), thousands(fuel)))?;
    }
    field("memory", &format!("at most {} bytes", thousands(costs.memory_bytes_max)))?;
    if let Some(nanoseconds) = inspection.row_ns {
        field("time", &format!("{nanoseconds:.0} ns a row in batches of 4,096, measured on this machine just now"))?;
    }
    Ok(())
}

fn print_provenance(provenance: &Value) -> anyhow::Result<()> {
    section("provenance", "")?;
    for (name, value) in provenance.as_object().into_iter().flatten() {
        field(name, &crate::command::shown(value))?;
    }
    Ok(())
}
