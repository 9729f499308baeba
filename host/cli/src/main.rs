//! The command `oast`: arguments, HTTP, logs and exit statuses. Everything that decides a result is in `oast-runtime`.

mod args;
mod authoring;
mod byte_size;
mod client;
mod command;
mod config;
mod demo;
mod http;
mod output;
mod progress;
mod report;
mod telemetry;

use std::process::ExitCode;

use anyhow::Context;
use args::{Cli, Command};
use oast_plugins::recipe;
use oast_runtime::{COMPILE_COMMAND, compile_apart, compile_in_this_process};

/// Lookups and replays make millions of short-lived values a second, on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if std::env::args_os().skip(1).eq([COMPILE_COMMAND]) {
        return compile_in_this_process();
    }
    if recipe::is_in_front_of_compiler() {
        return in_front_of_compiler();
    }
    report::conclude(config::parse().and_then(run))
}

/// This process is the compiler of `oast plugin build`.
fn in_front_of_compiler() -> ExitCode {
    match recipe::compile_as_anywhere() {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => report::conclude(Err(anyhow::Error::from(error).context("the compiler does not start"))),
    }
}

fn run(Cli { global, command }: Cli) -> anyhow::Result<()> {
    let filter = if matches!(command, Command::Serve(_)) { "info" } else { "warn" };
    telemetry::install(&global, filter)?;
    if global.url.is_some() && !command.asks_a_daemon() {
        let message = "only `apply`, `ingest`, `lookup`, `quarantine` and `catalog` can ask a daemon with --url";
        return Err(
            report::Failure::input(message, "leave --url out, and stop the daemon that uses the data folder").into()
        );
    }
    compile_apart(&std::env::current_exe().context("the running program cannot be found")?)?;
    match command {
        Command::Demo(args) => demo::run(&global, &args),
        Command::Apply(args) => command::apply(&global, &args),
        Command::Serve(args) => command::serve(&global, &args),
        Command::Ingest(args) => command::ingest(&global, &args),
        Command::Lookup(args) => command::lookup(&global, &args),
        Command::Replay(args) => command::replay(&global, args),
        Command::Verify(args) => command::verify(&global, &args),
        Command::Diff(args) => command::diff(&global, args),
        Command::Manifest(args) => command::manifest(&global, &args),
        Command::Catalog(args) => command::catalog(&global, &args),
        Command::Log(args) => command::log(&global, &args),
        Command::Quarantine(args) => command::quarantine(&global, &args),
        Command::Plugin(args) => command::plugin(&global, &args),
    }
}
