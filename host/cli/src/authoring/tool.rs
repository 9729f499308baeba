//! Calling the toolchains of other languages.

use std::{
    io::{self, Write},
    process::{Command, Stdio},
};

use crate::report::{Exit, Failure};

/// Runs a tool and returns what it printed. When it fails, what it said goes to standard error, as it said it.
pub(crate) fn run(command: &mut Command, what: &str, install: &str) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| missing(command, &error, install))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut stderr = io::stderr().lock();
    stderr.write_all(&output.stdout)?;
    stderr.write_all(&output.stderr)?;
    Err(failed(what))
}

/// Runs a tool that shows its own progress on standard error.
pub(crate) fn run_openly(command: &mut Command, what: &str, install: &str) -> anyhow::Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    match status.map_err(|error| missing(command, &error, install))?.success() {
        true => Ok(()),
        false => Err(failed(what)),
    }
}

/// The version that a tool tells, or nothing if it does not start.
pub(crate) fn version(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn missing(command: &Command, error: &io::Error, install: &str) -> anyhow::Error {
    let message = format!("`{}` does not start: {error}", command.get_program().to_string_lossy());
    Failure::environment(message, install).into()
}

fn failed(what: &str) -> anyhow::Error {
    Failure::new(Exit::Check, format!("{what} failed"), "what went wrong is said above").into()
}
