use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use oast_runtime::{ReceiptPolicy, Share, TimeSpan};

use crate::{byte_size::ByteSize, command::LineageSink};

/// Features that come out the same, online and in every replay.
#[derive(Debug, Parser)]
#[command(name = "oast", version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The folder that holds log, state and catalog.
    #[arg(long, global = true, env = "OAST_DATA", value_name = "DIR", default_value = "oast-data")]
    pub(crate) data: PathBuf,
    /// Ask the daemon at this address instead of opening the data folder (apply, ingest, lookup, quarantine and catalog).
    #[arg(long, global = true, env = "OAST_URL", value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to log to standard error, for example `debug` or `oast=info,oast_runtime=debug`.
    #[arg(long, global = true, env = "OAST_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// How log lines look; by default for people on a terminal and JSON elsewhere.
    #[arg(long, global = true, env = "OAST_LOG_FORMAT", value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Human,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The whole story on real flights: serve a live week, replay it and compare every bit.
    Demo(Demo),
    /// Check the definitions, pin their plugins and publish what is new.
    Apply(Apply),
    /// Run the daemon.
    Serve(Serve),
    /// Append events to a source from Parquet, CSV, JSON lines or Arrow IPC.
    Ingest(Ingest),
    /// Ask for the features of one entity.
    Lookup(Lookup),
    /// Compute the features of every row of a spine.
    Replay(Replay),
    /// Derive a dataset again and compare it bit for bit.
    Verify(Verify),
    /// Replay two versions over the same rows, and show where and how much their features differ.
    Diff(Diff),
    /// Read the manifest of a dataset.
    #[command(subcommand)]
    Manifest(Manifest),
    /// Read what is published.
    #[command(subcommand)]
    Catalog(Catalog),
    /// Look at the event log, and prove that nobody changed it.
    #[command(subcommand)]
    Log(Log),
    /// Look at events that were refused, and drive them again.
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Work with plugins.
    #[command(subcommand)]
    Plugin(Plugin),
}

impl Command {
    /// Whether the command can go to a daemon instead of a data folder. The demo has folders of its own.
    pub(crate) fn asks_a_daemon(&self) -> bool {
        matches!(
            self,
            Self::Apply(_)
                | Self::Ingest(_)
                | Self::Lookup(_)
                | Self::Catalog(_)
                | Self::Quarantine(_)
                | Self::Demo(_)
                | Self::Plugin(_)
                | Self::Manifest(_)
        )
    }
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where the training set is left.
    #[arg(long, value_name = "DIR", default_value = "oast-demo")]
    pub(crate) out: PathBuf,
    /// Keep the demo's data folder here instead of in a temporary one; it must not exist yet.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// The definition file.
    #[arg(short, long, value_name = "FILE", default_value = "oast.toml")]
    pub(crate) file: PathBuf,
    /// Resolve every plugin anew instead of taking what `oast.lock` pins.
    #[arg(long)]
    pub(crate) update: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Serve {
    /// A TOML file with what is not said by a flag or the environment, for example `rows_max = 500`.
    #[arg(long, env = "OAST_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The address to listen on; port 0 takes a free one.
    #[arg(long, env = "OAST_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:6566")]
    pub(crate) listen: SocketAddr,
    /// Let time move only with the `at` of lookups, for demos and backtests.
    #[arg(long, env = "OAST_SIMULATE")]
    pub(crate) simulate: bool,
    /// The largest request body in bytes.
    #[arg(long, env = "OAST_BODY_BYTES_MAX", value_name = "BYTES", default_value_t = crate::http::BODY_BYTES_MAX)]
    pub(crate) body_bytes_max: usize,
    /// The most entities of one lookup.
    #[arg(long, env = "OAST_ROWS_MAX", value_name = "N", default_value_t = crate::http::ROWS_MAX)]
    pub(crate) rows_max: usize,
    /// The largest head of a request in bytes.
    #[arg(long, env = "OAST_HEADER_BYTES_MAX", value_name = "BYTES", default_value_t = crate::http::HEADER_BYTES_MAX,
        value_parser = clap::value_parser!(u32).range(crate::http::HEADER_BYTES_MAX_LEAST..))]
    pub(crate) header_bytes_max: u32,
    /// How many seconds a client may take to send the head of a request, or keep a connection without one.
    #[arg(long, env = "OAST_HEADER_SECONDS_MAX", value_name = "SECONDS", default_value_t = crate::http::HEADER_SECONDS_MAX,
        value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) header_seconds_max: u64,
    /// The most connections at once; more of them wait to be accepted.
    #[arg(long, env = "OAST_CONNECTIONS_MAX", value_name = "N", default_value_t = crate::http::CONNECTIONS_MAX,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections_max: u32,
    /// Which receipts to keep: `asked` keeps those that callers ask for, `all` and a share such as `0.01` others too, `none` none
    #[arg(long, env = "OAST_RECEIPTS", value_name = "POLICY", default_value = "asked")]
    pub(crate) receipts: ReceiptPolicy,
    /// How long to keep receipts, for example `30d`; for ever if nothing is said
    #[arg(long, env = "OAST_RECEIPTS_KEEP", value_name = "DURATION")]
    pub(crate) receipts_keep: Option<TimeSpan>,
}

