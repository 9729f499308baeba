//! Logs: to standard error, for people on a terminal and as JSON elsewhere.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::{
    args::{Global, LogFormat},
    report::Failure,
};

/// Installs the subscriber. `default` is the filter when none was given.
pub(crate) fn install(global: &Global, default: &str) -> Result<(), Failure> {
    let text = global.log.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(text).map_err(|error| {
        Failure::input(
            format!("`{text}` is not a log filter: {error}"),
            "write a level such as `debug`, or levels by crate such as `oast=info,oast_runtime=debug`",
        )
    })?;
    let terminal = io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match global.log_format {
        Some(LogFormat::Human) => builder.with_ansi(terminal && !no_color()).init(),
        None if terminal => builder.with_ansi(!no_color()).init(),
        Some(LogFormat::Json) | None => builder.json().flatten_event(true).with_span_list(false).init(),
    }
    Ok(())
}

fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
