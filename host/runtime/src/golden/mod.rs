//! Golden files: what a plugin must make of given rows, run through its component and the engine. `plugins/README.md` has the
//! format.

mod rows;
mod run;
mod write;

use std::path::Path;

use oast_core::{ComponentHash, Limits};
use oast_engine::{Artefacts, Component, Engine, EngineError};
use serde_json::{Map, Value as Json};

use crate::RuntimeError;
use rows::{malformed, schema};

/// What came of a golden file.
#[derive(Debug, Clone, PartialEq)]
pub struct GoldenReport {
    /// One entry a case, in their order.
    pub cases: Vec<GoldenCase>,
    /// The file with what came out in place of what was expected.
    pub updated: String,
}

/// What came of one case.
#[derive(Debug, Clone, PartialEq)]
pub struct GoldenCase {
    /// Why the case is there.
    pub name: String,
    /// How many rows it has.
    pub rows: usize,
    /// Where what came out is not what was expected; none if all is well.
    pub differences: Vec<GoldenDifference>,
    /// The fuel of each kind of call.
    pub consumed: Vec<(&'static str, u64)>,
}

/// Something that came out otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldenDifference {
    /// Where, for example `row 3`.
    pub place: String,
    /// The row that went in, if it is about one.
    pub input: Option<String>,
    /// What the file says.
    pub expected: String,
    /// What came out.
    pub got: String,
    /// Whether what came out can be expected from now on. A trap cannot, nor what depends on how rows are put together.
    pub acceptable: bool,
}

/// Loads a component as publication would, keeping what is compiled in a folder of the caller's, and gives its hash.
pub fn load_component(component: &[u8], artefacts: &Path) -> Result<ComponentHash, RuntimeError> {
    Ok(load(component, Some(artefacts))?.hash())
}

/// Runs a golden file through a component: each case's rows in one batch, and each row by itself. What is compiled can be
/// kept in a folder.
pub fn run_golden(component: &[u8], golden: &str, artefacts: Option<&Path>) -> Result<GoldenReport, RuntimeError> {
    let golden: Json = serde_json::from_str(golden).map_err(|error| malformed(format!("it is not JSON: {error}")))?;
    let Json::Object(golden) = golden else { return Err(malformed("it is no object")) };
    let component = load(component, artefacts)?;
    let mut cases = Vec::new();
    let mut found = golden.clone();
    let mut found_cases = Vec::new();
    for case in list(golden.get("cases"), "cases")? {
        let Json::Object(case) = case else { return Err(malformed("a case is no object")) };
        let name = case.get("name").and_then(Json::as_str).ok_or_else(|| malformed("a case has no name"))?;
        let mut run = Run::new(case.clone());
        run.run(&component, &golden, &mut found).map_err(|error| in_case(name, error))?;
        cases.push(GoldenCase {
            name: name.to_owned(),
            rows: case.get("rows").and_then(Json::as_array).map_or(0, Vec::len),
            differences: run.differences,
            consumed: run.consumed,
        });
        found_cases.push(Json::Object(run.found));
    }
    found.insert("cases".to_owned(), Json::Array(found_cases));
    Ok(GoldenReport { cases, updated: write::golden(&found) })
}

fn load(component: &[u8], artefacts: Option<&Path>) -> Result<Component, RuntimeError> {
    let engine = Engine::shared()?;
    let loaded = match artefacts {
        Some(folder) => engine.load_cached(component, &Artefacts::open(folder)?),
        None => engine.load(component),
    };
    loaded.map_err(RuntimeError::Component)
}

/// Says in which case a golden file is wrong.
fn in_case(name: &str, error: RuntimeError) -> RuntimeError {
    match error {
        RuntimeError::Request { message, hint } => {
            RuntimeError::Request { message: format!("{message}, in the case \"{name}\""), hint }
        }
        error => error,
    }
}

