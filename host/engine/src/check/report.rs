use oast_core::{ComponentHash, EngineFingerprint, TransformHash};
use serde::{Deserialize, Serialize};

/// Raised when other things are checked, so that what an older release let pass is checked again.
pub const CHECKS_VERSION: u32 = 3;

/// What came of checking a component before its publication. It holds no time and no name of a machine: the same component
/// has the same report everywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// The version of the checks.
    pub checks_version: u32,
    /// The component.
    pub component: ComponentHash,
    /// The engine on which it was checked.
    pub engine: EngineFingerprint,
    /// One entry for each set of parameters and columns that it was checked with.
    pub uses: Vec<CheckedUse>,
}

impl CheckReport {
    /// Whether everything holds.
    pub fn passed(&self) -> bool {
        self.finding().is_none()
    }

    /// The first thing that does not hold, with the use in which it was found.
    pub fn finding(&self) -> Option<(&CheckedUse, &Check, &Finding)> {
        self.uses.iter().find_map(|each| each.finding().map(|(check, finding)| (each, check, finding)))
    }
}

/// What came of checking a component with one set of parameters and columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckedUse {
    /// What the use is called: a case of the author's samples, or the plugin as a definition names it.
    pub name: String,
    /// The name the plugin gives itself.
    pub plugin: String,
    /// Its semantic version.
    pub version: String,
    /// The transform hash.
    pub transform: TransformHash,
    /// The columns it takes, as `name: type`.
    pub input: Vec<String>,
    /// The columns it gives, as `name: type`.
    pub output: Vec<String>,
    /// What was checked, in order; nothing comes after the first check that failed.
    pub checks: Vec<Check>,
    /// What the rows came to, each by itself.
    pub outcomes: OutcomeCounts,
    /// What they cost.
    pub costs: Costs,
}

impl CheckedUse {
    /// The check that failed, if one did.
    pub fn finding(&self) -> Option<(&Check, &Finding)> {
        self.checks.iter().find_map(|check| check.finding.as_ref().map(|finding| (check, finding)))
    }
}

/// One law, and whether the plugin keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The law in a few words.
    pub name: String,
    /// What was run.
    pub ran: String,
    /// What shows that the law is broken, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<Finding>,
}

/// Rows that show a law to be broken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What happened, and what it means.
    pub meaning: String,
    /// What the author should look for.
    pub hint: String,
    /// The rows, one JSON object each.
    pub rows: Vec<String>,
    /// What was expected of them, and what came.
    pub expected: Shown,
    /// What came instead.
    pub found: Shown,
}

/// One of the two outputs that differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// How the rows were run.
    pub run: String,
    /// What came of it.
    pub output: String,
}

impl Shown {
    pub(super) fn new(run: impl Into<String>, output: impl Into<String>) -> Self {
        Self { run: run.into(), output: output.into() }
    }
}

/// How many rows came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCounts {
    /// All rows.
    pub rows: u64,
    /// Those of them that the author brought.
    pub samples: u64,
    /// Kept by a transform, or folded by an aggregate.
    pub kept: u64,
    /// Dropped.
    pub dropped: u64,
    /// Rejected.
    pub rejected: u64,
    /// Died, of a trap say.
    pub failed: u64,
}

/// What the rows cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Costs {
    /// The fuel of `configure`.
    pub configure_fuel: u64,
    /// The least fuel of a row.
    pub row_fuel_min: u64,
    /// The fuel that half of the rows stay within.
    pub row_fuel_median: u64,
    /// The most fuel of a row.
    pub row_fuel_max: u64,
    /// For an aggregate, the most fuel of merging or finishing states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_fuel_max: Option<u64>,
    /// For an aggregate, the most bytes of a state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_bytes_max: Option<u64>,
    /// The most bytes that a memory came to have.
    pub memory_bytes_max: u64,
}

impl Costs {
    /// Takes in what the rows cost, each by itself.
    pub(super) fn take_rows(&mut self, mut fuel: Vec<u64>) {
        fuel.sort_unstable();
        self.row_fuel_min = fuel.first().copied().unwrap_or(0);
        self.row_fuel_median = fuel.get(fuel.len() / 2).copied().unwrap_or(0);
        self.row_fuel_max = fuel.last().copied().unwrap_or(0);
    }
}
