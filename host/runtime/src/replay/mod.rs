//! Replays: the features of a service for every row of a spine, each as of its own time.
//!
//! Keys partition the work. For each entity key its events, in fold order, are interleaved with its spine rows, in order of
//! time, and both go through the same step as in the daemon. What a chunk of keys comes to does not depend on which thread
//! runs it or what else is in it, so neither does the dataset.

mod history;
mod latest;
mod names;
mod partition;
mod spine;
mod unfinished;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Instant};

use oast_core::{Batch, DatasetHash, DatasetHasher, Schema, Status};
use oast_store::{Format, TableFiles, TableWriter};

pub(crate) use history::{History, Origin, in_schema};
pub use names::ColumnNames;
pub(crate) use partition::in_parallel;
pub(crate) use spine::Spine;
use unfinished::{Inputs, Unfinished, Work};

use crate::{
    Manifest, Progress, Runtime, RuntimeError, audit, manifest,
    service::{Answer, Service},
};

/// What to replay.
#[derive(Debug, Clone, Default)]
pub struct ReplayOptions {
    /// The service: a name for its current version, or the hash of a version.
    pub service: String,
    /// The spine.
    pub spine: PathBuf,
    /// Where the dataset goes; the manifest goes beside it.
    pub out: PathBuf,
    /// Snapshot files to read events from, by source; the log for sources not named.
    pub events: Vec<(String, PathBuf)>,
    /// Columns that have other names in the files: `NAME` in the spine or `SOURCE.NAME` in a snapshot, and what it is called
    /// there.
    pub map: Vec<(String, String)>,
    /// The spine's time column, as the dataset has it; `event_timestamp` if nothing is said.
    pub spine_time: Option<String>,
    /// How many threads compute; as many as there are cores for 0.
    pub threads: usize,
    /// What to remember of the training run.
    pub metadata: BTreeMap<String, String>,
}

impl ReplayOptions {
    /// What the columns of the spine are called in its file.
    fn spine_names(&self) -> ColumnNames {
        ColumnNames::new(self.mapped().filter_map(|(source, name, column)| source.is_none().then_some((name, column))))
    }

    /// What the columns of a source are called in its snapshot.
    fn source_names(&self, source: &str) -> ColumnNames {
        ColumnNames::new(self.mapped().filter_map(|(of, name, column)| (of == Some(source)).then_some((name, column))))
    }

    /// Source, name and column of each mapping.
    fn mapped(&self) -> impl Iterator<Item = (Option<&str>, &str, &str)> {
        self.map.iter().map(|(name, column)| match name.split_once('.') {
            Some((source, name)) => (Some(source), name, column.as_str()),
            None => (None, name.as_str(), column.as_str()),
        })
    }

    /// Only snapshots have names of their own: the log has those of the definition.
    fn check_mapped_sources(&self) -> Result<(), RuntimeError> {
        let is_read = |source: &str| self.events.iter().any(|(name, _)| name == source);
        match self.mapped().filter_map(|(source, ..)| source).find(|source| !is_read(source)) {
            None => Ok(()),
            Some(source) => Err(RuntimeError::request(
                format!("`--map {source}.…` names a source that is not read from a file"),
                format!("say `--events {source}=FILE`, or leave the mapping out"),
            )),
        }
    }
}

/// A dataset as it was derived, before it is written.
pub(crate) struct Derived {
    pub(crate) service: Arc<Service>,
    pub(crate) spine: Spine,
    pub(crate) histories: BTreeMap<String, History>,
    pub(crate) schema: Schema,
    pub(crate) rows: Batch,
    pub(crate) statuses: Vec<Vec<Status>>,
    pub(crate) failed_rows: u64,
    pub(crate) audited_rows: u64,
    pub(crate) hash: DatasetHash,
    pub(crate) timing: Timing,
}

/// How long the parts of a replay took, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Timing {
    /// Reading events and spine.
    pub read_us: u64,
    /// Computing features.
    pub compute_us: u64,
    /// Writing the dataset.
    pub write_us: u64,
}

/// Which part of the log a replay reads: everything there is, or what a manifest says.
pub(crate) type LogEnd = Option<u64>;

/// What is derived: everything by default.
#[derive(Clone, Copy, Default)]
pub(crate) struct Scope<'a> {
    pub(crate) log_end: LogEnd,
    /// Which rows of the spine, counted from 0.
    pub(crate) rows: Option<&'a dyn Fn(u64) -> bool>,
    /// Where a replay that is stopped keeps what is done.
    unfinished: Option<&'a Unfinished>,
}

