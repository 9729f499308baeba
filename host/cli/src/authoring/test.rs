use std::{fs, path::Path};

use oast_runtime::{CheckReport, GoldenCase, GoldenReport, Progress, check_plugin, run_golden};
use serde_json::json;

use super::{
    build::{compile, leave},
    project::Project,
    sdk,
};
use crate::{
    args::Global,
    output::{self, count, style, thousands},
    progress::Bar,
    report::{CheckFailed, Failure},
};

/// `oast plugin test`
pub(crate) fn test(global: &Global, dir: &Path, update: bool) -> anyhow::Result<()> {
    let project = Project::open(dir)?;
    let path = project.golden();
    let golden = fs::read_to_string(&path).map_err(|error| {
        Failure::input(format!("cannot read `{}`: {error}", path.display()), "compare with a new project's golden.json")
    })?;
    let built = compile(&project)?;
    let component = leave(&project, &built)?;
    let bar = Bar::new();
    bar.phase("running golden.json", None);
    let report = run_golden(&component, &golden, Some(&project.artefacts()))?;
    bar.clear();
    if update {
        if report.cases.iter().flat_map(|case| &case.differences).any(|difference| !difference.acceptable) {
            show(global, &report, None)?;
            let message = "golden.json is not changed: some of this can never be right";
            return Err(
                Failure::input(message, "mend the plugin where it traps or where its rows depend on others").into()
            );
        }
        accept(&report, &path)?;
        leave(&project, &built)?;
        return Ok(());
    }
    if differences(&report) > 0 {
        show(global, &report, None)?;
        return Err(CheckFailed.into());
    }
    bar.phase("checking what publication demands", None);
    let checks = check_plugin(&component, None)?;
    bar.clear();
    show(global, &report, Some(&checks))
}

/// Shows what came of the golden file, and of the checks if they were run.
fn show(global: &Global, report: &GoldenReport, checks: Option<&CheckReport>) -> anyhow::Result<()> {
    if global.json {
        return output::json(&json!({ "cases": as_json(report), "checks": checks }));
    }
    print(report)?;
    if let Some(checks) = checks {
        let rows = checks.uses.iter().map(|used| used.outcomes.rows).sum();
        let checks = count(checks.uses.iter().map(|used| used.checks.len() as u64).sum(), "check");
        output::line(format_args!("{checks} passed over {}: it can be published", count(rows, "row")))?;
    }
    Ok(())
}

fn differences(report: &GoldenReport) -> usize {
    report.cases.iter().map(|case| case.differences.len()).sum()
}

/// Writes the golden file anew, if it says anything else.
fn accept(report: &GoldenReport, path: &Path) -> anyhow::Result<()> {
    let changed = differences(report);
    if changed == 0 {
        return Ok(output::line("golden.json says already what comes out")?);
    }
    sdk::write(path, &report.updated)?;
    let accepted = count(changed as u64, "difference");
    Ok(output::line(format_args!("golden.json is written: {accepted} accepted; look at what changed"))?)
}

/// A line a case, the differences under it.
fn print(report: &GoldenReport) -> anyhow::Result<()> {
    let (red, green, dim) = (style::RED, style::GREEN, style::DIM);
    for case in &report.cases {
        if case.differences.is_empty() {
            output::line(format_args!("{green}ok{green:#}      {}  {dim}{}{dim:#}", case.name, cost(case)))?;
            continue;
        }
        output::line(format_args!("{red}FAILED{red:#}  {}", case.name))?;
        for difference in &case.differences {
            let input = difference.input.as_ref().map_or_else(String::new, |input| format!("  {dim}{input}{dim:#}"));
            output::line(format_args!("        {}{input}", difference.place))?;
            output::line(format_args!("          {green}expected{green:#}  {}", difference.expected))?;
            output::line(format_args!("          {red}got{red:#}       {}", difference.got))?;
        }
    }
    Ok(summary(report)?)
}

fn summary(report: &GoldenReport) -> Result<(), output::StdoutError> {
    let failed = report.cases.iter().filter(|case| !case.differences.is_empty()).count();
    let cases = count(report.cases.len() as u64, "case");
    if failed == 0 {
        let all = if report.cases.len() == 1 { "" } else { "all " };
        return output::line(format_args!("{cases}, {all}as golden.json says"));
    }
    output::line(format_args!("{failed} of {cases} failed; `oast plugin test --update` takes what came out as right"))
}

/// What a case cost, in fuel a row where its rows ran alone.
fn cost(case: &GoldenCase) -> String {
    let alone = case.consumed.iter().find(|(call, _)| call.ends_with("row by row"));
    match alone {
        Some((_, fuel)) if case.rows > 0 => {
            format!("{}, {} fuel a row", count(case.rows as u64, "row"), thousands(fuel / case.rows as u64))
        }
        _ => String::new(),
    }
}

fn as_json(report: &GoldenReport) -> serde_json::Value {
    let case = |case: &GoldenCase| {
        let difference = |difference: &oast_runtime::GoldenDifference| {
            json!({
                "place": difference.place, "input": difference.input, "expected": difference.expected, "got": difference.got,
            })
        };
        let consumed: serde_json::Map<_, _> =
            case.consumed.iter().map(|(call, fuel)| ((*call).to_owned(), json!(fuel))).collect();
        let differences: Vec<_> = case.differences.iter().map(difference).collect();
        json!({ "name": case.name, "rows": case.rows, "differences": differences, "fuel": consumed })
    };
    report.cases.iter().map(case).collect()
}
