mod comparison;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use oast_core::DatasetHash;
use oast_store::TableFiles;
use serde::Serialize;

use comparison::Comparison;

use crate::{
    Manifest, Progress, ReplayOptions, Resources, Runtime, RuntimeError,
    manifest::{self, EventsEntry},
    replay::{Derived, History, Scope},
};

/// How to verify a dataset.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Which share of the rows is derived again; all of them if nothing is said.
    pub sample: Option<Share>,
    /// How much of the machine that may take.
    pub resources: Resources,
}

/// A share of the rows of a dataset: always the same rows of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(f64);

impl Share {
    /// Whether a row, counted from 0, is among the chosen. The dataset hash has its say, so that nobody who makes a dataset
    /// knows beforehand which of its rows will be looked at.
    fn chooses(self, dataset: DatasetHash, row: u64) -> bool {
        let mut hasher = blake3::Hasher::new_derive_key("oast 2026 rows sampled for verification v1");
        hasher.update(dataset.as_bytes()).update(&row.to_le_bytes());
        let number = u64::from_le_bytes(*hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes"));
        (number as f64) < self.0 * 2.0_f64.powi(64)
    }
}

impl FromStr for Share {
    type Err = String;

    /// Reads `1%` or `0.01`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
        let share = number.trim().parse::<f64>().map(|number| number / scale);
        match share {
            Ok(share) if share > 0.0 && share <= 1.0 => Ok(Self(share)),
            _ => Err("expected a share above 0 and up to 1, for example `1%` or `0.01`".to_owned()),
        }
    }
}

/// What came of deriving a dataset again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// The manifest that was verified.
    pub manifest: PathBuf,
    /// The dataset hash in the manifest.
    pub expected: DatasetHash,
    /// The hash of the dataset as it was derived again; none of a sample, or if it could not be.
    pub derived: Option<DatasetHash>,
    /// The hash of the dataset's file as it is now; none if there was nothing to compare it with.
    pub stored: Option<DatasetHash>,
    /// Rows compared.
    pub rows: u64,
    /// Values compared.
    pub values: u64,
    /// What was looked at, and whether it holds.
    pub checks: Vec<Check>,
    /// The first values that differ between the file and the derivation.
    pub differences: Vec<Difference>,
    /// How many values differ.
    pub differing: u64,
    /// The likeliest cause, if something differs.
    pub cause: Option<String>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// What was found.
    pub detail: String,
}

/// A value that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The row, from 1.
    pub row: u64,
    /// The column.
    pub column: String,
    /// The value in the dataset's file.
    pub stored: serde_json::Value,
    /// The value as it was derived again.
    pub derived: serde_json::Value,
}

impl Verification {
    /// Whether everything holds.
    pub fn proved(&self) -> bool {
        self.checks.iter().all(|check| check.ok) && self.differing == 0
    }
}

impl Runtime {
    /// Derives the dataset of a manifest again and compares it with the manifest and the file, bit for bit.
    pub fn verify(&self, path: &Path, progress: &dyn Progress) -> Result<Verification, RuntimeError> {
        self.verify_with(path, &VerifyOptions::default(), progress)
    }

    /// Does so by all rows or a share of them, with what it may take of the machine.
    pub fn verify_with(
        &self,
        path: &Path,
        options: &VerifyOptions,
        progress: &dyn Progress,
    ) -> Result<Verification, RuntimeError> {
        let VerifyOptions { sample, resources } = options.clone();
        let manifest = Manifest::read(path)?;
        let beside = |file: &Path| path.parent().unwrap_or(Path::new("")).join(file);
        // Inputs are named as they were typed: from here, or else from where the manifest is.
        let input = |file: &PathBuf| if is_there(file) { file.clone() } else { beside(file) };
        let service = Arc::new(self.find_service(&manifest.service.version.to_string())?);
        let options = ReplayOptions {
            service: manifest.service.version.to_string(),
            spine: input(&manifest.spine.file),
            events: snapshot_files(&manifest).into_iter().map(|(source, file)| (source, input(&file))).collect(),
            map: manifest.map(),
            out: beside(&manifest.dataset.file),
            metadata: manifest.metadata.clone(),
            resources,
            spine_time: Some(manifest.spine.time_column.clone()),
        };
        let end = manifest.events.iter().filter_map(|events| events.log.as_ref()).map(|log| log.end_offset).max();
        let chosen = |row: u64| sample.is_none_or(|share| share.chooses(manifest.dataset.hash, row));
        let rows: Option<&dyn Fn(u64) -> bool> = if sample.is_some() { Some(&chosen) } else { None };
        let scope = Scope::of(end, rows);
        let sample = sample.map(|share| (share, manifest.dataset.hash));
        let mut comparison = Comparison::new(options.out.clone(), sample);
        let derived = match self.derive(service, &options, scope, &options.storage(), progress, &mut comparison) {
            Ok(derived) => derived,
            Err(error) => return self.account_for(error, path, &manifest),
        };
        let compared = comparison.finish()?;
        let mut verification = Verification {
            derived: sample.is_none().then_some(derived.hash),
            stored: Some(compared.stored),
            rows: derived.spine.rows,
            values: derived.spine.rows * derived.schema.len() as u64,
            differences: compared.differences,
            differing: compared.differing,
            ..Verification::new(path, &manifest)
        };
        if compared.rows != derived.spine.rows_all {
            let detail = format!("{} rows in the file, {} in the spine", compared.rows, derived.spine.rows_all);
            verification.checks.push(Check::of("rows", Err(detail)));
        }
        self.check(&manifest, &derived, &mut verification);
        Ok(verification)
    }

