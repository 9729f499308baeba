//! The laws of an aggregate: a state does not depend on how its rows were cut into calls, and merging keeps what it promises.

mod merging;

use oast_core::{Batch, Blobs, Failure, Fuel, MergeLaw, Schema};

use super::{
    CheckedUse, Cost, FAILING_MAX, FUEL_MAX, Finding, HEADROOM_SHARE, Law, OutcomeCounts, ROWS_MIN, SMALL_BATCH,
    Sampled, Shown, Stop, differs, enter_all, excess,
    finding::{row_json, rows_json, states_text},
    law, leaves_headroom, malformed, sample_dies,
};
use crate::{Aggregate, EngineError, Groups, Plugin, aggregate::RUN_SHARE, invoke::FreshInstance};

/// The laws, in the order in which they are looked at.
fn laws<'p>() -> [Law<Folded<'p>>; 11] {
    [
        ("each row alone", Folded::samples_live),
        ("outputs as described", Folded::fits_descriptor),
        ("headroom", Folded::leaves_headroom),
        ("no rows", Folded::finishes_no_rows),
        ("update at once", Folded::at_once),
        ("update in parts", Folded::in_parts),
        ("several states in one call", Folded::several_states),
        ("a used instance", Folded::used_instance),
        ("merge and finish", Folded::merges_as_it_finishes),
        ("the promised merge", Folded::keeps_merge_law),
        ("the promised order", Folded::keeps_order_law),
    ]
}

const CUT_HINT: &str = "keep all that matters in the state, none of it in the instance, and fold rows strictly one after the \
                        other";

/// How many states before a row are kept, to show where two ways of folding part.
const PREFIXES: usize = 64;

const USED: &str = "a state depends on what the instance was used for: the plugin keeps something between calls";

const FINISH_HINT: &str =
    "merge from left to right, leave a single state as it is, and let an empty one change nothing";

/// Rows that were folded one by one, each in a fresh instance, through the saved state: what the aggregate means.
struct Folded<'p> {
    plugin: &'p Plugin,
    aggregate: Aggregate<'p>,
    sampled: Sampled,
    /// What came of each row.
    steps: Vec<Step>,
    /// The rows that are folded in other ways as well: all but most of those that fail, which leave no trace in a state.
    rows: Batch,
    /// The state before each of the first of those rows.
    prefixes: Vec<Vec<u8>>,
    /// The state after all of them.
    state: Vec<u8>,
    /// Which of the rows fail.
    failing: Vec<usize>,
    /// The dearest row of those that are folded in other ways.
    step_fuel_max: u64,
    /// What it took to finish the state, and to merge it with itself.
    finish: Step,
    merge: Step,
    state_bytes_max: usize,
    finished: Result<Batch, Failure>,
}

struct Step {
    failure: Option<Failure>,
    fuel: u64,
    memory_peak: usize,
}

pub(super) fn check(
    plugin: &Plugin,
    aggregate: Aggregate<'_>,
    sampled: Sampled,
    used: &mut CheckedUse,
) -> Result<(), EngineError> {
    let folded = Folded::run(plugin, aggregate, sampled, used.costs.configure_fuel)?;
    let failed = folded.steps.iter().filter(|step| step.failure.is_some()).count() as u64;
    let rows = folded.steps.len() as u64;
    used.outcomes = OutcomeCounts {
        rows,
        samples: folded.sampled.samples as u64,
        kept: rows - failed,
        failed,
        ..OutcomeCounts::default()
    };
    used.costs.take_rows(folded.steps.iter().map(|step| step.fuel).collect());
    used.costs.memory_bytes_max = folded.steps.iter().map(|step| step.memory_peak as u64).max().unwrap_or(0);
    used.costs.state_fuel_max = Some(folded.finish.fuel.max(folded.merge.fuel));
    used.costs.state_bytes_max = Some(folded.state_bytes_max as u64);
    enter_all(&mut used.checks, &folded, &laws())
}

