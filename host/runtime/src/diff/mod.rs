//! Two versions over the same rows: where and how much their features differ.

mod compare;
mod drift;
mod kept;
mod rows;
mod subject;

use std::path::PathBuf;

use serde::Serialize;

pub use compare::FeatureDiff;
pub use drift::{Bin, Distribution};
pub use rows::{DifferingRow, FeatureOfRow};
pub use subject::DiffSubject;

use kept::{Columns, Dataset};

use crate::{Progress, ReplayOptions, Resources, Runtime, RuntimeError, replay::Scope};

/// What to compare, and over which rows.
#[derive(Debug, Clone)]
pub struct DiffOptions {
    /// The version that stands.
    pub before: DiffSubject,
    /// The version to compare with it.
    pub after: DiffSubject,
    /// The spine.
    pub spine: PathBuf,
    /// Snapshot files to read events from, by source; the log for sources not named.
    pub events: Vec<(String, PathBuf)>,
    /// Columns that have other names in the files, as a replay has them.
    pub map: Vec<(String, String)>,
    /// The spine's time column; `event_timestamp` if nothing is said.
    pub spine_time: Option<String>,
    /// How much of the machine the replays may take.
    pub resources: Resources,
    /// How many of the rows that differ most are named.
    pub rows_max: usize,
}

/// How the features of two versions differ over one spine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DiffReport {
    /// The version that stands.
    pub before: VersionEntry,
    /// The version compared with it.
    pub after: VersionEntry,
    /// The spine.
    pub spine: PathBuf,
    /// Rows of the spine.
    pub rows: u64,
    /// Rows in which some feature differs.
    pub rows_changed: u64,
    /// The features that both versions have, in the order of the first.
    pub features: Vec<FeatureDiff>,
    /// Features that only the first version has.
    pub removed: Vec<String>,
    /// Features that only the second version has.
    pub added: Vec<String>,
    /// The rows that differ most, the most different first.
    pub rows_most: Vec<DifferingRow>,
}

/// A version in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionEntry {
    /// `view` or `service`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The version.
    pub version: String,
    /// The hash of the dataset that it gives.
    pub dataset: String,
}

impl DiffReport {
    /// Whether every feature is the same bits in every row, and both versions have the same features.
    pub fn is_same(&self) -> bool {
        self.rows_changed == 0 && self.removed.is_empty() && self.added.is_empty()
    }
}

impl Runtime {
    /// Replays two versions over the same rows and compares what comes out.
    pub fn diff(&self, options: &DiffOptions, progress: &dyn Progress) -> Result<DiffReport, RuntimeError> {
        let before = self.diff_subject(&options.before, None)?;
        let after = self.diff_subject(&options.after, Some(&before))?;
        let replay = ReplayOptions {
            spine: options.spine.clone(),
            events: options.events.clone(),
            spine_time: options.spine_time.clone(),
            map: options.map.clone(),
            resources: options.resources.clone(),
            ..ReplayOptions::default()
        };
        // Both see the same part of the log, whatever is ingested meanwhile.
        let scope = Scope::of(Some(self.log.next_offset()), None);
        let (kinds, services) = ((before.kind, after.kind), (before.service, after.service));
        let storage = replay.storage();
        let dataset = |service| {
            let mut columns = Columns::new(&storage);
            let derived = self.derive(service, &replay, scope, &storage, progress, &mut columns)?;
            Ok::<_, RuntimeError>(Dataset { derived, columns })
        };
        let (before, after) = (dataset(services.0)?, dataset(services.1)?);
        let mut report = compare::compare(&before, &after, options.rows_max, progress)?;
        report.before.kind = kinds.0.to_owned();
        report.after.kind = kinds.1.to_owned();
        report.spine.clone_from(&options.spine);
        Ok(report)
    }
}