    /// A dataset that cannot be derived, because what it was made from is damaged or gone, is not proved. Any other failure
    /// stays one.
    fn account_for(&self, error: RuntimeError, path: &Path, manifest: &Manifest) -> Result<Verification, RuntimeError> {
        let mut verification = Verification::new(path, manifest);
        self.check_stored(manifest, &mut verification);
        if verification.proved() {
            return Err(error);
        }
        verification.checks.insert(0, Check::of("derived again", Err(format!("could not be: {error}"))));
        verification.cause = Some(likely_cause(&verification).to_owned());
        Ok(verification)
    }

    fn check(&self, manifest: &Manifest, derived: &Derived, verification: &mut Verification) {
        let mut hash = |name: &str, expected: String, found: String| {
            let result =
                if expected == found { Ok(found) } else { Err(format!("{found}, and the manifest says {expected}")) };
            verification.checks.push(Check::of(name, result));
        };
        hash("engine", manifest.engine.fingerprint.to_string(), self.fingerprint().to_string());
        hash("spine", manifest.spine.hash.to_string(), derived.spine.hash.to_string());
        for events in &manifest.events {
            let found = derived.histories.get(&events.source);
            hash(
                &format!("events of {}", events.source),
                events.hash.to_string(),
                found.map_or_else(String::new, history_hash),
            );
        }
        if let Some(derived) = verification.derived {
            hash("derived again", verification.expected.to_string(), derived.to_string());
        }
        let stored = verification.stored.map_or_else(String::new, |stored| stored.to_string());
        hash("dataset file", verification.expected.to_string(), stored);
        let mut described = manifest::describe(self, derived, &ReplayOptions::default(), 0);
        if verification.derived.is_none() {
            described.take_totals(manifest);
        }
        let described = Described::new(manifest, &described);
        verification.checks.push(Check::of("manifest", described.outcome()));
        self.check_stored(manifest, verification);
        if !verification.proved() {
            verification.cause = Some(likely_cause(verification).to_owned());
        }
    }

    /// Re-hashes what this data folder keeps of the dataset's making.
    fn check_stored(&self, manifest: &Manifest, verification: &mut Verification) {
        verification.checks.push(Check::of("components", self.check_components(manifest)));
        let segments = self.check_segments(manifest);
        verification.checks.extend(segments.into_iter().map(|(name, result)| Check::of(&name, result)));
    }

    /// Re-hashes the components that the dataset was made by. What this process compiled is held in memory, and would not
    /// show that their files were edited.
    fn check_components(&self, manifest: &Manifest) -> Result<String, String> {
        let views = manifest.service.views.iter().flat_map(|view| &view.plugins);
        let components: BTreeSet<_> = views.chain(&manifest.service.derives).map(|plugin| plugin.component).collect();
        match components.iter().find_map(|component| self.catalog.component(*component).err()) {
            Some(error) => Err(error.to_string()),
            None => Ok(format!("{} intact", components.len())),
        }
    }

    /// Re-hashes the segments that the dataset was made from.
    fn check_segments(&self, manifest: &Manifest) -> Vec<(String, Result<String, String>)> {
        let logged = manifest.events.iter().filter_map(|events| events.log.as_ref().map(|log| (events, log)));
        let mut checks = Vec::new();
        for (events, log) in logged {
            let failed = log.segments.iter().find_map(|segment| self.log.verify_segment(segment).err());
            let result =
                failed.map_or_else(|| Ok(format!("{} intact", log.segments.len())), |error| Err(error.to_string()));
            checks.push((format!("segments of {}", events.source), result));
        }
        checks
    }
}