impl<'p> Folded<'p> {
    /// Folds rows one by one, as many as their fuel allows.
    fn run(
        plugin: &'p Plugin,
        aggregate: Aggregate<'p>,
        mut sampled: Sampled,
        configure_fuel: u64,
    ) -> Result<Self, EngineError> {
        let (mut state, mut steps, mut travelling, mut prefixes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut failing, mut spent, mut step_fuel_max, mut state_bytes_max) = (Vec::new(), 0, 0, 0);
        for row in 0..sampled.rows.rows {
            let called = aggregate.call_update(&[&state], &[1], &sampled.rows.slice(row, row + 1))?;
            let fuel = called.consumed.0;
            let before = state.clone();
            let failure = match called.accepted {
                Ok(states) => {
                    state = states.get(0).to_vec();
                    None
                }
                Err(failure) => Some(failure),
            };
            if failure.is_none() || failing.len() < FAILING_MAX {
                if failure.is_some() {
                    failing.push(travelling.len());
                }
                if prefixes.len() < PREFIXES {
                    prefixes.push(before);
                }
                travelling.push(row as u32);
                step_fuel_max = step_fuel_max.max(fuel);
            }
            state_bytes_max = state_bytes_max.max(state.len());
            steps.push(Step { failure, fuel, memory_peak: called.memory_peak });
            spent += fuel + configure_fuel;
            if spent > FUEL_MAX && steps.len() >= ROWS_MIN.max(sampled.samples) {
                break;
            }
        }
        sampled.rows = sampled.rows.slice(0, steps.len());
        let (once, twice) = (Blobs::concat(&[&state]), Blobs::concat(&[&state, &state]));
        let finished = aggregate.call_finish(Groups::new(&once, &[1]))?;
        let merged = aggregate.call_merge(Groups::new(&twice, &[2]))?;
        Ok(Self {
            plugin,
            aggregate,
            rows: sampled.rows.take(&travelling),
            sampled,
            steps,
            prefixes,
            state,
            failing,
            step_fuel_max,
            finish: Step {
                failure: finished.accepted.as_ref().err().cloned(),
                fuel: finished.consumed.0,
                memory_peak: finished.memory_peak,
            },
            merge: Step { failure: merged.accepted.err(), fuel: merged.consumed.0, memory_peak: merged.memory_peak },
            state_bytes_max,
            finished: finished.accepted,
        })
    }

    fn schema(&self) -> &Schema {
        &self.plugin.descriptor().input
    }

    fn samples_live(&self) -> Result<String, Stop> {
        for (row, step) in self.steps.iter().enumerate().take(self.sampled.samples) {
            if let Some(failure) = &step.failure {
                return Err(sample_dies(self.schema(), &self.sampled.rows, row, failure));
            }
        }
        self.samples_finish()?;
        Ok(format!("{} rows into one state, {} of them the author's", self.steps.len(), self.sampled.samples))
    }

    /// The state of the author's rows merges and finishes.
    fn samples_finish(&self) -> Result<(), Stop> {
        let samples = self.sampled.rows.slice(0, self.sampled.samples);
        if samples.rows == 0 {
            return Ok(());
        }
        let state = self.fold(&samples)?;
        let merged = self.merge(&[&state, &state])?.err();
        let finished = self.finish(&[&state])?.err();
        for (call, failure) in [("merge", merged), ("finish", finished)] {
            if let Some(failure) = failure {
                return Err(Finding {
                    meaning: format!("`{call}` dies on the state of the rows that the author brought as samples"),
                    hint: "give null where there is no feature, and never trap".to_owned(),
                    rows: rows_json(self.schema(), &samples),
                    expected: Shown::new("the samples", "a state that merges and finishes"),
                    found: Shown::new(call, failure.to_string()),
                }
                .into());
            }
        }
        Ok(())
    }

    fn fits_descriptor(&self) -> Result<String, Stop> {
        let output = &self.plugin.descriptor().output;
        for (row, step) in self.steps.iter().enumerate() {
            if let Some(Failure::Malformed(what)) = &step.failure {
                return Err(malformed(self.schema(), &self.sampled.rows, row, what, output));
            }
        }
        if let Err(Failure::Malformed(what)) = &self.finished {
            return Err(malformed(self.schema(), &self.rows, 0, &format!("after this and other rows: {what}"), output));
        }
        Ok("types, nulls and counts of states and features".to_owned())
    }

