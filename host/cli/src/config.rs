//! The daemon's configuration: a flag counts before the environment, that before a file, and that before the default.
//!
//! What a file says becomes the default of its flag, so that the command line's own parser reads it, checks it and decides what
//! counts.

use std::{collections::BTreeMap, fs, path::Path};

use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};
use oast_runtime::nearest;
use toml::{Table, Value};

use crate::{args::Cli, report::Failure};

const SERVE: &str = "serve";

/// What every command understands and a daemon goes by.
const GLOBAL: [&str; 3] = ["data", "log", "log_format"];

/// Reads the command line, the environment, and the file that either of them names.
pub(crate) fn parse() -> anyhow::Result<Cli> {
    let matches = Cli::command().get_matches();
    let matches = match config_of(&matches) {
        None => matches,
        Some(path) => with_file(&read(path)?, path, std::env::args_os())?,
    };
    Ok(Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
}

fn config_of(matches: &ArgMatches) -> Option<&Path> {
    let serve = matches.subcommand_matches(SERVE)?;
    serve.get_one::<std::path::PathBuf>("config").map(std::path::PathBuf::as_path)
}

/// Reads the command line again, with what the file says for defaults. It was sound before, so that an error is the file's.
fn with_file(
    settings: &BTreeMap<String, String>,
    path: &Path,
    args: impl IntoIterator<Item = std::ffi::OsString>,
) -> Result<ArgMatches, Failure> {
    let command = settings.iter().fold(Cli::command(), |command, (key, value)| {
        let set = |arg: Arg| arg.default_value(value.clone());
        match GLOBAL.contains(&key.as_str()) {
            true => command.mut_arg(key, set),
            false => command.mut_subcommand(SERVE, |serve| serve.mut_arg(key, set)),
        }
    });
    command.try_get_matches_from(args).map_err(|error| {
        let text = error.to_string();
        let text = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        Failure::input(format!("`{}`: {text}", path.display()), "docs/operations.md lists what the daemon takes")
    })
}

/// The settings of a file, each known.
fn read(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot read the configuration `{shown}`: {error}");
        Failure::input(message, "name a TOML file with --config or OAST_CONFIG")
    })?;
    let table: Table = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        Failure::input(format!("`{shown}`, line {line}: {}", error.message()), "write settings like `rows_max = 500`")
    })?;
    let known = keys(&Cli::command());
    table.into_iter().map(|(key, value)| Ok((check(&key, &known, path)?, scalar(&key, value, path)?))).collect()
}

/// What a file may set: what the daemon's flags set, but for the file itself.
fn keys(command: &Command) -> Vec<String> {
    let serve = command.find_subcommand(SERVE).expect("there is a daemon");
    let of_serve = serve.get_arguments().map(|arg| arg.get_id().as_str());
    let of_serve = of_serve.filter(|id| !["config", "help", "version"].contains(id));
    GLOBAL.into_iter().chain(of_serve).map(str::to_owned).collect()
}

fn check(key: &str, known: &[String], path: &Path) -> Result<String, Failure> {
    if known.iter().any(|known| known == key) {
        return Ok(key.to_owned());
    }
    let message = format!("`{}` sets `{key}`, which the daemon does not know", path.display());
    let hint = match nearest(key, known.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("it knows {}", known.join(", ")),
    };
    Err(Failure::input(message, hint))
}

/// A value as it would stand on the command line.
fn scalar(key: &str, value: Value, path: &Path) -> Result<String, Failure> {
    match value {
        Value::String(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(flag) => Ok(flag.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
            let message = format!("`{}` sets `{key}` to a value of type {}", path.display(), value.type_str());
            Err(Failure::input(message, "write a string, a number, `true` or `false`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    const PAGE: &str = include_str!("../../../docs/operations.md");

    /// What the daemon would run with, given a file and flags.
    fn served(text: &str, flags: &[&str]) -> Result<Cli, Failure> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), text).expect("it is written");
        let args = ["oast", SERVE].into_iter().chain(flags.iter().copied()).map(Into::into);
        let matches = with_file(&read(file.path())?, file.path(), args)?;
        Ok(Cli::from_arg_matches(&matches).expect("the arguments are those of the grammar"))
    }

    fn serve(cli: &Cli) -> &args::Serve {
        let args::Command::Serve(serve) = &cli.command else { panic!("the command is another one") };
        serve
    }

    #[test]
    fn a_flag_counts_before_the_file_and_the_file_before_the_default() {
        let file = "data = \"here\"\nrows_max = 7\nsimulate = true\nheader_seconds_max = 2\nreceipts = 0.5\n";
        let cli = served(file, &["--rows-max", "8"]).expect("the file is sound");
        let found = serve(&cli);
        assert_eq!((cli.global.data.to_str(), found.rows_max, found.simulate), (Some("here"), 8, true));
        assert_eq!((found.header_seconds_max, found.connections_max), (2, crate::http::CONNECTIONS_MAX));
        assert_eq!(Ok(found.receipts), "0.5".parse());
    }

    #[test]
    fn what_a_file_gets_wrong_is_named() {
        let check = |text: &str, part: &str, hint: &str| {
            let failure = served(text, &[]).err().unwrap_or_else(|| panic!("{text} is sound"));
            assert!(failure.message.contains(part), "{}", failure.message);
            assert_eq!(failure.hint.as_deref(), Some(hint), "{text}");
        };
        check("rows_maxx = 1", "sets `rows_maxx`, which the daemon does not know", "did you mean `rows_max`?");
        check("rows-max = 1", "sets `rows-max`", "did you mean `rows_max`?");
        check("config = \"a\"", "sets `config`", &format!("it knows {}", keys(&Cli::command()).join(", ")));
        check(
            "data = \"a\"\nrows_max = [1]",
            "to a value of type array",
            "write a string, a number, `true` or `false`",
        );
        check("data = \"a\"\nrows_max = ", "line 2: ", "write settings like `rows_max = 500`");
        let manual = "docs/operations.md lists what the daemon takes";
        check("header_bytes_max = 1", "invalid value '1' for '--header-bytes-max <BYTES>'", manual);
        check("listen = \"nowhere\"", "invalid value 'nowhere' for '--listen <ADDRESS>'", manual);
    }

    /// The table of the manual has a row for each setting, with its flag, variable, key and default, and no other rows.
    #[test]
    fn every_setting_is_in_the_manual() {
        let table = PAGE.split("\n## ").find(|section| section.starts_with("Configuration\n")).expect("the section");
        let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| `--")).collect();
        let command = Cli::command();
        let serve = command.find_subcommand(SERVE).expect("there is a daemon");
        let known = keys(&command);
        for key in &known {
            let find = |command: &Command| command.get_arguments().find(|arg| arg.get_id() == key.as_str()).cloned();
            let arg = find(serve).or_else(|| find(&command)).expect("the key is a flag's");
            let flag = arg.get_long().expect("it is a flag");
            let variable = arg.get_env().and_then(|name| name.to_str()).expect("there is a variable for it");
            let default =
                arg.get_default_values().first().and_then(|value| value.to_str()).filter(|value| *value != "false");
            let default = default.map(|value| format!("`{value}`")).unwrap_or_default();
            assert_eq!(variable, format!("OAST_{}", key.to_uppercase()), "`--{flag}`");
            let start = format!("| `--{flag}` | `{variable}` | `{key}` | {default}");
            let of_flag: Vec<_> = rows.iter().filter(|row| row.starts_with(start.trim_end())).collect();
            assert_eq!(of_flag.len(), 1, "`{start}` is not in the table");
        }
        assert_eq!(rows.len(), known.len() + 1, "one more row for --config");
    }
}
