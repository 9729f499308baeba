//! The checks that come before publication: which rows they run over, where their reports are kept, and what a refusal says.

use oast_core::{Batch, Canonical, ComponentHash, EngineFingerprint, Field, Limits, Schema, TransformHash};
use oast_engine::{
    CHECKS_VERSION, Check, CheckReport, CheckedUse, Component, Engine, EngineError, Finding, Plugin, Shown,
};
use oast_store::Catalog;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{
    Progress, Runtime, RuntimeError,
    golden::run_golden,
    replay::{available_threads, in_parallel},
    samples::{GOLDEN_HINT, Sample, Samples, attached_samples},
};

/// The kind of record that keeps what came of checking a use of a plugin.
const RECORD: &str = "check";

/// Holds a component to its laws with the parameters, columns and rows of its samples: `golden`, or else those that it
/// carries. A law that is broken is an error that shows the rows.
pub fn check_plugin(bytes: &[u8], golden: Option<&str>) -> Result<CheckReport, RuntimeError> {
    let report = examine_plugin(bytes, golden)?;
    match report.finding() {
        None => Ok(report),
        Some((each, check, _)) => Err(RuntimeError::law("component", &each.plugin, &each.name, check)),
    }
}

/// Does what [`check_plugin`] does, and gives the report even if a law is broken.
pub fn examine_plugin(bytes: &[u8], golden: Option<&str>) -> Result<CheckReport, RuntimeError> {
    let component = Engine::shared()?.load(bytes).map_err(|source| refused("component", source))?;
    let mut report = examine(&component, &samples_for(bytes, golden)?)?;
    compare_with_golden(bytes, golden, &mut report)?;
    Ok(report)
}

/// Adds to a report whether the component makes of the author's rows what the golden file says. Cases that do not say what
/// comes of their rows are left alone.
pub(crate) fn compare_with_golden(
    bytes: &[u8],
    golden: Option<&str>,
    report: &mut CheckReport,
) -> Result<(), RuntimeError> {
    let Some(golden) = golden.or_else(|| attached_samples(bytes)).filter(|_| report.finding().is_none()) else {
        return Ok(());
    };
    let Some(golden) = cases_with_results(golden)? else { return Ok(()) };
    for case in run_golden(bytes, &golden, None)?.cases {
        let Some(used) = report.uses.iter_mut().find(|used| used.name == case.name) else { continue };
        let finding = case.differences.first().map(|difference| Finding {
            meaning: format!(
                "the plugin does not make of its author's rows what golden.json says ({})",
                difference.place
            ),
            hint: "run `oast plugin test`, and mend the plugin or its golden.json".to_owned(),
            rows: difference.input.iter().cloned().collect(),
            expected: Shown { run: "golden.json".to_owned(), output: difference.expected.clone() },
            found: Shown { run: "the component".to_owned(), output: difference.got.clone() },
        });
        used.checks.push(check("the author's results", format!("{} rows", case.rows), finding));
    }
    Ok(())
}

/// The golden file with those cases alone that say what comes of their rows; nothing if none does.
fn cases_with_results(golden: &str) -> Result<Option<String>, RuntimeError> {
    let malformed = |error| RuntimeError::request(format!("the samples are no golden file: {error}"), GOLDEN_HINT);
    let mut golden: Json = serde_json::from_str(golden).map_err(malformed)?;
    let says =
        |case: &Json| ["expect", "folds"].iter().any(|key| case[key].as_array().is_some_and(|list| !list.is_empty()));
    let Some(cases) = golden["cases"].as_array_mut() else { return Ok(None) };
    cases.retain(says);
    Ok((!cases.is_empty()).then(|| golden.to_string()))
}

/// The samples to check a component with.
pub(crate) fn samples_for(bytes: &[u8], golden: Option<&str>) -> Result<Samples, RuntimeError> {
    golden.or_else(|| attached_samples(bytes)).map_or_else(|| Ok(Samples::default()), Samples::parse)
}

/// Checks a component with every one of its samples, or without parameters and columns if it has none.
pub(crate) fn examine(component: &Component, samples: &Samples) -> Result<CheckReport, RuntimeError> {
    let mut report = CheckReport {
        checks_version: CHECKS_VERSION,
        component: component.hash(),
        engine: Engine::shared()?.fingerprint(),
        uses: Vec::new(),
    };
    for sample in &samples.cases {
        report.uses.push(examine_sample(component, sample)?);
        if report.finding().is_some() {
            return Ok(report);
        }
    }
    if samples.cases.iter().all(|sample| sample.error.is_some()) {
        let plugin = component.configure("{}", &Schema::default(), Limits::default()).map_err(without_samples)?;
        report.uses.push(plugin.check("no parameters", &Batch::empty(&plugin.descriptor().input))?);
    }
    Ok(report)
}

