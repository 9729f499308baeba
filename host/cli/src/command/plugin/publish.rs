use anyhow::Context;
use oast_runtime::{ClockMode, PluginPublication};

use super::component::Component;
use crate::{
    args::{Global, PluginPublish},
    authoring,
    command::create,
    output::{self, count, style},
    progress::Bar,
};

/// `oast plugin publish`
pub(super) fn publish(global: &Global, args: &PluginPublish) -> anyhow::Result<()> {
    if args.file.is_dir() {
        authoring::require_built(&args.file)?;
    }
    let component = Component::read(&args.file)?;
    let runtime = create(&global.data, ClockMode::Wall)?;
    let published = runtime
        .publish_plugin(&component.bytes, component.golden_beside().as_deref(), &Bar::new())
        .with_context(|| format!("`{}` is not published", component.path.display()))?;
    if global.json { output::json(&published) } else { print(&published) }
}

fn print(published: &PluginPublication) -> anyhow::Result<()> {
    let bold = style::BOLD;
    let PluginPublication { name, version, component, new, released, report } = published;
    let what = match (new, released) {
        (true, _) => "published",
        (false, true) => "out of quarantine",
        (false, false) => "published before, with these very bytes",
    };
    output::line(format_args!("{bold}{name}@{version}{bold:#}  {what}"))?;
    output::line(format_args!("component  {component}"))?;
    if let Some(report) = report {
        let checks: usize = report.uses.iter().map(|used| used.checks.len()).sum();
        let rows = report.uses.iter().map(|used| used.outcomes.rows).sum();
        output::line(format_args!("checks     {checks} passed over {}", count(rows, "row")))?;
    }
    Ok(())
}
