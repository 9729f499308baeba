//! Replays: the features of a service for every row of a spine, each as of its own time.
//!
//! A replay goes through stages, each of which hands rows on through a [`Storage`](storage::Storage), so that none needs them
//! all in memory: `spine` and `events` read, `sort` puts events in fold order, `buckets` puts the work of each view together by
//! entity key, `compute` runs it through the same step as in the daemon, `results` brings features back into the order of the
//! spine, and `dataset` puts them together and hands them on.
//!
//! Keys partition the work. For each entity key its events, in fold order, are interleaved with its spine rows, in order of
//! time. What a bucket of keys comes to does not depend on which thread runs it or what else is in it, so neither does the
//! dataset.

mod ahead;
mod buckets;
mod compute;
mod dataset;
mod events;
mod latest;
mod names;
mod options;
mod resources;
mod results;
mod sort;
mod spine;
mod storage;
mod unfinished;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use oast_core::{DatasetHash, Schema, Status};

use buckets::Buckets;
use compute::ComputedView;
pub(crate) use compute::in_parallel;
pub(crate) use dataset::Sink;
use dataset::{Assembled, Assembly, Writer};
use events::Collected;
pub(crate) use events::{History, Origin, in_schema};
pub use names::ColumnNames;
pub use options::ReplayOptions;
pub use resources::Resources;
pub(crate) use resources::available_threads;
use results::{Blocks, Results};
pub(crate) use spine::Spine;
use spine::SpineRows;
pub(crate) use storage::{Partitions, Storage};
use unfinished::{Done, Inputs, Unfinished};

use crate::{FeatureEntry, Manifest, Progress, Runtime, RuntimeError, audit, manifest, service::Service, view::View};

/// What there is to say of a dataset that was derived.
pub(crate) struct Derived {
    pub(crate) service: Arc<Service>,
    pub(crate) spine: Spine,
    pub(crate) histories: BTreeMap<String, History>,
    pub(crate) schema: Schema,
    /// How many values have each status.
    pub(crate) outcomes: BTreeMap<Status, u64>,
    pub(crate) features: Vec<FeatureEntry>,
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
        let mut writer = Writer::new(&options.out, options.resources.threads())?;
        options.refuse_overwriting_input()?;
        let service = Arc::new(self.find_service(&options.service)?);
        let unfinished = Unfinished::beside(&options.out)?;
        let scope = Scope { log_end: unfinished.log_end(), rows: None, unfinished: Some(&unfinished) };
        let derived = self.derive(service, options, scope, &options.storage(), progress, &mut writer)?;
        let written = writer.finish()?;
        let manifest = manifest::describe(self, &derived, options, written.bytes);
        manifest.write(&manifest::manifest_path(&options.out))?;
        unfinished.remove()?;
        Ok(manifest)
    }

    /// Derives a dataset and hands its rows on.
    pub(crate) fn derive(
        &self,
        service: Arc<Service>,
        options: &ReplayOptions,
        scope: Scope<'_>,
        storage: &Storage,
        progress: &dyn Progress,
        sink: &mut dyn Sink,
    ) -> Result<Derived, RuntimeError> {
        let derivation = Derivation { runtime: self, service: &service, options, scope, storage, progress };
        let derived = derivation.run(sink).map_err(|error| self.quarantine_if_audited(error));
        progress.spilled(storage.spilled_bytes());
        derived
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
}

/// A derivation under way.
struct Derivation<'a> {
    runtime: &'a Runtime,
    service: &'a Arc<Service>,
    options: &'a ReplayOptions,
    scope: Scope<'a>,
    storage: &'a Storage,
    progress: &'a dyn Progress,
}

/// The events of each source, and what there is to do for each view.
struct Work<'a> {
    histories: BTreeMap<String, History>,
    buckets: Vec<Buckets<'a>>,
}

impl<'a> Derivation<'a> {
    fn run(&self, sink: &mut dyn Sink) -> Result<Derived, RuntimeError> {
        let (service, progress) = (self.service, self.progress);
        let mut timing = Timing::default();
        let started = Instant::now();
        self.options.check_mapped_sources()?;
        self.check_sources()?;
        progress.phase("reading the spine", None);
        let (spine, rows) = Spine::read(self.options, service, self.scope, self.storage, progress)?;
        let work = self.fill_buckets(&spine, &rows)?;
        timing.read_us = started.elapsed().as_micros() as u64;
        let started = Instant::now();
        let blocks = Blocks::of(spine.rows);
        let results: Vec<Results<'_>> =
            service.views.iter().map(|view| Results::new(view, blocks, self.storage)).collect();
        let (failed_rows, audited_rows) = self.compute(&spine, &work, &results)?;
        let Work { histories, buckets } = work;
        drop(buckets);
        timing.compute_us = started.elapsed().as_micros() as u64;
        let started = Instant::now();
        let assembly = Assembly { service, spine: &spine, path: &self.options.spine, rows, blocks, results };
        let assembled = assembly.run(self.storage, self.options.resources.threads(), progress, sink)?;
        timing.write_us = started.elapsed().as_micros() as u64;
        let Assembled { schema, hash, outcomes, features, .. } = assembled;
        let (service, audited_rows) = (Arc::clone(service), audited_rows + assembled.audited_rows);
        Ok(Derived { service, spine, histories, schema, outcomes, features, failed_rows, audited_rows, hash, timing })
    }

