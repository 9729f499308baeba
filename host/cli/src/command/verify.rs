use std::path::Path;

use anyhow::Context;
use oast_runtime::{ClockMode, ReceiptsVerification, Verification, VerifyOptions, read_receipts};

use super::{lookup::shown, open};
use crate::{
    args::{self, Global},
    output::{self, count, short, style, thousands},
    progress::Bar,
    report::{CheckFailed, Failure},
};

/// `oast verify`
pub(crate) fn verify(global: &Global, args: &args::Verify) -> anyhow::Result<()> {
    if let Some(receipts) = &args.receipts {
        return verify_receipts(global, receipts);
    }
    let manifest = args.manifest.as_deref().context("a manifest or receipts are required")?;
    let runtime = open(&global.data, ClockMode::Wall)?;
    let options = VerifyOptions { sample: args.sample, resources: args.resources.clone().into() };
    let verification = runtime.verify_with(manifest, &options, &Bar::new())?;
    if global.json {
        output::json(&verification)?;
    } else {
        print(&verification)?;
    }
    if verification.proved() { Ok(()) } else { Err(CheckFailed.into()) }
}

fn print(verification: &Verification) -> anyhow::Result<()> {
    let (green, red, dim) = (style::GREEN, style::RED, style::DIM);
    for check in &verification.checks {
        let mark = if check.ok { format!("{green}ok{green:#}    ") } else { format!("{red}failed{red:#}") };
        output::line(format_args!("{mark}  {}  {dim}{}{dim:#}", check.name, check.detail))?;
    }
    for difference in &verification.differences {
        output::line(format_args!(
            "{red}differs{red:#} row {}, column {}: stored {}, derived {}",
            difference.row,
            difference.column,
            shown(&serde_json::to_value(&difference.stored)?),
            shown(&serde_json::to_value(&difference.derived)?)
        ))?;
    }
    if let Some(cause) = &verification.cause {
        output::line(format_args!("cause   {cause}"))?;
    }
    let (style, verdict) = if verification.proved() { (green, "proved") } else { (red, "not proved") };
    let sample = match verification.derived {
        Some(_) => String::new(),
        None if verification.rows == 0 => String::new(),
        None => format!("  by a sample of {}", count(verification.rows, "row")),
    };
    Ok(output::line(format_args!("{style}{verdict}{style:#}  {}{sample}", verification.expected))?)
}

/// How many receipts that were not proved are shown.
const SHOWN_MAX: usize = 10;

fn verify_receipts(global: &Global, path: &Path) -> anyhow::Result<()> {
    // Opened first, since that mends what a crash left of the receipts that are kept.
    let runtime = open(&global.data, ClockMode::Wall)?;
    let records = read_receipts(path)?;
    if records.is_empty() {
        let hint = "keep the answers of `oast lookup --receipt --json`, or start the daemon with `--receipts all`";
        return Err(Failure::input(format!("there are no receipts in `{}`", path.display()), hint).into());
    }
    let verification = runtime.verify_receipts(&records, &Bar::new())?;
    if global.json {
        output::json(&verification)?;
    } else {
        print_receipts(&verification)?;
    }
    if verification.all_proved() { Ok(()) } else { Err(CheckFailed.into()) }
}

fn print_receipts(verification: &ReceiptsVerification) -> anyhow::Result<()> {
    let (green, red, dim) = (style::GREEN, style::RED, style::DIM);
    for failure in verification.failures.iter().take(SHOWN_MAX) {
        let id = failure.id.to_string();
        output::line(format_args!(
            "{red}differs{red:#} receipt {} of {} at {}  {dim}{}{dim:#}",
            short(&id),
            failure.service,
            failure.time,
            failure.place
        ))?;
        if let Some(difference) = &failure.difference {
            let (served, derived) = (&difference.served, &difference.derived);
            output::line(format_args!(
                "        entity {}, {}: served {} ({}), derived {} ({})",
                difference.row,
                difference.feature,
                shown(&served.0),
                served.1,
                shown(&derived.0),
                derived.1
            ))?;
        }
        output::line(format_args!("cause   {}", failure.cause))?;
    }
    let more = verification.failures.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        output::line(format_args!("{dim}and {more} more; --json shows all{dim:#}"))?;
    }
    let (style, verdict) = if verification.all_proved() { (green, "proved") } else { (red, "not proved") };
    let (proved, receipts) = (thousands(verification.proved), count(verification.receipts, "receipt"));
    let values = count(verification.values, "value");
    Ok(output::line(format_args!("{style}{verdict}{style:#}  {proved} of {receipts}, {values}"))?)
}
