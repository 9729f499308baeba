//! The laws of a transform: a row's outcome does not depend on its company, its place or the instance.

use oast_core::{Batch, Failure, Outcome, Schema};

use super::{
    CheckedUse, Cost, FAILING_MAX, FUEL_MAX, HEADROOM_SHARE, Law, OutcomeCounts, ROWS_MIN, SMALL_BATCH, Sampled, Stop,
    differs, enter_all, finding::outcome_text, leaves_headroom, malformed, rows::permutation, sample_dies,
};
use crate::{EngineError, Outcomes, Plugin, Transform, transform::Output};

/// The laws, in the order in which they are looked at.
fn laws<'p>() -> [Law<Alone<'p>>; 8] {
    [
        ("each row alone", Alone::samples_live),
        ("outputs as described", Alone::fits_descriptor),
        ("headroom", Alone::leaves_headroom),
        ("no rows", Alone::takes_no_rows),
        ("small batches", Alone::small_batches),
        ("one batch", Alone::one_batch),
        ("other orders", Alone::permuted),
        ("a used instance", Alone::used_instance),
    ]
}

const COMPANY: &str = "a row has another outcome in company than alone: the plugin looks beyond the row it is given";
const COMPANY_HINT: &str = "compute every row from its own columns; keep nothing from one row to the next";

/// Rows that were each run alone, in a fresh instance: what the transform means.
struct Alone<'p> {
    plugin: &'p Plugin,
    transform: Transform<'p>,
    sampled: Sampled,
    seen: Vec<Seen>,
    /// The rows that go into batches: all that live, and a few that do not.
    travelling: Vec<u32>,
}

/// What came of one row.
struct Seen {
    outcome: Outcome,
    /// The row that came back, if it was kept.
    row: Option<Batch>,
    fuel: u64,
    memory_peak: usize,
}

pub(super) fn check(
    plugin: &Plugin,
    transform: Transform<'_>,
    sampled: Sampled,
    used: &mut CheckedUse,
) -> Result<(), EngineError> {
    let alone = Alone::run(plugin, transform, sampled, used.costs.configure_fuel)?;
    used.outcomes = alone.counts();
    used.costs.take_rows(alone.seen.iter().map(|seen| seen.fuel).collect());
    used.costs.memory_bytes_max = alone.seen.iter().map(|seen| seen.memory_peak as u64).max().unwrap_or(0);
    enter_all(&mut used.checks, &alone, &laws())
}

impl<'p> Alone<'p> {
    /// Runs rows one by one, as many as their fuel allows.
    fn run(
        plugin: &'p Plugin,
        transform: Transform<'p>,
        mut sampled: Sampled,
        configure_fuel: u64,
    ) -> Result<Self, EngineError> {
        let (mut seen, mut travelling, mut failing, mut spent) = (Vec::new(), Vec::new(), 0, 0);
        for row in 0..sampled.rows.rows {
            let called = transform.call(&sampled.rows.slice(row, row + 1))?;
            let (fuel, memory_peak) = (called.consumed.0, called.memory_peak);
            let (outcome, output) = match called.accepted {
                Ok(output) => (output.outcomes.get(0).cloned().unwrap_or(Outcome::Drop), Some(output.rows)),
                Err(failure) => (failure.into(), None),
            };
            let fails = matches!(outcome, Outcome::Fail(_));
            failing += usize::from(fails);
            if !fails || failing <= FAILING_MAX {
                travelling.push(row as u32);
            }
            let kept = output.filter(|_| outcome == Outcome::Keep);
            seen.push(Seen { outcome, row: kept, fuel, memory_peak });
            spent += fuel + configure_fuel;
            if spent > FUEL_MAX && seen.len() >= ROWS_MIN.max(sampled.samples) {
                break;
            }
        }
        sampled.rows = sampled.rows.slice(0, seen.len());
        Ok(Self { plugin, transform, sampled, seen, travelling })
    }

    fn schema(&self) -> &Schema {
        &self.plugin.descriptor().input
    }