/// One case being run: what it turns out to be, and how that differs from what it says.
struct Run {
    case: Map<String, Json>,
    found: Map<String, Json>,
    differences: Vec<GoldenDifference>,
    consumed: Vec<(&'static str, u64)>,
}

impl Run {
    fn new(case: Map<String, Json>) -> Self {
        Self { found: case.clone(), case, differences: Vec::new(), consumed: Vec::new() }
    }

    fn run(
        &mut self,
        component: &Component,
        golden: &Map<String, Json>,
        found: &mut Map<String, Json>,
    ) -> Result<(), RuntimeError> {
        let params = self.case.get("params").cloned().unwrap_or_else(|| Json::Object(Map::new()));
        let offered = schema(self.case.get("offered"), "offered")?;
        let plugin = match component.configure(&params.to_string(), &offered, Limits::default()) {
            Ok(plugin) => plugin,
            Err(EngineError::Configure(message)) => {
                for key in ["input", "output", "expect", "folds"] {
                    self.found.remove(key);
                }
                self.compare("error", Some(Json::from(message)));
                return Ok(());
            }
            Err(source) => return Err(source.into()),
        };
        self.compare("error", None);
        self.describe(&plugin, golden, found);
        match (plugin.transform(), plugin.aggregate()) {
            (Some(transform), _) => self.apply(&plugin, transform),
            (_, Some(aggregate)) => self.fold(&plugin, aggregate),
            (None, None) => unreachable!("a component of neither world does not load"),
        }
    }

    /// Takes what came out, and notes where it is not what was expected.
    fn compare(&mut self, key: &str, got: Option<Json>) {
        let expected = self.case.get(key);
        if expected != got.as_ref() {
            let shown = |json: Option<&Json>| json.map_or_else(|| "nothing".to_owned(), Json::to_string);
            self.differ(key, None, shown(expected), shown(got.as_ref()));
        }
        match got {
            Some(got) => self.found.insert(key.to_owned(), got),
            None => self.found.remove(key),
        };
    }

    fn differ(&mut self, place: impl Into<String>, input: Option<String>, expected: String, got: String) {
        self.differences.push(GoldenDifference { place: place.into(), input, expected, got, acceptable: true });
    }

    /// Notes what no golden file can make right.
    fn fault(&mut self, place: impl Into<String>, input: Option<String>, expected: String, got: String) {
        self.differences.push(GoldenDifference { place: place.into(), input, expected, got, acceptable: false });
    }

    /// Compares what the plugin says of itself.
    fn describe(&mut self, plugin: &oast_engine::Plugin, golden: &Map<String, Json>, found: &mut Map<String, Json>) {
        let descriptor = plugin.descriptor();
        self.compare("input", Some(rows::schema_json(&descriptor.input)));
        self.compare("output", Some(rows::schema_json(&descriptor.output)));
        let kind = if plugin.transform().is_some() { "transform" } else { "aggregate" };
        let law = serde_json::to_value(descriptor.merge_law).expect("a law is JSON");
        let said = [
            ("plugin", Json::from(descriptor.name.as_str())),
            ("kind", Json::from(kind)),
            ("order_sensitive", if descriptor.order_sensitive { Json::Bool(true) } else { Json::Null }),
            ("merge_law", law),
        ];
        for (key, got) in said {
            let expected = match golden.get(key) {
                Some(Json::Bool(false)) | None => Json::Null,
                Some(expected) => expected.clone(),
            };
            if expected != got {
                self.differ(key, None, expected.to_string(), got.to_string());
            }
            match got {
                Json::Null => found.remove(key),
                got => found.insert(key.to_owned(), got),
            };
        }
    }
}

fn list<'a>(json: Option<&'a Json>, what: &str) -> Result<&'a [Json], RuntimeError> {
    let list = json.and_then(Json::as_array).map(Vec::as_slice);
    list.ok_or_else(|| malformed(format!("`{what}` is no list")))
}
