//! What a plugin must keep to before it is published: the laws that batches, partitions and replays rest on.
//!
//! [`Plugin::check`] makes rows up for the plugin's input, puts the author's own before them, runs each alone in a fresh
//! instance, which is what the plugin means, and then in every other way in which the engine may run it. The rows follow from
//! the transform hash, and how many of them are run from the fuel they consume, so a report is the same on every machine.
//! A trap or a rejection on a made-up row is an outcome like any other: it only has to be the same on every path.

mod aggregate;
mod finding;
mod law;
mod report;
mod rows;
mod transform;

use oast_core::{Batch, Failure, Field, Fuel, Schema, TransformHash};

pub use report::{CHECKS_VERSION, Check, CheckReport, CheckedUse, Costs, Finding, OutcomeCounts, Shown};

use crate::{EngineError, Plugin};
use finding::{row_json, rows_json};
use rows::Generator;

/// The most rows that are run.
const ROWS_MAX: usize = 1024;

/// The fewest rows that are run, whatever they cost: as many as take every column to all of its edges.
const ROWS_MIN: usize = 32;

/// The most rows of the author's that are run.
const SAMPLES_MAX: usize = 512;

/// The fuel after which no more rows are run alone.
const FUEL_MAX: u64 = 400_000_000;

/// The most bytes of vectors in all rows together.
const VECTOR_BYTES_MAX: usize = 16 << 20;

/// The size of a small batch, which no power of two divides.
const SMALL_BATCH: usize = 7;

/// How many of the rows that fail travel in batches: each has its batch cut down to single rows, which takes long.
const FAILING_MAX: usize = 3;

/// The share of a limit that the dearest row may need: fuel is not the same between versions of the engine.
const HEADROOM_SHARE: u64 = 2;

