use std::{path::Path, time::Duration};

use oast_runtime::{EventsEntry, FeatureEntry, Manifest, PluginEntry};

use super::diff::number;
use crate::{
    args::{self, Global},
    output::{self, Table, bytes, count, short, style, thousands},
};

/// What every manifest looks like.
const SCHEMA: &str = include_str!("../../../../docs/manifest.schema.json");

/// How high a histogram can be drawn in one line of text.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// `oast manifest`
pub(crate) fn manifest(global: &Global, args: &args::Manifest) -> anyhow::Result<()> {
    match args {
        args::Manifest::Show { file } => {
            let manifest = Manifest::read(file)?;
            if global.json { output::json(&manifest) } else { print(&manifest, file) }
        }
        args::Manifest::Schema => Ok(output::line(format_args!("{}", SCHEMA.trim_end()))?),
    }
}

fn print(manifest: &Manifest, file: &Path) -> anyhow::Result<()> {
    let (bold, dim) = (style::BOLD, style::DIM);
    let dataset = &manifest.dataset;
    let beside = file.parent().unwrap_or(Path::new("")).join(&dataset.file);
    let took = Duration::from_micros(manifest.duration_us()).as_secs_f64();
    output::line(format_args!("dataset   {}  {}", beside.display(), bytes(dataset.bytes)))?;
    output::line(format_args!("hash      {bold}{}{bold:#}", dataset.hash))?;
    let (rows, columns) = (count(dataset.rows, "row"), count(dataset.schema.len() as u64, "column"));
    output::line(format_args!("size      {rows}, {columns}, in {took:.1} s"))?;
    output::line(format_args!("service   {} {}", manifest.service.name, manifest.service.version))?;
    for view in &manifest.service.views {
        output::line(format_args!("view      {} {}", view.name, view.version))?;
        view.plugins.iter().try_for_each(print_plugin)?;
    }
    manifest.service.derives.iter().try_for_each(print_plugin)?;
    output::line(format_args!("engine    {} {dim}oast {}{dim:#}", manifest.engine.fingerprint, manifest.engine.oast))?;
    let spine = &manifest.spine;
    output::line(format_args!("spine     {}  {}", spine.file.display(), count(spine.rows, "row")))?;
    output::line(format_args!("          {dim}{}{dim:#}", spine.hash))?;
    manifest.events.iter().try_for_each(print_events)?;
    for (key, value) in &manifest.metadata {
        output::line(format_args!("note      {key} = {value}"))?;
    }
    let outcomes = manifest.outcomes.iter().filter(|(_, count)| **count > 0);
    let outcomes: Vec<_> = outcomes.map(|(status, count)| format!("{} {}", thousands(*count), status.name())).collect();
    output::line(format_args!("values    {}", outcomes.join(", ")))?;
    if manifest.failed_events > 0 {
        output::line(format_args!("failed    {} left out", count(manifest.failed_events, "event")))?;
    }
    output::line("")?;
    Ok(feature_table(&manifest.features).print()?)
}

fn print_plugin(plugin: &PluginEntry) -> Result<(), output::StdoutError> {
    let dim = style::DIM;
    let component = plugin.component.to_string();
    output::line(format_args!(
        "          {dim}{} {} component {} {}{dim:#}",
        plugin.plugin,
        plugin.version,
        short(&component),
        plugin.params
    ))
}

fn print_events(events: &EventsEntry) -> Result<(), output::StdoutError> {
    let dim = style::DIM;
    let origin = match (&events.file, &events.log) {
        (Some(file), _) => format!("from {}", file.display()),
        (None, Some(log)) => {
            let segments = count(log.segments.len() as u64, "sealed segment");
            format!("from the log below offset {}, {segments}", thousands(log.end_offset))
        }
        (None, None) => String::new(),
    };
    output::line(format_args!("events    {}  {} {origin}", events.source, count(events.rows, "event")))?;
    output::line(format_args!("          {dim}{}{dim:#}", events.hash))
}

fn feature_table(features: &[FeatureEntry]) -> Table {
    let head = ["feature", "values", "nulls", "mean", "min", "median", "max", ""];
    let mut table = Table::new(&head).right(&[1, 2, 3, 4, 5, 6]);
    for feature in features {
        let numbers = [feature.mean, feature.min, feature.deciles.get(5).copied(), feature.max];
        let mut cells = vec![feature.name.clone(), thousands(feature.count), thousands(feature.nulls)];
        cells.extend(numbers.map(number));
        cells.push(feature.histogram.as_ref().map_or_else(String::new, |histogram| bars(&histogram.counts)));
        table.row(cells);
    }
    table
}

/// A histogram as a line of text; what there is at all can be seen.
fn bars(counts: &[u64]) -> String {
    let highest = counts.iter().copied().max().unwrap_or(0).max(1);
    let bar = |count: &u64| match *count {
        0 => ' ',
        count => BARS[((count as f64 / highest as f64 * BARS.len() as f64).ceil() as usize).clamp(1, BARS.len()) - 1],
    };
    counts.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_rise_with_counts() {
        assert_eq!(bars(&[0, 1, 4, 8, 1_000_000]), " ▁▁▁█");
        assert_eq!(bars(&[1, 2, 4, 8]), "▁▂▄█");
        assert_eq!(bars(&[]), "");
    }
}
