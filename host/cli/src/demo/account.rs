use std::path::{Path, PathBuf};

use oast_runtime::{Manifest, manifest_path};
use serde_json::json;

use super::{
    compare::Comparison,
    live::Tally,
    speed::{BATCH_ROWS, Speed},
};
use crate::{
    output::{self, style, thousands},
    report::{Exit, Failure},
};

/// What the demo found.
pub(super) struct Account {
    pub(super) dataset: PathBuf,
    pub(super) manifest: Manifest,
    pub(super) served: Tally,
    pub(super) comparison: Comparison,
    pub(super) speed: Speed,
}

impl Account {
    /// Prints the account. A single difference is a failure.
    pub(super) fn conclude(&self, json: bool, kept: Option<&Path>) -> anyhow::Result<()> {
        if json {
            self.print_json()?
        } else {
            self.print(kept)?
        }
        let Some(first) = &self.comparison.first else { return Ok(()) };
        let message = format!("{} of {} values differ", self.comparison.differences, self.comparison.values);
        Err(Failure::new(Exit::Check, message, format!("the first is {first}")).into())
    }

    fn print_json(&self) -> anyhow::Result<()> {
        output::json(&json!({
            "dataset": {"file": self.dataset, "manifest": manifest_path(&self.dataset), "hash": self.manifest.dataset.hash, "rows": self.manifest.dataset.rows},
            "service": {"name": self.manifest.service.name, "version": self.manifest.service.version},
            "live": self.served,
            "comparison": self.comparison,
            "speed": self.speed,
        }))
    }

    fn print(&self, kept: Option<&Path>) -> anyhow::Result<()> {
        let (bold, dim, cyan, green) = (style::BOLD, style::DIM, style::CYAN, style::GREEN);
        let (served, speed) = (&self.served, &self.speed);
        let line = |name: &str, value: String, note: String| {
            output::line(format_args!("  {name:<12} {bold}{value}{bold:#}  {dim}{note}{dim:#}"))
        };
        output::line("")?;
        let rate = thousands((served.requests as f64 / served.seconds.max(1e-9)) as u64);
        let latency = format!("p50 {}, p99 {}", time(served.lookup_us_p50), time(served.lookup_us_p99));
        line(
            "over HTTP",
            latency,
            format!("a request for all flights of one minute; {rate} requests a second, events included"),
        )?;
        line("in process", time(speed.lookup_us), format!("a lookup of {} features", self.manifest.features.len()))?;
        line(
            "replay",
            format!("{} rows/s", thousands(speed.replay_rows_per_second as u64)),
            "reading, computing and writing".to_owned(),
        )?;
        let note = format!(
            "a row of `ratio` in a replay's batches of {}; the same Rust natively: {:.1} ns",
            thousands(BATCH_ROWS as u64),
            speed.native_ns_per_row
        );
        line("component", format!("{:.1} ns", speed.component_ns_per_row), note)?;
        let (values, differences) = (thousands(self.comparison.values), self.comparison.differences);
        let verdict = if differences == 0 { green } else { style::RED };
        output::line(format_args!(
            "  {:<12} {values} served values, {verdict}{differences} differences{verdict:#}",
            "skew"
        ))?;
        output::line(format_args!("  {:<12} {bold}{}{bold:#}", "dataset", self.manifest.dataset.hash))?;
        output::line(format_args!("  {:<12} {}", "file", self.dataset.display()))?;
        if let Some(dir) = kept {
            output::line(format_args!("  {:<12} {}", "folder", dir.display()))?;
        }
        output::line("")?;
        let file = self.dataset.display();
        Ok(output::line(format_args!(
            "  {cyan}python -c \"import pandas; print(pandas.read_parquet('{file}'))\"{cyan:#}\n"
        ))?)
    }
}

/// `310 µs` or `2.1 ms`
fn time(us: f64) -> String {
    if us < 1000.0 { format!("{us:.0} µs") } else { format!("{:.1} ms", us / 1000.0) }
}