    fn leaves_headroom(&self) -> Result<String, Stop> {
        for (row, step) in self.steps.iter().enumerate() {
            let cost = Cost {
                schema: self.schema(),
                rows: &self.sampled.rows,
                row,
                fuel: Fuel(step.fuel),
                memory_peak: step.memory_peak,
                failure: step.failure.as_ref(),
            };
            leaves_headroom(self.plugin, &cost)?;
        }
        for (call, step) in [("merge", &self.merge), ("finish", &self.finish)] {
            let failure = step.failure.as_ref();
            let Some(excess) = excess(self.plugin, Fuel(step.fuel), step.memory_peak, failure) else { continue };
            return Err(Finding {
                meaning: format!("`{call}` needs more than half of a limit: {}", excess.what),
                hint: "keep the state smaller, or its merge and finish cheaper".to_owned(),
                rows: rows_json(self.schema(), &self.rows),
                expected: Shown::new("half of the limit", format!("{} {}", excess.allowed, excess.what)),
                found: Shown::new(
                    format!("the state of {} rows", self.rows.rows),
                    format!("{} {}", excess.needed, excess.what),
                ),
            }
            .into());
        }
        Ok(format!("rows, merge and finish within 1/{HEADROOM_SHARE} of their fuel and memory"))
    }

    fn finishes_no_rows(&self) -> Result<String, Stop> {
        let (none, empty) = (self.finish(&[])?, self.finish(&[&[]])?);
        if none.is_err() {
            let expected = ("a window without events".to_owned(), "a row of features".to_owned());
            let found = ("the same".to_owned(), self.features_text(&none));
            return Err(self.broken(
                "the plugin dies on a window without events",
                "give null, or a count of 0",
                0,
                expected,
                found,
            ));
        }
        let meaning = "no state and the state before the first row finish differently";
        self.same_features(meaning, FINISH_HINT, 0, ("no state", &none), ("the state before the first row", &empty))?;
        Ok("no state, and the state before the first row".to_owned())
    }

    /// A run of rows gives the state that its rows give one by one, and no row of a run that is accepted within a share of the
    /// budget can have overrun the budget by itself.
    fn at_once(&self) -> Result<String, Stop> {
        for rows in (2..self.prefixes.len()).chain([self.rows.rows]) {
            let expected = self.prefixes.get(rows).filter(|_| rows < self.rows.rows).unwrap_or(&self.state);
            let found = self.fold(&self.rows.slice(0, rows))?;
            let runs = (format!("{rows} rows, one call each"), format!("{rows} rows in one call"));
            self.same_states("a state depends on how its rows were cut into calls", rows, runs, expected, &found)?;
        }
        let called = self.aggregate.call_update(&[&[]], &[self.rows.rows as u32], &self.rows)?;
        if called.accepted.is_ok() && self.step_fuel_max > called.consumed.0.saturating_mul(RUN_SHARE) {
            return Err(self.broken(
                "a row costs more by itself than a run of rows may hide, so that it could fail alone and pass in a run",
                "let the cost of a row not depend on what was folded before it in the same call",
                self.rows.rows,
                ("the dearest row alone".to_owned(), format!("at most {RUN_SHARE} times the fuel of the run")),
                ("the run".to_owned(), format!("{} fuel, and {} for the row", called.consumed.0, self.step_fuel_max)),
            ));
        }
        Ok(format!("{} rows in one call, and the first 2 to {}", self.rows.rows, self.prefixes.len().saturating_sub(1)))
    }

    fn in_parts(&self) -> Result<String, Stop> {
        let mut sizes = vec![SMALL_BATCH];
        sizes.extend([self.rows.rows / 3, self.rows.rows.saturating_sub(1)].into_iter().filter(|size| *size > 0));
        for size in &sizes {
            let mut state = Vec::new();
            for start in (0..self.rows.rows).step_by(*size) {
                let part = self.rows.slice(start, self.rows.rows.min(start + size));
                let updated = self.aggregate.update(&[&state], &[part.rows as u32], &part)?;
                state = updated.states.get(0).to_vec();
            }
            let runs = ("one row a call".to_owned(), format!("{size} rows a call, through the saved state"));
            let meaning = "a state depends on how its rows were cut into calls";
            self.same_states(meaning, self.rows.rows, runs, &self.state, &state)?;
        }
        Ok(format!("{} rows in calls of {}", self.rows.rows, spoken(&sizes)))
    }

