//! How a command ends: one error, printed once, and an exit status.

use std::{io, io::Write, process::ExitCode};

use oast_runtime::{ErrorKind, RuntimeError};

use crate::output::{self, style};

/// The exit statuses that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// A check or a proof failed.
    Check = 1,
    /// Wrong usage or input.
    Input = 2,
    /// The environment failed.
    Environment = 3,
}

/// A failure that the command line itself finds, or that a daemon tells of.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: Some(hint.into()) }
    }

    pub(crate) fn input(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Exit::Input, message, hint)
    }

    pub(crate) fn environment(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Exit::Environment, message, hint)
    }
}

/// A proof or a check that failed after its account was printed: there is nothing more to say.
#[derive(Debug, thiserror::Error)]
#[error("the check failed")]
pub(crate) struct CheckFailed;

/// Prints what went wrong, if anything did, and gives the exit status.
pub(crate) fn conclude(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    if error.is::<CheckFailed>() {
        return ExitCode::from(Exit::Check as u8);
    }
    if is_closed_stdout(&error) {
        return ExitCode::SUCCESS;
    }
    // Nothing is left to tell if standard error is gone as well; the exit status says enough.
    drop(print(&error, &mut anstream::stderr().lock()));
    ExitCode::from(exit_of(&error) as u8)
}

/// Whether the reader of our output has gone, as `head` does when it has seen enough.
fn is_closed_stdout(error: &anyhow::Error) -> bool {
    error.downcast_ref::<output::StdoutError>().is_some_and(|error| error.0.kind() == io::ErrorKind::BrokenPipe)
}

fn print(error: &anyhow::Error, to: &mut impl Write) -> io::Result<()> {
    let (red, bold) = (style::RED, style::BOLD);
    let mut chain = error.chain();
    let first = chain.next().expect("a chain starts with its error");
    writeln!(to, "{red}error:{red:#} {first}")?;
    for cause in chain {
        writeln!(to, "  {bold}caused by:{bold:#} {cause}")?;
    }
    if let Some(hint) = hint_of(error) {
        writeln!(to, "{bold}hint:{bold:#} {hint}")?;
    }
    Ok(())
}

fn exit_of(error: &anyhow::Error) -> Exit {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.exit;
    }
    match error.downcast_ref::<RuntimeError>().map(RuntimeError::kind) {
        Some(ErrorKind::Check) => Exit::Check,
        Some(ErrorKind::Input | ErrorKind::NotFound) => Exit::Input,
        Some(ErrorKind::Unavailable | ErrorKind::Environment) | None => Exit::Environment,
    }
}

fn hint_of(error: &anyhow::Error) -> Option<String> {
    match error.downcast_ref::<Failure>() {
        Some(failure) => failure.hint.clone(),
        None => error.downcast_ref::<RuntimeError>()?.hint(),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn an_error_is_printed_with_its_causes_and_a_hint() {
        let failure = Failure::input("cannot read the request", "write a number, for example `1.5`");
        let error = Err::<(), _>(io::Error::other("`AA` is no number")).context(failure).expect_err("it is an error");
        let mut printed = Vec::new();
        print(&error, &mut anstream::StripStream::new(&mut printed)).expect("memory takes everything");
        assert_eq!(
            String::from_utf8_lossy(&printed),
            "error: cannot read the request\n  caused by: `AA` is no number\nhint: write a number, for example `1.5`\n"
        );
        assert_eq!(exit_of(&error), Exit::Input);
    }
}