#[derive(Debug, Args)]
pub(crate) struct Ingest {
    /// The source.
    pub(crate) source: String,
    /// The file, or `-` for standard input.
    pub(crate) file: PathBuf,
    /// The file's format, if its name does not say it.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<FileFormat>,
}

/// A file format by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values with a header.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// Arrow IPC, file or stream.
    Arrow,
}

#[derive(Debug, Args)]
pub(crate) struct Lookup {
    /// The service.
    pub(crate) service: String,
    /// The entity's join keys.
    #[arg(value_name = "KEY=VALUE", required = true, value_parser = assignment)]
    pub(crate) keys: Vec<(String, String)>,
    /// A request field.
    #[arg(long, value_name = "FIELD=VALUE", value_parser = assignment)]
    pub(crate) request: Vec<(String, String)>,
    /// Return a receipt from which the answer can be derived again.
    #[arg(long)]
    pub(crate) receipt: bool,
    /// Say where each value comes from: component, window, events and fuel.
    #[arg(long)]
    pub(crate) explain: bool,
    /// Write the answer with its receipt into a file, for `oast verify --receipts`.
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// The moment to look from, under a simulated clock.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}

/// How much of the machine a replay may take.
#[derive(Debug, Clone, Args)]
pub(crate) struct Resources {
    /// How many threads to use; as many as there are cores by default.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) threads: usize,
    /// How much memory to stay within, for example `512MiB`; half of the machine's, or of the control group's, by default.
    /// Events, spine and features that would take more go to disk.
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<ByteSize>,
    /// The folder that it goes to; by default that of the dataset, or the working directory if none is written.
    #[arg(long, value_name = "DIR")]
    pub(crate) spill: Option<PathBuf>,
}

impl From<Resources> for oast_runtime::Resources {
    fn from(args: Resources) -> Self {
        let Resources { threads, memory, spill } = args;
        Self { threads, memory: memory.map(ByteSize::bytes), spill, ..Self::default() }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The service, by name or version hash.
    #[arg(long, value_name = "NAME")]
    pub(crate) service: String,
    /// The table of entity keys and times.
    #[arg(long, value_name = "FILE")]
    pub(crate) spine: PathBuf,
    /// The dataset to write; the manifest lies beside it.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Read a source from a file instead of the log.
    #[arg(long, value_name = "SOURCE=FILE", value_parser = assignment)]
    pub(crate) events: Vec<(String, String)>,
    /// Take a column that has another name in its file: NAME of the spine, or SOURCE.NAME of events.
    #[arg(long, value_name = "NAME=COLUMN", value_parser = assignment)]
    pub(crate) map: Vec<(String, String)>,
    /// The spine's time column.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) spine_time: Option<String>,
    #[command(flatten)]
    pub(crate) resources: Resources,
    /// Something to note in the manifest, for example `label=arr_delay`.
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    pub(crate) meta: Vec<(String, String)>,
    /// Tell of the run in events of OpenLineage: added to a file, or sent to an address like `http://127.0.0.1:5000`.
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) openlineage: Option<LineageSink>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The manifest beside the dataset.
    #[arg(required_unless_present = "receipts")]
    pub(crate) manifest: Option<PathBuf>,
    /// Prove what was served instead: answers with receipts as JSON, in a file, in the files of a folder, or `-`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["manifest", "threads", "memory", "spill"])]
    pub(crate) receipts: Option<PathBuf>,
    /// Derive only this share of the rows again, for example `1%`: the same rows every time.
    #[arg(long, value_name = "SHARE", conflicts_with = "receipts")]
    pub(crate) sample: Option<Share>,
    #[command(flatten)]
    pub(crate) resources: Resources,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The version that stands: a view or service, `NAME@HASH`, or a definition as `FILE:NAME`.
    #[arg(value_name = "A")]
    pub(crate) before: String,
    /// The version to compare with it; of a definition file, what has the name of the first.
    #[arg(value_name = "B")]
    pub(crate) after: String,
    /// The table of entity keys and times.
    #[arg(long, value_name = "FILE")]
    pub(crate) spine: PathBuf,
    /// Read a source from a file instead of the log.
    #[arg(long, value_name = "SOURCE=FILE", value_parser = assignment)]
    pub(crate) events: Vec<(String, String)>,
    /// Take a column that has another name in its file: NAME of the spine, or SOURCE.NAME of events.
    #[arg(long, value_name = "NAME=COLUMN", value_parser = assignment)]
    pub(crate) map: Vec<(String, String)>,
    /// The spine's time column.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) spine_time: Option<String>,
    /// Write an account with plots, one HTML file with nothing to load.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// How many of the rows that differ most are shown.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) rows: usize,
    #[command(flatten)]
    pub(crate) resources: Resources,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Manifest {
    /// What the dataset was made from, and statistics of its features.
    Show {
        /// The manifest beside the dataset.
        file: PathBuf,
    },
    /// The JSON schema of manifests.
    Schema,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Catalog {
    /// Everything that is current.
    List,
    /// One source, view, service or plugin in full.
    Show {
        /// Its name, or a version of it by the first digits of its hash.
        #[arg(value_name = "NAME[@HASH]")]
        name: String,
    },
    /// Every version that a name has had.
    History {
        /// The name.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// What the log holds: the segments of each source.
    Show,
    /// Read every segment and compare it with the chain of hashes.
    Verify,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Quarantine {
    /// How much is in quarantine, or the events of one source.
    List {
        /// The source; with --json, one event a line, to be corrected.
        source: Option<String>,
    },
    /// Drive the events of a source again; those that pass leave the quarantine.
    Retry {
        /// The source.
        source: String,
        /// Corrected events as JSON lines with `id` and `event`, or `-`; the others are driven as they are.
        #[arg(long, value_name = "FILE")]
        corrections: Option<PathBuf>,
    },
    /// Remove events for good.
    Drop {
        /// The source.
        source: String,
        /// The ids of the events.
        #[arg(value_name = "ID", conflicts_with = "all")]
        ids: Vec<String>,
        /// Remove all events of the source.
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Make a project with a plugin that works, its test and sample rows.
    New(NewPlugin),
    /// Compile a project to a component.
    Build {
        /// The project's folder.
        #[arg(value_name = "DIR", default_value = ".")]
        project: PathBuf,
    },
    /// Build a project and run its sample rows through the engine.
    Test {
        /// The project's folder.
        #[arg(value_name = "DIR", default_value = ".")]
        project: PathBuf,
        /// Write what comes out into the golden file instead of comparing.
        #[arg(long)]
        update: bool,
    },
    /// Show what a component is, what it promises, whether it keeps it, and what it costs.
    Inspect(PluginInspect),
    /// Run a component on rows, each alone, and show what becomes of them and what they cost.
    Run(PluginRun),
    /// Check a component and publish it under the name and version that it gives itself.
    Publish(PluginPublish),
}

/// With what a plugin is configured.
#[derive(Debug, Args)]
pub(crate) struct PluginArguments {
    /// The component, the folder that holds it, or the name of a standard plugin.
    #[arg(value_name = "FILE", default_value = ".")]
    pub(crate) file: PathBuf,
    /// The parameters, a JSON object; by default those of the component's first sample.
    #[arg(long, value_name = "JSON")]
    pub(crate) params: Option<String>,
    /// The columns at hand, for example `dep_delay:float64?,carrier:utf8`.
    #[arg(long, value_name = "COLUMNS")]
    pub(crate) offered: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PluginInspect {
    #[command(flatten)]
    pub(crate) plugin: PluginArguments,
}

#[derive(Debug, Args)]
pub(crate) struct PluginRun {
    #[command(flatten)]
    pub(crate) plugin: PluginArguments,
    /// The rows, one JSON object a line; by default those of the component's first sample.
    #[arg(long, value_name = "FILE")]
    pub(crate) rows: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PluginPublish {
    /// The component, or the folder that holds it.
    #[arg(value_name = "FILE|DIR", default_value = ".")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct NewPlugin {
    /// The folder to make; its name is the plugin's.
    #[arg(value_name = "NAME")]
    pub(crate) dir: PathBuf,
    /// The language.
    #[arg(long, value_name = "LANGUAGE", default_value = "rust")]
    pub(crate) lang: Language,
    /// What the plugin does with rows.
    #[arg(long, value_name = "KIND", default_value = "transform")]
    pub(crate) kind: PluginKind,
}

/// A language to write plugins in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Small and fast components, the same bytes from every build.
    Rust,
    /// Python.
    Python,
    /// JavaScript and TypeScript.
    Js,
}

/// What a plugin does with rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PluginKind {
    /// Maps, drops or rejects each row.
    Transform,
    /// Folds rows into features.
    Aggregate,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected a name, `=` and a value, for example `carrier=AA`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_split_at_the_first_equals_sign() {
        let check = |text: &str, expect: Option<(&str, &str)>| {
            let expect = expect.map(|(key, value)| (key.to_owned(), value.to_owned()));
            assert_eq!(assignment(text).ok(), expect, "{text}");
        };
        check("carrier=AA", Some(("carrier", "AA")));
        check("note=a=b", Some(("note", "a=b")));
        check("empty=", Some(("empty", "")));
        check("=AA", None);
        check("AA", None);
    }

    #[test]
    fn the_grammar_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