impl<'a> Scope<'a> {
    /// Some rows, or all, from the log up to an offset.
    pub(crate) fn of(log_end: LogEnd, rows: Option<&'a dyn Fn(u64) -> bool>) -> Self {
        Self { log_end, rows, unfinished: None }
    }
}

impl Runtime {
    /// Computes the features of a service for every row of a spine, and writes the dataset and its manifest. One that is stopped
    /// leaves what is done beside the dataset, and the same replay goes on from there.
    pub fn replay(&self, options: &ReplayOptions, progress: &dyn Progress) -> Result<Manifest, RuntimeError> {
        let format = Format::of_path(&options.out)?;
        refuse_overwriting_input(options)?;
        let service = Arc::new(self.find_service(&options.service)?);
        let unfinished = Unfinished::beside(&options.out)?;
        let scope = Scope { log_end: unfinished.log_end(), rows: None, unfinished: Some(&unfinished) };
        let mut derived = self.derive(service, options, scope, progress)?;
        let started = Instant::now();
        progress.phase("writing", Some(derived.rows.rows as u64));
        let narrow = derived.spine.narrow.clone();
        let mut writer = TableWriter::create_narrow(&options.out, format, &derived.schema, narrow)?;
        for start in (0..derived.rows.rows).step_by(oast_store::BATCH_ROWS) {
            let end = derived.rows.rows.min(start + oast_store::BATCH_ROWS);
            writer.write(&derived.rows.slice(start, end))?;
            progress.advance((end - start) as u64);
        }
        let written = writer.finish()?;
        derived.timing.write_us = started.elapsed().as_micros() as u64;
        let manifest = manifest::describe(self, &derived, options, written.bytes);
        manifest.write(&manifest::manifest_path(&options.out))?;
        unfinished.remove()?;
        Ok(manifest)
    }

    /// Derives a dataset in memory.
    pub(crate) fn derive(
        &self,
        service: Arc<Service>,
        options: &ReplayOptions,
        scope: Scope<'_>,
        progress: &dyn Progress,
    ) -> Result<Derived, RuntimeError> {
        let started = Instant::now();
        progress.phase("reading", None);
        options.check_mapped_sources()?;
        let names = options.spine_names();
        let mut spine = Spine::read(&options.spine, options.spine_time.as_deref(), names, &service)?;
        if let Some(chosen) = scope.rows {
            spine.keep(chosen);
        }
        let histories = self.read_histories(&service, options, scope.log_end)?;
        let read_us = started.elapsed().as_micros() as u64;
        let started = Instant::now();
        let threads = if options.threads == 0 { available_threads() } else { options.threads };
        for view in service.views.iter().filter(|view| histories[&view.spec.source.name].is_from_log()) {
            self.check_kept(view, &spine.times)?;
        }
        let inputs = inputs(self, &service, &spine, &histories);
        let mut work = scope.unfinished.map(|found| found.load(&inputs, &service)).transpose()?.unwrap_or_default();
        let computed = compute(&service, &spine, &histories, threads, progress, &mut work);
        if let (Err(RuntimeError::Stopped), Some(unfinished)) = (&computed, scope.unfinished) {
            unfinished.save(inputs, log_end_of(&histories), &service, &work)?;
        }
        drop(work);
        let (answer, failed_rows) = computed.map_err(|error| self.quarantine_if_audited(error))?;
        let schema = dataset_schema(&spine, &service)?;
        let mut columns = spine.rows.columns.clone();
        columns.extend(answer.columns);
        let rows = Batch { rows: spine.rows.rows, columns };
        let mut hasher = DatasetHasher::new(&schema);
        hasher.update(&rows);
        let compute_us = started.elapsed().as_micros() as u64;
        Ok(Derived {
            service,
            spine,
            histories,
            schema,
            rows,
            statuses: answer.statuses,
            failed_rows,
            audited_rows: answer.audited,
            hash: hasher.finish(),
            timing: Timing { read_us, compute_us, write_us: 0 },
        })
    }

