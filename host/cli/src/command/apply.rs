use std::path::Path;

use oast_runtime::{ApplyReport, ClockMode, LockFile, Progress, SentDefinition, read_definition};

use super::create;
use crate::{
    args::{self, Global},
    authoring,
    client::Client,
    output::{self, Table, short},
    progress::Bar,
};

/// `oast apply`
pub(crate) fn apply(global: &Global, args: &args::Apply) -> anyhow::Result<()> {
    let lock_path = args.file.with_extension("lock");
    let lock = if args.update { LockFile::default() } else { LockFile::read(&lock_path)? };
    let mut report = match &global.url {
        Some(url) => send(&Client::new(url)?, args, lock)?,
        None => apply_here(global, args, &lock)?,
    };
    report.lock.write(&lock_path)?;
    report.notes.extend(stale_builds(args, &report.lock)?);
    if global.json { output::json(&report.changes) } else { Ok(print(&report)?) }
}

fn apply_here(global: &Global, args: &args::Apply, lock: &LockFile) -> anyhow::Result<ApplyReport> {
    let definition = read_definition(&args.file)?;
    let dir = folder_of(args);
    let runtime = create(&global.data, ClockMode::Wall)?;
    Ok(runtime.apply_with(&definition, lock, dir, &Bar::new())?)
}

/// The folder of the definitions.
fn folder_of(args: &args::Apply) -> &Path {
    args.file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Of the plugins in use whose projects lie beside the definitions, those that were built before their source changed.
fn stale_builds(args: &args::Apply, lock: &LockFile) -> anyhow::Result<Vec<String>> {
    let mut notes = Vec::new();
    for plugin in lock.plugins() {
        let name = plugin.split('@').next().unwrap_or(plugin);
        let project = folder_of(args).join("plugins").join(name);
        if let Some(built_before) = authoring::built_before(&project)? {
            notes.push(format!("{built_before}; `oast plugin test {}` builds it again", project.display()));
        }
    }
    Ok(notes)
}

/// Sends the definitions to a daemon, after the components that the author built.
fn send(client: &Client, args: &args::Apply, lock: LockFile) -> anyhow::Result<ApplyReport> {
    let (sent, components) = SentDefinition::read(&args.file, lock)?;
    let bar = Bar::new();
    bar.phase("sending components", Some(components.len() as u64));
    for component in &components {
        client.component(component)?;
        bar.advance(1);
    }
    bar.phase("publishing", None);
    Ok(client.apply(&sent)?.into())
}

/// A line for each source, view and service.
pub(crate) fn print(report: &ApplyReport) -> Result<(), output::StdoutError> {
    let mut table = Table::new(&["change", "kind", "name", "version", "before"]);
    for change in &report.changes {
        let before = change.previous.as_deref().filter(|_| change.change != "unchanged").map_or("", short);
        table.row([&change.change[..], &change.kind[..], &change.name, short(&change.hash), before]);
    }
    table.print()?;
    for note in &report.notes {
        output::line(format_args!("note: {note}"))?;
    }
    if report.changes.iter().all(|change| change.change == "unchanged") {
        output::line("nothing to publish")?;
    }
    Ok(())
}