    fn counts(&self) -> OutcomeCounts {
        let mut counts = OutcomeCounts {
            rows: self.seen.len() as u64,
            samples: self.sampled.samples as u64,
            ..OutcomeCounts::default()
        };
        for seen in &self.seen {
            match seen.outcome {
                Outcome::Keep => counts.kept += 1,
                Outcome::Drop => counts.dropped += 1,
                Outcome::Reject(_) => counts.rejected += 1,
                Outcome::Fail(_) => counts.failed += 1,
            }
        }
        counts
    }

    fn samples_live(&self) -> Result<String, Stop> {
        for (row, seen) in self.seen.iter().enumerate().take(self.sampled.samples) {
            if let Outcome::Fail(failure) = &seen.outcome {
                return Err(sample_dies(self.schema(), &self.sampled.rows, row, failure));
            }
        }
        Ok(format!("{} rows, {} of them the author's", self.seen.len(), self.sampled.samples))
    }

    fn fits_descriptor(&self) -> Result<String, Stop> {
        for (row, seen) in self.seen.iter().enumerate() {
            if let Outcome::Fail(failure) = &seen.outcome
                && let Failure::Malformed(what) = &**failure
            {
                let output = &self.plugin.descriptor().output;
                return Err(malformed(self.schema(), &self.sampled.rows, row, what, output));
            }
        }
        let kept = self.seen.iter().filter(|seen| seen.row.is_some()).count();
        Ok(format!("types, nulls and counts of {kept} rows that were kept"))
    }

    fn leaves_headroom(&self) -> Result<String, Stop> {
        for (row, seen) in self.seen.iter().enumerate() {
            let failure = if let Outcome::Fail(failure) = &seen.outcome { Some(&**failure) } else { None };
            let cost = Cost {
                schema: self.schema(),
                rows: &self.sampled.rows,
                row,
                fuel: oast_core::Fuel(seen.fuel),
                memory_peak: seen.memory_peak,
                failure,
            };
            leaves_headroom(self.plugin, &cost)?;
        }
        Ok(format!("every row within 1/{HEADROOM_SHARE} of its fuel and memory"))
    }

    fn takes_no_rows(&self) -> Result<String, Stop> {
        let none = Batch::empty(self.schema());
        let trouble = match self.transform.call(&none)?.accepted {
            Ok(_) => return Ok("a batch without rows".to_owned()),
            Err(failure) => failure.to_string(),
        };
        Err(differs(
            "the plugin dies on a batch without rows",
            "return an empty batch for an empty batch",
            self.schema(),
            &none,
            ("a batch without rows", "a batch without rows"),
            ("the batch", trouble),
        ))
    }

    fn small_batches(&self) -> Result<String, Stop> {
        for numbers in self.travelling.chunks(SMALL_BATCH) {
            self.compare(numbers)?;
        }
        Ok(format!("{} rows in batches of {SMALL_BATCH}", self.travelling.len()))
    }

    fn one_batch(&self) -> Result<String, Stop> {
        self.compare(&self.travelling)?;
        Ok(format!("{} rows in one batch", self.travelling.len()))
    }

    fn permuted(&self) -> Result<String, Stop> {
        let order = permutation(self.travelling.len(), self.sampled.seed.as_bytes());
        let numbers: Vec<u32> = order.iter().map(|at| self.travelling[*at as usize]).collect();
        self.compare(&numbers)?;
        let backwards: Vec<u32> = self.travelling.iter().rev().copied().collect();
        for numbers in backwards.chunks(SMALL_BATCH * SMALL_BATCH) {
            self.compare(numbers)?;
        }
        Ok(format!(
            "{} rows shuffled in one batch, and backwards in batches of {}",
            numbers.len(),
            SMALL_BATCH * SMALL_BATCH
        ))
    }

    /// Runs rows together and compares each with what it came to alone. A call that is not accepted is cut in two, as the
    /// engine does it.
    fn compare(&self, numbers: &[u32]) -> Result<(), Stop> {
        if numbers.is_empty() {
            return Ok(());
        }
        let output = match self.transform.call(&self.sampled.rows.take(numbers))?.accepted {
            Ok(output) => output,
            Err(failure) if numbers.len() == 1 => failed(failure),
            Err(_) => {
                let (left, right) = numbers.split_at(numbers.len() / 2);
                self.compare(left)?;
                return self.compare(right);
            }
        };
        match self.first_other(numbers, &output) {
            None => Ok(()),
            Some(at) => Err(self.other_in_company(self.shrunk(numbers, at, output)?)),
        }
    }