    /// Keeps a component that failed the audit from running again.
    fn quarantine_if_audited(&self, error: RuntimeError) -> RuntimeError {
        let RuntimeError::Audit { plugin, component, finding, conviction } = &error else { return error };
        let row = finding.rows.first().map_or("", String::as_str);
        let reason = format!(
            "in a replay, plugin `{plugin}` made of the row {row} alone `{}`, and among others `{}`",
            finding.expected.output, finding.found.output
        );
        let kept = audit::keep(&self.catalog, *component, conviction);
        match kept.and_then(|()| Ok(self.catalog.quarantine(*component, &reason)?)) {
            Ok(()) => error,
            Err(failed) => failed,
        }
    }

    fn read_histories(
        &self,
        service: &Service,
        options: &ReplayOptions,
        log_end: LogEnd,
    ) -> Result<BTreeMap<String, History>, RuntimeError> {
        let files = &options.events;
        let mut histories = BTreeMap::new();
        for (name, _) in files {
            if !service.views.iter().any(|view| view.spec.source.name == *name) {
                return Err(RuntimeError::request(
                    format!("service `{}` does not read source `{name}`", service.spec.name),
                    "leave that `--events` out",
                ));
            }
        }
        for view in &service.views {
            let source = &view.spec.source;
            if histories.contains_key(&source.name) {
                continue;
            }
            let file = files.iter().find(|(name, _)| *name == source.name);
            let history = match file {
                Some((_, path)) => History::from_file(source, path, options.source_names(&source.name))?,
                None => History::from_log(self, source, log_end)?,
            };
            histories.insert(source.name.clone(), history);
        }
        Ok(histories)
    }
}

/// A dataset in the place of its own spine or events could never be derived again, and one among them would be read as input.
fn refuse_overwriting_input(options: &ReplayOptions) -> Result<(), RuntimeError> {
    let inputs = || options.events.iter().map(|(_, file)| file).chain([&options.spine]);
    if let Some(input) = inputs().find(|input| TableFiles::would_take_in(input, &options.out)) {
        return Err(RuntimeError::request(
            format!("the dataset would be among `{}`, which it is made from", input.display()),
            "write it to another folder, or under a name that begins with `_`",
        ));
    }
    let Ok(out) = options.out.canonicalize() else { return Ok(()) };
    match inputs().find(|input| input.canonicalize().is_ok_and(|input| input == out)) {
        None => Ok(()),
        Some(input) => Err(RuntimeError::request(
            format!("the dataset would overwrite `{}`, which it is made from", input.display()),
            "write it to another file",
        )),
    }
}

pub(crate) fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The service's columns for every spine row, and how many rows a plugin failed on while they were folded.
fn compute(
    service: &Service,
    spine: &Spine,
    histories: &BTreeMap<String, History>,
    threads: usize,
    progress: &dyn Progress,
    work: &mut Work,
) -> Result<(Answer, u64), RuntimeError> {
    for view in service.views.iter().skip(work.done.len()) {
        let history = &histories[&view.spec.source.name];
        let features = partition::compute_view(view, history, spine, threads, progress, &mut work.chunks)?;
        work.chunks.clear();
        work.done.push(features);
    }
    let failed_rows = work.done.iter().map(|view| view.failed_rows).sum();
    partition::check_stopped(progress)?;
    progress.phase("deriving", None);
    let mut answer = service.answer(&work.done, &spine.request, true)?;
    answer.audited += work.done.iter().map(|view| view.audited_rows).sum::<u64>();
    Ok((answer, failed_rows))
}

/// Everything that decides what the chunks of a replay come to.
fn inputs(runtime: &Runtime, service: &Service, spine: &Spine, histories: &BTreeMap<String, History>) -> Inputs {
    let events = histories.iter().map(|(name, history)| (name.clone(), history.hash)).collect();
    Inputs::new(service.version, runtime.fingerprint(), spine.hash, events)
}

/// Where the log ended, if events came from it.
fn log_end_of(histories: &BTreeMap<String, History>) -> LogEnd {
    let end = |history: &History| match history.origin {
        Origin::Log { end, .. } => Some(end),
        Origin::File(_) => None,
    };
    histories.values().filter_map(end).max()
}

fn dataset_schema(spine: &Spine, service: &Service) -> Result<Schema, RuntimeError> {
    let fields = spine.schema.fields().iter().chain(&service.columns).cloned().collect();
    Schema::new(fields).map_err(|error| {
        RuntimeError::request(
            format!("the spine and the features collide: {error}"),
            "rename or drop that column of the spine",
        )
    })
}