    /// Only sources that the service reads can come from a file.
    fn check_sources(&self) -> Result<(), RuntimeError> {
        let reads = |name: &str| self.service.views.iter().any(|view| view.spec.source.name == name);
        match self.options.events.iter().find(|(name, _)| !reads(name)) {
            None => Ok(()),
            Some((name, _)) => Err(RuntimeError::request(
                format!("service `{}` does not read source `{name}`", self.service.spec.name),
                "leave that `--events` out",
            )),
        }
    }

    /// Reads the events of one source after the other into the buckets of the views that it feeds.
    fn fill_buckets(&self, spine: &Spine, rows: &SpineRows<'_>) -> Result<Work<'a>, RuntimeError> {
        let mut buckets: BTreeMap<usize, Buckets<'a>> = BTreeMap::new();
        let mut histories = BTreeMap::new();
        for view in &self.service.views {
            let name = &view.spec.source.name;
            if histories.contains_key(name) {
                continue;
            }
            let events = self.collect(view)?;
            let mut views = Vec::new();
            for (at, view) in self.service.views.iter().enumerate().filter(|(_, view)| view.spec.source.name == *name) {
                let retired = if events.origin.is_log() { self.runtime.retired(view)? } else { None };
                let buckets = Buckets::new(view, events.rows(), spine.rows, self.storage);
                views.push(buckets::ViewWork { at, view, retired, buckets });
            }
            buckets::add_spine(&mut views, spine, rows, self.progress)?;
            let history = buckets::add_events(events, &mut views, self.options.resources.threads(), self.progress)?;
            histories.insert(name.clone(), history);
            buckets.extend(views.into_iter().map(|work| (work.at, work.buckets)));
        }
        Ok(Work { histories, buckets: buckets.into_values().collect() })
    }

    /// Reads the events of a view's source.
    fn collect(&self, view: &View) -> Result<Collected<'a>, RuntimeError> {
        let (source, threads) = (&view.spec.source, self.options.resources.threads());
        self.progress.phase(&format!("reading {}", source.name), None);
        match self.options.events.iter().find(|(name, _)| *name == source.name) {
            Some((_, path)) => {
                let names = self.options.source_names(&source.name);
                Collected::from_file(source, path, names, threads, self.storage, self.progress)
            }
            None => {
                let end = self.scope.log_end;
                Collected::from_log(self.runtime, source, end, threads, self.storage, self.progress)
            }
        }
    }

    /// Computes the features of all views; returns how many rows a plugin failed on, and how many were run again.
    fn compute(&self, spine: &Spine, work: &Work<'_>, results: &[Results<'_>]) -> Result<(u64, u64), RuntimeError> {
        let inputs = self.inputs(spine, &work.histories);
        let found = self.scope.unfinished.map(|unfinished| unfinished.load(&inputs, self.service, results));
        let mut done = found.transpose()?.unwrap_or_default();
        let computed = self.compute_missing(spine, work, results, &mut done);
        if let (Err(RuntimeError::Stopped), Some(unfinished)) = (&computed, self.scope.unfinished) {
            unfinished.save(inputs, log_end_of(&work.histories), self.service, results, &done)?;
        }
        computed?;
        let counts = || done.iter().flat_map(BTreeMap::values);
        let failed: u64 = counts().map(|counts| counts.failed_rows).sum();
        let audited: u64 = counts().map(|counts| counts.audited_rows).sum();
        let of_events = |count: fn(&Buckets<'_>) -> u64| work.buckets.iter().map(count).sum::<u64>();
        Ok((failed + of_events(|buckets| buckets.failed), audited + of_events(|buckets| buckets.audited)))
    }

    fn compute_missing(
        &self,
        spine: &Spine,
        work: &Work<'_>,
        results: &[Results<'_>],
        done: &mut Vec<Done>,
    ) -> Result<(), RuntimeError> {
        let views = self.service.views.iter().zip(&work.buckets).zip(results);
        let progress = self.progress;
        let views = views.map(|((view, buckets), results)| ComputedView { view, buckets, results, progress });
        let views: Vec<_> = views.collect();
        self.progress.phase(&format!("replaying {}", self.service.spec.name), Some(spine.rows * views.len() as u64));
        compute::compute_views(&views, &self.options.resources, self.progress, done)?;
        check_stopped(self.progress)
    }

    /// Everything that decides what the buckets of a replay come to.
    fn inputs(&self, spine: &Spine, histories: &BTreeMap<String, History>) -> Inputs {
        let events = histories.iter().map(|(name, history)| (name.clone(), history.hash)).collect();
        Inputs::new(self.service.version, self.runtime.fingerprint(), spine.hash, events)
    }
}

/// Ends the replay if whoever watches it wants that.
fn check_stopped(progress: &dyn Progress) -> Result<(), RuntimeError> {
    if progress.is_stopped() { Err(RuntimeError::Stopped) } else { Ok(()) }
}

/// Where the log ended, if events came from it.
fn log_end_of(histories: &BTreeMap<String, History>) -> LogEnd {
    let end = |history: &History| match history.origin {
        Origin::Log { end, .. } => Some(end),
        Origin::File(_) => None,
    };
    histories.values().filter_map(end).max()
}