    /// States that are folded, merged and finished in one call come out as each does alone.
    fn several_states(&self) -> Result<String, Stop> {
        let runs = self.runs();
        let alone: Vec<Vec<u8>> =
            runs.iter().map(|(start, end)| self.fold(&self.rows.slice(*start, *end))).collect::<Result<_, _>>()?;
        let counts: Vec<u32> = runs.iter().map(|(start, end)| (end - start) as u32).collect();
        let covered = self.rows.slice(0, runs.last().map_or(0, |(_, end)| *end));
        let updated = self.aggregate.update(&vec![&[][..]; runs.len()], &counts, &covered)?;
        for ((found, expected), (start, end)) in updated.states.iter().zip(&alone).zip(&runs) {
            let names = ("the rows alone in a call".to_owned(), format!("the same among {} states", runs.len()));
            let meaning = format!("a state depends on the other states in the call (rows {start} up to {end})");
            self.same_states(&meaning, *end, names, expected, found)?;
        }
        let groups: Vec<Vec<&[u8]>> =
            (0..alone.len()).map(|at| alone[at / 2..=at].iter().map(Vec::as_slice).collect()).collect();
        let counts: Vec<u32> = groups.iter().map(|group| group.len() as u32).collect();
        let finished = self.aggregate.finish(Groups::new(&Blobs::concat(&groups.concat()), &counts))?;
        for (at, group) in groups.iter().enumerate() {
            let found = match &finished.failures[at] {
                None => Ok(finished.rows.slice(at, at + 1)),
                Some(failure) => Err(failure.clone()),
            };
            let meaning = "features depend on the other states that are finished in the call";
            let expected = self.finish(group)?;
            self.same_features(meaning, CUT_HINT, covered.rows, ("alone", &expected), ("among others", &found))?;
        }
        Ok(format!("{} states of {} rows", runs.len(), covered.rows))
    }

    /// Neighbouring runs of 0, 1, 2 and so on rows.
    fn runs(&self) -> Vec<(usize, usize)> {
        let mut runs = vec![(0, 0)];
        while let Some((_, start)) = runs.last().copied()
            && runs.len() < 16
            && start + runs.len() <= self.rows.rows
        {
            runs.push((start, start + runs.len()));
        }
        runs
    }

    fn used_instance(&self) -> Result<String, Stop> {
        let mut instance = self.plugin.fresh_instance()?;
        let ends = self.prefixes.iter().skip(1).chain([&self.state]);
        let mut calls = 0;
        for (row, (before, after)) in self.prefixes.iter().zip(ends).enumerate() {
            // The last of the prefixes has its successor only where every row was kept as a prefix.
            if row + 1 == self.prefixes.len() && self.prefixes.len() < self.rows.rows {
                break;
            }
            let only = self.rows.slice(row, row + 1);
            if self.failing.contains(&row) {
                continue;
            }
            let found = self.aggregate.call_update_again(&mut instance, before, &only)?.accepted;
            self.same_when_used(row + 1, calls, after, found)?;
            calls += 1;
        }
        self.used_groups(&mut instance, calls)?;
        Ok(format!("{calls} rows, one by one, then merges and finishes, in one instance"))
    }

    /// An instance that has folded rows merges and finishes states as a fresh one does, and does so again.
    fn used_groups(&self, instance: &mut FreshInstance, calls: usize) -> Result<(), Stop> {
        let states = [&self.state[..]; 2];
        let both = Blobs::concat(&states);
        let groups = Groups::new(&both, &[2]);
        let (Ok(merged), Ok(finished)) = (self.merge(&states)?, self.finish(&states)?) else { return Ok(()) };
        for calls in [calls, calls + 2] {
            let found = self.aggregate.call_merge_again(instance, groups)?.accepted;
            self.same_when_used(self.rows.rows, calls, &merged, found)?;
            let found = self.aggregate.call_finish_again(instance, groups)?.accepted;
            let (expected, after) = (Ok(finished.clone()), format!("after {} other calls", calls + 1));
            let rows = self.rows.rows;
            self.same_features(USED, CUT_HINT, rows, ("in a fresh instance", &expected), (&after, &found))?;
        }
        Ok(())
    }