    /// The first row of a call that came to something else than alone.
    fn first_other(&self, numbers: &[u32], output: &Output) -> Option<usize> {
        let same = |(at, number): (usize, &u32)| {
            let seen = &self.seen[*number as usize];
            let same_bits = |alone: &Batch| {
                alone.columns.iter().zip(&output.rows.columns).all(|(alone, found)| alone.same_bits(0, found, at))
            };
            seen.outcome == output.outcomes[at] && seen.row.as_ref().is_none_or(same_bits)
        };
        (0..numbers.len()).find(|at| !same((*at, &numbers[*at])))
    }

    /// The smallest part of a batch, found by halving, in which a row still comes to something else.
    fn shrunk(&self, numbers: &[u32], at: usize, output: Output) -> Result<(Vec<u32>, usize, Output), Stop> {
        let mut smallest = (numbers.to_vec(), at, output);
        while smallest.0.len() > 1 {
            let (left, right) = smallest.0.split_at(smallest.0.len() / 2);
            let half = match self.other_within(left)? {
                Some(half) => Some(half),
                None => self.other_within(right)?,
            };
            let Some(half) = half else { break };
            smallest = half;
        }
        Ok(smallest)
    }

    fn other_within(&self, numbers: &[u32]) -> Result<Option<(Vec<u32>, usize, Output)>, EngineError> {
        let accepted = self.transform.call(&self.sampled.rows.take(numbers))?.accepted;
        let other = |output: Output| self.first_other(numbers, &output).map(|at| (numbers.to_vec(), at, output));
        Ok(accepted.ok().and_then(other))
    }

    fn other_in_company(&self, (numbers, at, output): (Vec<u32>, usize, Output)) -> Stop {
        let schema = &self.plugin.descriptor().output;
        let seen = &self.seen[numbers[at] as usize];
        differs(
            COMPANY,
            COMPANY_HINT,
            self.schema(),
            &self.sampled.rows.take(&numbers),
            (format!("row {} alone", at + 1), outcome_text(&seen.outcome, schema, seen.row.as_ref(), 0)),
            (
                format!("the same row in a batch of {}", numbers.len()),
                outcome_text(&output.outcomes[at], schema, Some(&output.rows), at),
            ),
        )
    }

    /// Calls one instance again and again, as replays do.
    fn used_instance(&self) -> Result<String, Stop> {
        let living = |number: &&u32| !matches!(self.seen[**number as usize].outcome, Outcome::Fail(_));
        let numbers: Vec<u32> = self.travelling.iter().filter(living).copied().collect();
        let mut instance = self.plugin.fresh_instance()?;
        for (calls, number) in numbers.iter().enumerate() {
            let row = self.sampled.rows.take(&[*number]);
            let accepted = self.transform.call_again(&mut instance, &row)?.accepted;
            let output = accepted.unwrap_or_else(failed);
            if self.first_other(&[*number], &output).is_none() {
                continue;
            }
            let (schema, seen) = (&self.plugin.descriptor().output, &self.seen[*number as usize]);
            return Err(differs(
                "a row has another outcome in an instance that was used before: the plugin keeps something between calls",
                COMPANY_HINT,
                self.schema(),
                &row,
                ("in a fresh instance", outcome_text(&seen.outcome, schema, seen.row.as_ref(), 0)),
                (
                    format!("after {calls} other calls"),
                    outcome_text(&output.outcomes[0], schema, Some(&output.rows), 0),
                ),
            ));
        }
        Ok(format!("{} rows, one by one, in one instance", numbers.len()))
    }
}

/// What comes of a single row on which the plugin died.
fn failed(failure: Failure) -> Output {
    Output { outcomes: Outcomes::from_iter([failure.into()]), rows: Batch::default() }
}
