use oast_runtime::{ClockMode, Verification};

use super::{lookup::shown, open};
use crate::{
    args::{self, Global},
    output::{self, style},
    progress::Bar,
    report::CheckFailed,
};

/// `oast verify`
pub(crate) fn verify(global: &Global, args: &args::Verify) -> anyhow::Result<()> {
    let runtime = open(&global.data, ClockMode::Wall)?;
    let verification = runtime.verify(&args.manifest, &Bar::new())?;
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
    Ok(output::line(format_args!("{style}{verdict}{style:#}  {}", verification.expected))?)
}
