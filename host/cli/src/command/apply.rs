use std::path::Path;

use oast_runtime::{ApplyReport, ClockMode, LockFile, read_definition};

use super::create;
use crate::{
    args::{self, Global},
    output::{self, Table, short},
    progress::Bar,
};

/// `oast apply`
pub(crate) fn apply(global: &Global, args: &args::Apply) -> anyhow::Result<()> {
    let definition = read_definition(&args.file)?;
    let dir = args.file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let lock_path = args.file.with_extension("lock");
    let lock = if args.update { LockFile::default() } else { LockFile::read(&lock_path)? };
    let runtime = create(&global.data, ClockMode::Wall)?;
    let report = runtime.apply_with(&definition, &lock, dir, &Bar::new())?;
    report.lock.write(&lock_path)?;
    if global.json { output::json(&report.changes) } else { Ok(print(&report)?) }
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
