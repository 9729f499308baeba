use std::{collections::BTreeMap, fs::File, io, path::Path};

use oast_runtime::{ClockMode, Correction, QuarantineEntry, QuarantinedEvent, RetryReport, Runtime, RuntimeError};
use serde_json::Value;

use super::{lookup::shown, open};
use crate::{
    args::{self, Global},
    client::Client,
    output::{self, Table, count, style, thousands},
    report::Failure,
};

/// How many events are shown, as long as nobody asks for more.
const SHOWN_MAX: usize = 20;

/// Where the quarantine is.
enum Place {
    Daemon(Client),
    Folder(Box<Runtime>),
}

/// `oast quarantine`
pub(crate) fn quarantine(global: &Global, args: &args::Quarantine) -> anyhow::Result<()> {
    let place = match &global.url {
        Some(url) => Place::Daemon(Client::new(url)?),
        None => Place::Folder(Box::new(open(&global.data, ClockMode::Wall)?)),
    };
    match args {
        args::Quarantine::List { source: None } => {
            let entries = place.list()?;
            if global.json { output::json(&entries) } else { print_sources(&entries) }
        }
        args::Quarantine::List { source: Some(source) } => {
            let events = place.events(source)?;
            if global.json { events.iter().try_for_each(json_line) } else { print_events(source, &events) }
        }
        args::Quarantine::Retry { source, corrections } => {
            let corrections = corrections.as_deref().map(read_corrections).transpose()?.unwrap_or_default();
            let report = place.retry(source, corrections)?;
            if global.json { output::json(&report) } else { print_retry(source, &report) }
        }
        args::Quarantine::Drop { source, ids, all } => {
            if ids.is_empty() && !all {
                let hint = format!("`oast quarantine list {source}` shows the ids; --all drops every event");
                return Err(Failure::input("nothing says which events to drop", hint).into());
            }
            let dropped = place.drop_events(source, ids)?;
            if global.json {
                return output::json(&serde_json::json!({"dropped": dropped}));
            }
            Ok(output::line(format_args!("{source}: {} dropped", count(dropped, "event")))?)
        }
    }
}

impl Place {
    fn list(&self) -> anyhow::Result<Vec<QuarantineEntry>> {
        match self {
            Self::Daemon(client) => client.quarantine_list(),
            Self::Folder(runtime) => Ok(runtime.quarantine_list()?),
        }
    }

    fn events(&self, source: &str) -> anyhow::Result<Vec<QuarantinedEvent>> {
        match self {
            Self::Daemon(client) => client.quarantined(source),
            Self::Folder(runtime) => Ok(runtime.quarantined(source)?),
        }
    }

    fn retry(&self, source: &str, corrections: Vec<Correction>) -> anyhow::Result<RetryReport> {
        match self {
            Self::Daemon(client) => client.quarantine_retry(source, &corrections),
            Self::Folder(runtime) => Ok(runtime.quarantine_retry(source, corrections)?),
        }
    }

    fn drop_events(&self, source: &str, ids: &[String]) -> anyhow::Result<u64> {
        match self {
            Self::Daemon(client) => client.quarantine_drop(source, ids),
            Self::Folder(runtime) => Ok(runtime.quarantine_drop(source, ids)?),
        }
    }
}

/// Reads corrected events: JSON objects with `id` and `event`, as `oast quarantine list SOURCE --json` prints them.
fn read_corrections(path: &Path) -> anyhow::Result<Vec<Correction>> {
    let unreadable = |source| RuntimeError::File { action: "read", path: path.to_owned(), source };
    let input: Box<dyn io::Read> = match path == Path::new("-") {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(path).map_err(unreadable)?),
    };
    let values = serde_json::Deserializer::from_reader(io::BufReader::new(input)).into_iter::<Correction>();
    let numbered = values.enumerate().map(|(at, value)| {
        value.map_err(|error| {
            let message = format!("`{}`, event {}: {error}", path.display(), at + 1);
            Failure::input(message, "write one object a line, with the `id` and the corrected `event`").into()
        })
    });
    numbered.collect()
}

fn json_line(event: &QuarantinedEvent) -> anyhow::Result<()> {
    Ok(output::line(serde_json::to_string(event)?)?)
}

fn print_sources(entries: &[QuarantineEntry]) -> anyhow::Result<()> {
    if entries.is_empty() {
        return Ok(output::line("nothing is in quarantine")?);
    }
    let mut table = Table::new(&["source", "events", "oldest", "newest", "reasons"]).right(&[1]);
    for entry in entries {
        let reasons = entry.reasons.iter().map(|(reason, events)| format!("{reason} ×{}", thousands(*events)));
        table.row([
            entry.source.clone(),
            thousands(entry.events),
            entry.oldest.clone(),
            entry.newest.clone(),
            reasons.collect::<Vec<_>>().join(", "),
        ]);
    }
    Ok(table.print()?)
}

fn print_events(source: &str, events: &[QuarantinedEvent]) -> anyhow::Result<()> {
    if events.is_empty() {
        return Ok(output::line(format_args!("nothing of {source} is in quarantine"))?);
    }
    let mut table = Table::new(&["id", "refused at", "reason", "event"]);
    for event in events.iter().take(SHOWN_MAX) {
        table.row([event.id.clone(), event.at.clone(), event.reason.message.clone(), clipped(&event.event)]);
    }
    table.print()?;
    let more = events.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        let dim = style::DIM;
        output::line(format_args!("{dim}and {more} more; --json shows all{dim:#}"))?;
    }
    Ok(())
}

fn print_retry(source: &str, report: &RetryReport) -> anyhow::Result<()> {
    let (accepted, duplicates) = (thousands(report.accepted), thousands(report.duplicates));
    let stay = thousands(report.quarantined.len() as u64);
    output::line(format_args!("{source}: {accepted} accepted, {duplicates} duplicates, {stay} still in quarantine"))?;
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for event in &report.quarantined {
        *reasons.entry(&event.reason.message).or_default() += 1;
    }
    for (reason, events) in reasons.iter().take(SHOWN_MAX) {
        output::line(format_args!("  {}: {reason}", count(*events, "event")))?;
    }
    Ok(())
}

/// The beginning of an event, as far as a table has room.
fn clipped(event: &Value) -> String {
    const ROOM: usize = 80;
    let text = shown(event);
    if text.chars().count() <= ROOM { text } else { text.chars().take(ROOM - 1).chain(['…']).collect() }
}
