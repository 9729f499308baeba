use std::path::{Path, PathBuf};

use oast_runtime::{ClockMode, DiffOptions, DiffReport, DiffSubject, FeatureDiff};

use super::{diff_html, lookup::shown, open};
use crate::{
    args::{self, Global},
    output::{self, Table, count, short, style, thousands},
    progress::Bar,
};

/// `oast diff`
pub(crate) fn diff(global: &Global, args: args::Diff) -> anyhow::Result<()> {
    let runtime = open(&global.data, ClockMode::Wall)?;
    let options = DiffOptions {
        before: subject(&args.before),
        after: subject(&args.after),
        spine: args.spine,
        events: args.events.into_iter().map(|(source, file)| (source, PathBuf::from(file))).collect(),
        map: args.map,
        spine_time: args.spine_time,
        resources: args.resources.into(),
        rows_max: args.rows,
    };
    let report = runtime.diff(&options, &Bar::new())?;
    if let Some(path) = &args.html {
        oast_runtime::write_whole(path, diff_html::page(&report).as_bytes())?;
    }
    if global.json {
        return output::json(&report);
    }
    print(&report)?;
    match &args.html {
        Some(path) => Ok(output::line(format_args!("report    {}", path.display()))?),
        None => Ok(()),
    }
}

/// A definition file, `FILE` or `FILE:NAME`, or the name or hash of something published.
fn subject(text: &str) -> DiffSubject {
    let (file, name) = match text.split_once(".toml:") {
        Some((stem, name)) => (format!("{stem}.toml"), Some(name.to_owned())),
        None => (text.to_owned(), None),
    };
    if Path::new(&file).extension().is_some_and(|extension| extension == "toml") {
        DiffSubject::Definition { file: PathBuf::from(file), name }
    } else {
        DiffSubject::Published(text.to_owned())
    }
}

fn print(report: &DiffReport) -> anyhow::Result<()> {
    let (green, bold) = (style::GREEN, style::BOLD);
    for (label, version) in [("before", &report.before), ("after", &report.after)] {
        let short = short(&version.version);
        output::line(format_args!("{label:<8}  {} {bold}{}{bold:#} {short}", version.kind, version.name))?;
    }
    let (rows, changed) = (count(report.rows, "row"), thousands(report.rows_changed));
    output::line(format_args!("rows      {changed} of {rows} differ"))?;
    for (label, names) in [("only before", &report.removed), ("only after", &report.added)] {
        if !names.is_empty() {
            output::line(format_args!("{label}  {}", names.join(", ")))?;
        }
    }
    if report.is_same() {
        return Ok(output::line(format_args!(
            "{green}same{green:#}      every feature is the same bits in every row"
        ))?);
    }
    print_features(report)?;
    print_rows(report)
}

fn print_features(report: &DiffReport) -> anyhow::Result<()> {
    let mut features: Vec<&FeatureDiff> = report.features.iter().filter(|feature| feature.changed > 0).collect();
    features.sort_by(|a, b| a.by_difference(b));
    let head = ["feature", "changed", "nulls", "mean", "largest difference", "PSI", "KS"];
    let mut table = Table::new(&head).right(&[1, 2, 3, 4, 5, 6]);
    for feature in features {
        let share = 100.0 * feature.changed as f64 / report.rows.max(1) as f64;
        let changed = format!("{} ({share:.1} %)", thousands(feature.changed));
        let nulls = format!("{} → {}", thousands(feature.nulls_before), thousands(feature.nulls_after));
        let mean = format!("{} → {}", number(feature.mean_before), number(feature.mean_after));
        let (largest, ks) = (number(feature.distance_max), number(feature.distribution.ks));
        let psi = format!("{:.4}", feature.distribution.psi);
        table.row([feature.name.clone(), changed, nulls, mean, largest, psi, ks]);
    }
    output::line("")?;
    Ok(table.print()?)
}

fn print_rows(report: &DiffReport) -> anyhow::Result<()> {
    if report.rows_most.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["row", "of", "features", "differs most in"]).right(&[0, 2]);
    for row in &report.rows_most {
        let of: Vec<String> = row.spine.values().map(shown).collect();
        let most =
            row.features.first().map(|(name, before, after)| format!("{name}: {} → {}", shown(before), shown(after)));
        table.row([thousands(row.row), of.join(" "), thousands(row.changed), most.unwrap_or_default()]);
    }
    output::line("")?;
    Ok(table.print()?)
}

/// A number with the digits that matter.
pub(super) fn number(number: Option<f64>) -> String {
    match number {
        None => "-".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(number) if !(0.001..1e9).contains(&number.abs()) => format!("{number:.3e}"),
        Some(number) => format!("{number:.4}").trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_told_from_published_names() {
        let definition = |file: &str, name: Option<&str>| DiffSubject::Definition {
            file: file.into(),
            name: name.map(str::to_owned),
        };
        let check = |text: &str, expect: DiffSubject| assert_eq!(subject(text), expect, "{text}");
        check("delay_model", DiffSubject::Published("delay_model".to_owned()));
        check("delay_model@1f2e3d", DiffSubject::Published("delay_model@1f2e3d".to_owned()));
        check("new/oast.toml", definition("new/oast.toml", None));
        check("oast.toml:delay_model", definition("oast.toml", Some("delay_model")));
    }

    #[test]
    fn numbers_are_short() {
        let check = |value, expect: &str| assert_eq!(number(value), expect);
        check(None, "-");
        check(Some(0.0), "0");
        check(Some(12.5), "12.5");
        check(Some(-3.0), "-3");
        check(Some(0.00001), "1.000e-5");
    }
}
