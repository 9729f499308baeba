use oast_runtime::{ClockMode, LogReport, LogVerification};

use super::open;
use crate::{
    args::{self, Global},
    output::{self, Table, bytes, count, short, style, thousands},
    report::CheckFailed,
};

/// `oast log`
pub(crate) fn log(global: &Global, args: &args::Log) -> anyhow::Result<()> {
    let runtime = open(&global.data, ClockMode::Wall)?;
    match args {
        args::Log::Show => {
            let report = runtime.log_report();
            if global.json { output::json(&report) } else { print(&report) }
        }
        args::Log::Verify => {
            let verification = runtime.log_verify()?;
            if global.json {
                output::json(&verification)?;
            } else {
                print_verification(&verification)?;
            }
            if verification.damage.is_none() { Ok(()) } else { Err(CheckFailed.into()) }
        }
    }
}

fn print(report: &LogReport) -> anyhow::Result<()> {
    let mut table = Table::new(&["source", "offsets", "events", "size", "segment"]).right(&[1, 2, 3]);
    for (source, segments) in &report.sources {
        for segment in segments {
            let offsets = format!("{} to {}", thousands(segment.first_offset), thousands(segment.last_offset));
            let hash = segment.hash.to_string();
            table.row([source.as_str(), &offsets, &thousands(segment.rows), &bytes(segment.bytes), short(&hash)]);
        }
        if segments.is_empty() {
            table.row([source.as_str(), "", "", "", "not sealed yet"]);
        }
    }
    table.print()?;
    let head = report.head.map_or("none".to_owned(), |head| head.to_string());
    let (next, unsealed) = (thousands(report.next_offset), bytes(report.unsealed_bytes));
    Ok(output::line(format_args!("next offset {next}; {unsealed} not sealed yet; chain head {head}"))?)
}

fn print_verification(verification: &LogVerification) -> anyhow::Result<()> {
    let (green, red, dim) = (style::GREEN, style::RED, style::DIM);
    if let Some(damage) = &verification.damage {
        output::line(format_args!("{red}damaged{red:#}  {damage}"))?;
        let hint = "restore the file from a backup; events of that segment cannot be proved without it";
        return Ok(output::line(format_args!("{dim}{hint}{dim:#}"))?);
    }
    let (segments, size) = (count(verification.segments, "segment"), bytes(verification.bytes));
    let head = verification.head.map_or("none".to_owned(), |head| head.to_string());
    Ok(output::line(format_args!("{green}intact{green:#}  {segments}, {size}; chain head {head}"))?)
}