    /// Makes sure that an instance after so many calls came to the state that a fresh one comes to.
    fn same_when_used(
        &self,
        rows: usize,
        calls: usize,
        expected: &[u8],
        found: Result<Blobs, Failure>,
    ) -> Result<(), Stop> {
        let (fresh, after) = ("in a fresh instance".to_owned(), format!("after {calls} other calls"));
        match found {
            Ok(states) => self.same_states(USED, rows, (fresh, after), expected, states.get(0)),
            Err(failure) => {
                let expected = (fresh, "a state".to_owned());
                Err(self.broken(USED, CUT_HINT, rows, expected, (after, failure.to_string())))
            }
        }
    }

    /// The state of these rows.
    fn fold(&self, rows: &Batch) -> Result<Vec<u8>, EngineError> {
        let updated = self.aggregate.update(&[&[]], &[rows.rows as u32], rows)?;
        Ok(updated.states.get(0).to_vec())
    }

    fn merge(&self, states: &[&[u8]]) -> Result<Result<Vec<u8>, Failure>, EngineError> {
        let called = self.aggregate.call_merge(Groups::new(&Blobs::concat(states), &[states.len() as u32]))?;
        Ok(called.accepted.map(|merged| merged.get(0).to_vec()))
    }

    fn finish(&self, states: &[&[u8]]) -> Result<Result<Batch, Failure>, EngineError> {
        Ok(self.aggregate.call_finish(Groups::new(&Blobs::concat(states), &[states.len() as u32]))?.accepted)
    }

    fn features_text(&self, features: &Result<Batch, Failure>) -> String {
        match features {
            Ok(row) => row_json(&self.plugin.descriptor().output, row, 0),
            Err(failure) => failure.to_string(),
        }
    }

    /// Makes sure that two ways of folding the first `rows` rows gave the same state.
    fn same_states(
        &self,
        meaning: &str,
        rows: usize,
        runs: (String, String),
        expected: &[u8],
        found: &[u8],
    ) -> Result<(), Stop> {
        if expected == found {
            return Ok(());
        }
        let (expected, found) = states_text(expected, found);
        Err(self.broken(meaning, CUT_HINT, rows, (runs.0, expected), (runs.1, found)))
    }

    /// Makes sure that two ways of finishing the first `rows` rows gave the same features.
    fn same_features(
        &self,
        meaning: &str,
        hint: &str,
        rows: usize,
        expected: (&str, &Result<Batch, Failure>),
        found: (&str, &Result<Batch, Failure>),
    ) -> Result<(), Stop> {
        if same(MergeLaw::Exact, 1.0, expected.1, found.1) {
            return Ok(());
        }
        let shown = |(run, features): (&str, &Result<Batch, Failure>)| (run.to_owned(), self.features_text(features));
        Err(self.broken(meaning, hint, rows, shown(expected), shown(found)))
    }

    fn broken(
        &self,
        meaning: &str,
        hint: &str,
        rows: usize,
        expected: (String, String),
        found: (String, String),
    ) -> Stop {
        differs(meaning, hint, self.schema(), &self.rows.slice(0, rows), expected, found)
    }
}

/// Whether features are the same as far as the law asks; failures are the same only if they are equal.
fn same(merge_law: MergeLaw, scale: f64, left: &Result<Batch, Failure>, right: &Result<Batch, Failure>) -> bool {
    match (left, right) {
        (Ok(left), Ok(right)) => law::same(merge_law, scale, left, right),
        (Err(left), Err(right)) => left == right,
        _ => false,
    }
}

fn spoken(numbers: &[usize]) -> String {
    let texts: Vec<String> = numbers.iter().map(usize::to_string).collect();
    texts.join(", ")
}