pub(crate) fn without_samples(error: EngineError) -> RuntimeError {
    match error {
        EngineError::Configure(message) => RuntimeError::request(
            format!("the component carries no samples, and needs parameters or columns: {message}"),
            "put a golden.json beside the plugin and build it with `oast plugin build`, or give --params and --offered",
        ),
        error => refused("component", error),
    }
}

fn refused(name: &str, source: EngineError) -> RuntimeError {
    RuntimeError::Plugin { location: name.to_owned(), plugin: name.to_owned(), source }
}

fn examine_sample(component: &Component, sample: &Sample) -> Result<CheckedUse, RuntimeError> {
    let configured = component.configure(&sample.params(), &sample.offered()?, Limits::default());
    match (configured, &sample.error) {
        (Err(EngineError::Configure(message)), Some(expected)) => Ok(refusal(component, sample, expected, &message)),
        (Err(source), _) => {
            let (location, plugin) = (format!("sample `{}`", sample.name), "component".to_owned());
            Err(RuntimeError::Plugin { location, plugin, source })
        }
        (Ok(plugin), Some(expected)) => {
            let descriptor = plugin.descriptor();
            let text = format!("it configures as `{}`", descriptor.name);
            Ok(refusal(component, sample, expected, &text))
        }
        (Ok(plugin), None) => match described_otherwise(&plugin, sample)? {
            None => Ok(plugin.check(&sample.name, &sample.rows()?)?),
            Some(finding) => {
                let mut used = unchecked(component, sample);
                used.checks = vec![check("the sample's columns", String::new(), Some(finding))];
                Ok(used)
            }
        },
    }
}

/// The use of a sample for which `configure` must refuse.
fn refusal(component: &Component, sample: &Sample, expected: &str, found: &str) -> CheckedUse {
    let finding = (found != expected).then(|| Finding {
        meaning: "`configure` does not refuse what its author's sample says it refuses, or with another text"
            .to_owned(),
        hint: "mend the plugin or its golden.json".to_owned(),
        rows: Vec::new(),
        expected: Shown { run: "the sample".to_owned(), output: expected.to_owned() },
        found: Shown { run: "the component".to_owned(), output: found.to_owned() },
    });
    let mut used = unchecked(component, sample);
    used.checks = vec![check("refused by configure", found.to_owned(), finding)];
    used
}

fn check(name: &str, ran: String, finding: Option<Finding>) -> Check {
    Check { name: name.to_owned(), ran, finding }
}

fn unchecked(component: &Component, sample: &Sample) -> CheckedUse {
    CheckedUse {
        name: sample.name.clone(),
        plugin: String::new(),
        version: String::new(),
        transform: TransformHash::of(component.hash().as_bytes()),
        input: Vec::new(),
        output: Vec::new(),
        checks: Vec::new(),
        outcomes: Default::default(),
        costs: Default::default(),
    }
}

/// What shows that the plugin does not take or give the columns that the sample says.
fn described_otherwise(plugin: &Plugin, sample: &Sample) -> Result<Option<Finding>, RuntimeError> {
    let descriptor = plugin.descriptor();
    let (input, output) = (sample.input()?, sample.output()?);
    if input == descriptor.input && output == descriptor.output {
        return Ok(None);
    }
    let text = |input: &Schema, output: &Schema| {
        let columns = |schema: &Schema| schema.fields().iter().map(Field::to_string).collect::<Vec<_>>().join(", ");
        format!("({}) -> ({})", columns(input), columns(output))
    };
    Ok(Some(Finding {
        meaning: "the plugin takes or gives other columns than its author's sample says".to_owned(),
        hint: "mend the plugin or its golden.json".to_owned(),
        rows: Vec::new(),
        expected: Shown { run: "the sample".to_owned(), output: text(&input, &output) },
        found: Shown { run: "the component".to_owned(), output: text(&descriptor.input, &descriptor.output) },
    }))
}

/// What came of checking a use of a plugin, as the catalog keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredCheck {
    pub(crate) component: ComponentHash,
    pub(crate) engine: EngineFingerprint,
    #[serde(flatten)]
    pub(crate) used: CheckedUse,
}