/// Why no further law is looked at.
enum Stop {
    Engine(EngineError),
    Broken(Box<Finding>),
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<Finding> for Stop {
    fn from(finding: Finding) -> Self {
        Self::Broken(Box::new(finding))
    }
}

/// A law that a subject, rows run one by one, must keep: what was run, or what shows that it is broken.
type Law<S> = (&'static str, fn(&S) -> Result<String, Stop>);

impl Plugin {
    /// Holds the plugin to its laws over made-up rows and over the author's `samples`, whose columns are the descriptor's
    /// input. The first law that is broken ends the check, and is the last of the report.
    pub fn check(&self, name: &str, samples: &Batch) -> Result<CheckedUse, EngineError> {
        let descriptor = self.descriptor();
        let columns = |schema: &Schema| schema.fields().iter().map(Field::to_string).collect();
        let mut used = CheckedUse {
            name: name.to_owned(),
            plugin: descriptor.name.clone(),
            version: descriptor.version.clone(),
            transform: self.hash(),
            input: columns(&descriptor.input),
            output: columns(&descriptor.output),
            checks: Vec::new(),
            outcomes: OutcomeCounts::default(),
            costs: Costs::default(),
        };
        let configured = configures_alike(self);
        if let Some(fuel) = enter(&mut used.checks, "the same descriptor again", configured)? {
            used.costs.configure_fuel = fuel.0;
            let rows = Sampled::new(self, samples);
            match (self.transform(), self.aggregate()) {
                (Some(transform), _) => transform::check(self, transform, rows, &mut used)?,
                (_, Some(aggregate)) => aggregate::check(self, aggregate, rows, &mut used)?,
                (None, None) => unreachable!("a component has one of the two worlds"),
            }
        }
        Ok(used)
    }
}

impl Plugin {
    /// Rows that are made up for the plugin's input, without edges: something to time it with.
    pub fn made_up_rows(&self, count: usize) -> Batch {
        Generator::new(&self.descriptor().input, self.hash().as_bytes()).ordinary(count)
    }
}

/// Enters what came of looking at a law into the report.
fn enter<T: Ran>(checks: &mut Vec<Check>, name: &str, law: Result<T, Stop>) -> Result<Option<T>, EngineError> {
    let mut check = Check { name: name.to_owned(), ran: String::new(), finding: None };
    let held = match law {
        Ok(held) => {
            check.ran = held.ran();
            Some(held)
        }
        Err(Stop::Broken(finding)) => {
            check.finding = Some(*finding);
            None
        }
        Err(Stop::Engine(error)) => return Err(error),
    };
    checks.push(check);
    Ok(held)
}

/// What can say what was run.
trait Ran {
    fn ran(&self) -> String;
}

impl Ran for String {
    fn ran(&self) -> String {
        self.clone()
    }
}

impl Ran for Fuel {
    fn ran(&self) -> String {
        format!("`configure` twice, {} fuel", self.0)
    }
}

/// Looks at laws in order, up to the first that is broken.
fn enter_all<S>(checks: &mut Vec<Check>, subject: &S, laws: &[Law<S>]) -> Result<(), EngineError> {
    for (name, law) in laws {
        if enter(checks, name, law(subject))?.is_none() {
            break;
        }
    }
    Ok(())
}

/// The same parameters and columns give the same descriptor, and the fuel that takes.
fn configures_alike(plugin: &Plugin) -> Result<Fuel, Stop> {
    let (again, fuel) = plugin.configured_again()?;
    let first = plugin.descriptor();
    if let Some(Excess { what, allowed, needed }) = excess(plugin, fuel, 0, None) {
        return Err(Finding {
            meaning: "`configure` needs more than half of the fuel that it has".to_owned(),
            hint: "do less in `configure`, or take smaller parameters".to_owned(),
            rows: Vec::new(),
            expected: Shown::new("half of the limit", format!("{allowed} {what}")),
            found: Shown::new("configure", format!("{needed} {what}")),
        }
        .into());
    }
    if again == *first {
        return Ok(fuel);
    }
    let text = |descriptor: &oast_core::Descriptor| {
        format!(
            "{} {}, takes {}, gives {}",
            descriptor.name,
            descriptor.version,
            descriptor.input.names_quoted(),
            descriptor.output.names_quoted()
        )
    };
    Err(Finding {
        meaning: "two fresh instances describe themselves differently for the same parameters and columns".to_owned(),
        hint: "the descriptor may depend on nothing but the arguments of `configure`".to_owned(),
        rows: Vec::new(),
        expected: Shown::new("the first instance", text(first)),
        found: Shown::new("the second instance", text(&again)),
    }
    .into())
}

/// The rows of a check.
struct Sampled {
    rows: Batch,
    /// How many of the first rows are the author's.
    samples: usize,
    /// Rows without edges, in order of time.
    ordinary: Batch,
    seed: TransformHash,
}

impl Sampled {
    fn new(plugin: &Plugin, samples: &Batch) -> Self {
        let schema = &plugin.descriptor().input;
        let seed = plugin.hash();
        let mut generator = Generator::new(schema, seed.as_bytes());
        let most = rows_max(schema);
        let samples = samples.slice(0, samples.rows.min(SAMPLES_MAX));
        let made_up = generator.rows(most.saturating_sub(samples.rows).max(ROWS_MIN));
        let mut rows = Batch::empty(schema);
        if samples.rows > 0 {
            rows.append(&samples);
        }
        rows.append(&made_up);
        let ordinary = generator.ordinary(most.min(96));
        Self { rows, samples: samples.rows, ordinary, seed }
    }
}

/// How many rows of this schema are run at most.
fn rows_max(schema: &Schema) -> usize {
    let bytes = schema.fields().iter().map(|field| match field.data_type {
        oast_core::DataType::Vector(width) => width as usize * 4,
        _ => 0,
    });
    (VECTOR_BYTES_MAX / bytes.sum::<usize>().max(1)).clamp(ROWS_MIN, ROWS_MAX)
}

/// One row run alone, as far as limits are concerned.
struct Cost<'a> {
    schema: &'a Schema,
    rows: &'a Batch,
    row: usize,
    fuel: Fuel,
    memory_peak: usize,
    failure: Option<&'a Failure>,
}

/// What a call needs too much of.
struct Excess {
    what: &'static str,
    allowed: u64,
    needed: String,
}

/// What a call needs more than its share of, if it does.
fn excess(plugin: &Plugin, fuel: Fuel, memory_peak: usize, failure: Option<&Failure>) -> Option<Excess> {
    let limits = plugin.limits();
    let fuel_max = limits.budget_fuel.0 / HEADROOM_SHARE;
    let memory_max = u64::from(limits.memory_bytes) / HEADROOM_SHARE;
    let (what, allowed, needed) = match failure {
        Some(Failure::OutOfFuel) => ("fuel", fuel_max, format!("more than {}", limits.budget_fuel.0)),
        Some(Failure::OutOfMemory) => ("bytes of memory", memory_max, format!("more than {}", limits.memory_bytes)),
        _ if fuel.0 > fuel_max => ("fuel", fuel_max, fuel.0.to_string()),
        _ if memory_peak as u64 > memory_max => ("bytes of memory", memory_max, memory_peak.to_string()),
        _ => return None,
    };
    Some(Excess { what, allowed, needed })
}

/// Makes sure that the dearest row leaves room.
fn leaves_headroom(plugin: &Plugin, cost: &Cost<'_>) -> Result<(), Stop> {
    let excess = excess(plugin, cost.fuel, cost.memory_peak, cost.failure);
    let Some(Excess { what, allowed, needed }) = excess else { return Ok(()) };
    Err(Finding {
        meaning: format!(
            "a row needs more than half of a limit, so that another version of the engine could make it fail: {what}"
        ),
        hint: "make the row cheaper, or refuse such rows early with a rejection".to_owned(),
        rows: vec![row_json(cost.schema, cost.rows, cost.row)],
        expected: Shown::new("half of the limit", format!("{allowed} {what}")),
        found: Shown::new("the row alone", format!("{needed} {what}")),
    }
    .into())
}

/// A row of the author's on which the plugin dies.
fn sample_dies(schema: &Schema, rows: &Batch, row: usize, failure: &Failure) -> Stop {
    Finding {
        meaning: "the plugin dies on a row that its author brought as a sample".to_owned(),
        hint: "a row that cannot be used is rejected, with a code and a message, and never a trap".to_owned(),
        rows: vec![row_json(schema, rows, row)],
        expected: Shown::new("a sample", "a value, a drop or a rejection"),
        found: Shown::new("the row alone", failure.to_string()),
    }
    .into()
}

/// What came back does not fit the descriptor.
fn malformed(schema: &Schema, rows: &Batch, row: usize, what: &str, output: &Schema) -> Stop {
    Finding {
        meaning: "what came back is not what the descriptor says".to_owned(),
        hint: "return as many rows as came in, with the columns, types and nulls that `configure` declared".to_owned(),
        rows: vec![row_json(schema, rows, row)],
        expected: Shown::new(
            "the descriptor",
            output.fields().iter().map(Field::to_string).collect::<Vec<_>>().join(", "),
        ),
        found: Shown::new("the row alone", what),
    }
    .into()
}

/// A batch in which something comes out as it does not elsewhere.
fn differs(
    meaning: &str,
    hint: &str,
    schema: &Schema,
    rows: &Batch,
    expected: (impl Into<String>, impl Into<String>),
    found: (impl Into<String>, impl Into<String>),
) -> Stop {
    Finding {
        meaning: meaning.to_owned(),
        hint: hint.to_owned(),
        rows: rows_json(schema, rows),
        expected: Shown::new(expected.0, expected.1),
        found: Shown::new(found.0, found.1),
    }
    .into()
}