impl Check {
    /// What holds, or what does not.
    fn of(name: &str, result: Result<String, String>) -> Self {
        let ok = result.is_ok();
        Self { name: name.to_owned(), ok, detail: result.unwrap_or_else(|found| found) }
    }
}

impl Verification {
    /// Before anything was looked at.
    fn new(path: &Path, manifest: &Manifest) -> Self {
        Self {
            manifest: path.to_owned(),
            expected: manifest.dataset.hash,
            derived: None,
            stored: None,
            rows: 0,
            values: 0,
            checks: Vec::new(),
            differences: Vec::new(),
            differing: 0,
            cause: None,
        }
    }
}

/// A manifest beside the one that the derived dataset would get.
struct Described {
    /// The first field that differs.
    differs: Option<String>,
}

impl Described {
    fn new(stored: &Manifest, derived: &Manifest) -> Self {
        let comparable = |manifest: &Manifest| {
            let mut manifest = manifest.clone();
            // Where files are, how large they came out, how long it took and how many rows were run again decide nothing;
            // hashes have checks of their own.
            manifest.dataset.file = PathBuf::new();
            manifest.dataset.bytes = 0;
            manifest.dataset.hash = stored.dataset.hash;
            manifest.spine.file = PathBuf::new();
            manifest.spine.hash = stored.spine.hash;
            manifest.engine = stored.engine.clone();
            manifest.metadata = stored.metadata.clone();
            manifest.timing = stored.timing;
            manifest.audited_rows = stored.audited_rows;
            manifest.events.iter_mut().zip(&stored.events).for_each(|(events, stored)| {
                events.hash = stored.hash;
                events.file = None;
                events.log = None;
            });
            serde_json::to_value(manifest).expect("a manifest is JSON")
        };
        let (stored, derived) = (comparable(stored), comparable(derived));
        Self { differs: first_difference("", &stored, &derived) }
    }

    fn outcome(&self) -> Result<String, String> {
        match &self.differs {
            None => Ok("says what was derived".to_owned()),
            Some(field) => Err(format!("`{field}` is not what was derived")),
        }
    }
}

/// The path of the first field in which two JSON values differ.
fn first_difference(path: &str, stored: &serde_json::Value, derived: &serde_json::Value) -> Option<String> {
    use serde_json::Value::{Array, Object};
    let child = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (stored, derived) {
        (Object(stored), Object(derived)) if stored.keys().eq(derived.keys()) => {
            stored.iter().find_map(|(name, value)| first_difference(&child(name), value, &derived[name]))
        }
        (Array(stored), Array(derived)) if stored.len() == derived.len() => {
            let pairs = stored.iter().zip(derived).enumerate();
            pairs
                .into_iter()
                .find_map(|(at, (stored, derived))| first_difference(&child(&at.to_string()), stored, derived))
        }
        _ => (stored != derived).then(|| path.to_owned()),
    }
}

fn history_hash(history: &History) -> String {
    history.hash.to_string()
}

fn snapshot_files(manifest: &Manifest) -> Vec<(String, PathBuf)> {
    let file = |events: &EventsEntry| events.file.clone().map(|file| (events.source.clone(), file));
    manifest.events.iter().filter_map(file).collect()
}

/// Whether a file, a folder or a file that fits a pattern is there.
fn is_there(named: &Path) -> bool {
    TableFiles::find(named).is_ok_and(|found| found.paths().all(Path::exists))
}

/// What most likely made the difference, judged by the checks that failed, the outermost input first.
fn likely_cause(verification: &Verification) -> &'static str {
    let failed = |prefix: &str| verification.checks.iter().any(|check| !check.ok && check.name.starts_with(prefix));
    if failed("segments") {
        "a segment of the log was edited, truncated or removed"
    } else if failed("components") {
        "a component was edited or removed, or the manifest names another one"
    } else if failed("spine") {
        "the spine is not the one the dataset was made from"
    } else if failed("events") {
        "the events are not those the dataset was made from: a snapshot was edited, or the log differs"
    } else if failed("engine") && failed("derived") {
        "another engine derived the dataset; this is a difference between engines, and not skew"
    } else if failed("derived") {
        "the manifest was edited, or its hash belongs to another dataset"
    } else if failed("engine") {
        "another engine derived the dataset, with the same result"
    } else if failed("manifest") {
        "the manifest was edited"
    } else {
        "the dataset's file was edited after it was written"
    }
}