/// Under which hash the catalog keeps what came of a check.
fn record_hash(transform: TransformHash, engine: EngineFingerprint) -> String {
    let mut canonical = Canonical::new();
    canonical.bytes(transform.as_bytes()).bytes(engine.as_bytes()).u32(CHECKS_VERSION);
    let hash = blake3::Hasher::new_derive_key("oast 2026 check record v1").update(canonical.as_bytes()).finalize();
    hash.to_hex().to_string()
}

/// Whether this use of a plugin has passed its checks on this engine before.
pub(crate) fn was_checked(
    catalog: &Catalog,
    transform: TransformHash,
    engine: EngineFingerprint,
) -> Result<bool, RuntimeError> {
    Ok(catalog.record(RECORD, &record_hash(transform, engine))?.is_some())
}

/// Remembers that a use of a plugin passed its checks.
pub(crate) fn remember(catalog: &Catalog, stored: &StoredCheck) -> Result<(), RuntimeError> {
    let hash = record_hash(stored.used.transform, stored.engine);
    if catalog.record(RECORD, &hash)?.is_some() {
        return Ok(());
    }
    let record = serde_json::to_value(stored).expect("a report is JSON");
    Ok(catalog.put_record(RECORD, &stored.component.short(), &hash, &record)?)
}

/// Everything that has been checked and is kept.
pub(crate) fn remembered(catalog: &Catalog) -> Result<Vec<StoredCheck>, RuntimeError> {
    let records = catalog.records(RECORD)?;
    let read = |record: oast_store::Record| {
        let stored = |source| RuntimeError::Stored { what: format!("check `{}`", record.hash), source };
        serde_json::from_value(record.record.clone()).map_err(stored)
    };
    records.into_iter().map(read).collect()
}

/// A use of a plugin in a definition, to be checked before anything is published.
pub(crate) struct PluginUseAt {
    /// Where in the definition files.
    pub(crate) location: String,
    /// The view or service.
    pub(crate) name: String,
    /// The plugin as the definition names it.
    pub(crate) reference: String,
    pub(crate) params: String,
    pub(crate) plugin: Plugin,
}

impl Runtime {
    /// Checks the uses that were not checked before on this engine, and remembers those that pass. The first of those that do
    /// not, in order of transform hash, is the error.
    pub(crate) fn check_uses(&self, uses: Vec<PluginUseAt>, progress: &dyn Progress) -> Result<(), RuntimeError> {
        let engine = self.fingerprint();
        let mut unchecked = Vec::new();
        for each in uses {
            if !was_checked(&self.catalog, each.plugin.hash(), engine)? {
                unchecked.push(each);
            }
        }
        if unchecked.is_empty() {
            return Ok(());
        }
        progress.phase("checking plugins", Some(unchecked.len() as u64));
        let checked = in_parallel(available_threads(), unchecked.len(), &|at| {
            let checked = self.check_use(&unchecked[at])?;
            progress.advance(1);
            Ok(checked)
        })?;
        for (each, used) in unchecked.iter().zip(checked) {
            if let Some((check, _)) = used.finding() {
                return Err(RuntimeError::law(&each.location, &each.reference, &each.name, check));
            }
            remember(&self.catalog, &StoredCheck { component: each.plugin.component().hash(), engine, used })?;
        }
        Ok(())
    }

    fn check_use(&self, each: &PluginUseAt) -> Result<CheckedUse, RuntimeError> {
        let bytes = self.catalog.component(each.plugin.component().hash())?;
        let samples = samples_of_use(&bytes, &each.params, &each.plugin)?;
        Ok(each.plugin.check(&each.name, &samples)?)
    }
}

/// The author's rows that fit a use of a plugin: those of samples with the same parameters and the same types of columns.
pub(crate) fn samples_of_use(bytes: &[u8], params: &str, plugin: &Plugin) -> Result<Batch, RuntimeError> {
    let input = &plugin.descriptor().input;
    let mut rows = Batch::empty(input);
    let types =
        |schema: &Schema| schema.fields().iter().map(|field| (field.data_type, field.nullable)).collect::<Vec<_>>();
    for sample in &samples_for(bytes, None)?.cases {
        if sample.error.is_none() && sample.params() == params && types(&sample.input()?) == types(input) {
            let sampled = sample.rows()?;
            if sampled.rows > 0 {
                rows.append(&sampled);
            }
        }
    }
    Ok(rows)
}
