//! The calls of a golden case: rows in company and alone, folds in one call and row by row.

use oast_core::{Batch, Blobs, Outcome};
use oast_engine::{Aggregate, Applied, Groups, Plugin, Transform};
use serde_json::{Value as Json, json};

use super::{
    Run, list,
    rows::{batch, malformed, normal, row_json},
};
use crate::RuntimeError;

impl Run {
    /// The rows of a transform as one batch, and each row alone.
    pub(super) fn apply(&mut self, plugin: &Plugin, transform: Transform<'_>) -> Result<(), RuntimeError> {
        let rows = list(self.case.get("rows"), "rows")?.to_vec();
        let input = batch(&plugin.descriptor().input, &rows)?;
        let whole = transform.apply(&input)?;
        let got = outcomes(&whole);
        self.compare_rows(plugin, &rows, &whole, &got);
        let mut fuel = 0;
        for (row, in_company) in got.iter().enumerate() {
            let alone = transform.apply(&input.slice(row, row + 1))?;
            fuel += alone.consumed.0;
            let by_itself = &outcomes(&alone)[0];
            if !same(by_itself, in_company) {
                let (place, expected) = (format!("row {} alone", row + 1), format!("{in_company}, as in the batch"));
                self.fault(place, Some(rows[row].to_string()), expected, by_itself.to_string());
            }
        }
        self.consumed = vec![("as a batch", whole.consumed.0), ("row by row", fuel)];
        self.found.insert("expect".to_owned(), Json::Array(got));
        Ok(())
    }

    fn compare_rows(&mut self, plugin: &Plugin, rows: &[Json], whole: &Applied, got: &[Json]) {
        let expect = self.case.get("expect").and_then(Json::as_array).cloned().unwrap_or_default();
        for (row, got) in got.iter().enumerate() {
            let expected = expect.get(row).map(|expected| normal(&plugin.descriptor().output, expected).to_string());
            if expected.as_ref() != Some(&got.to_string()) {
                let got = match &whole.outcomes[row] {
                    Outcome::Reject(rejection) => format!("{got}: {}", rejection.message),
                    _ => got.to_string(),
                };
                let expected = expected.unwrap_or_else(|| "nothing".to_owned());
                let (place, input) = (format!("row {}", row + 1), Some(rows[row].to_string()));
                match &whole.outcomes[row] {
                    Outcome::Fail(_) => self.fault(place, input, expected, got),
                    _ => self.differ(place, input, expected, got),
                }
            }
        }
        if expect.len() > got.len() {
            let counts = [expect.len(), got.len()].map(|count| format!("{count} rows"));
            let [expected, got] = counts;
            self.differ("expect", None, expected, got);
        }
    }

    /// Every fold of an aggregate's case, and all rows into one state in one call and row by row.
    pub(super) fn fold(&mut self, plugin: &Plugin, aggregate: Aggregate<'_>) -> Result<(), RuntimeError> {
        let json_rows = list(self.case.get("rows"), "rows")?.to_vec();
        let rows = batch(&plugin.descriptor().input, &json_rows)?;
        let folds = list(self.case.get("folds"), "folds")?.to_vec();
        let (mut fuel, mut found) = (0, Vec::new());
        for fold in &folds {
            let splits = &fold["splits"];
            let (states, _) = self.states(aggregate, &rows, &run_lengths(splits, rows.rows)?)?;
            let (got, consumed) = finished(aggregate, &states)?;
            let expected = normal(&plugin.descriptor().output, &fold["expect"]);
            if !same(&expected, &got) {
                let (place, failed) = (format!("splits {splits}"), got.get("fail").is_some());
                match failed {
                    true => self.fault(place, None, expected.to_string(), got.to_string()),
                    false => self.differ(place, None, expected.to_string(), got.to_string()),
                }
            }
            self.compare_merged(aggregate, &states, splits, &got)?;
            fuel += consumed;
            found.push(json!({ "splits": splits, "expect": got }));
        }
        let (at_once, at_once_fuel) = self.states(aggregate, &rows, &[count(rows.rows)])?;
        let stepwise_fuel = self.fold_stepwise(aggregate, &rows, at_once.get(0))?;
        self.consumed =
            vec![("update in one call", at_once_fuel), ("update row by row", stepwise_fuel), ("finish", fuel)];
        self.found.insert("folds".to_owned(), Json::Array(found));
        Ok(())
    }

    /// Finishing merged states must give what finishing them as a run gives.
    fn compare_merged(
        &mut self,
        aggregate: Aggregate<'_>,
        states: &Blobs,
        splits: &Json,
        expected: &Json,
    ) -> Result<(), RuntimeError> {
        let merged = aggregate.merge(Groups::new(states, &[states.len() as u32]))?;
        let got = match merged.failures.first() {
            None => finished(aggregate, &merged.states)?.0,
            Some((_, failure)) => json!({ "fail": failure.to_string() }),
        };
        if !same(&got, expected) {
            let place = format!("splits {splits}, merged before the end");
            self.fault(place, None, expected.to_string(), got.to_string());
        }
        Ok(())
    }

    /// One new state for each run of rows, and the fuel. A row that the plugin fails on is a difference.
    fn states(&mut self, aggregate: Aggregate<'_>, rows: &Batch, runs: &[u32]) -> Result<(Blobs, u64), RuntimeError> {
        let updated = aggregate.update(&vec![&[][..]; runs.len()], runs, rows)?;
        for (row, failure) in &updated.failures {
            let input = row_json(rows, *row as usize).to_string();
            self.fault(format!("row {}", row + 1), Some(input), "a row that folds".to_owned(), failure.to_string());
        }
        Ok((updated.states, updated.consumed.0))
    }

    /// Folds the rows by a call each, through the returned state, which must come to the same bytes; gives the fuel.
    fn fold_stepwise(&mut self, aggregate: Aggregate<'_>, rows: &Batch, at_once: &[u8]) -> Result<u64, RuntimeError> {
        let (mut state, mut fuel) = (Vec::new(), 0);
        for row in 0..rows.rows {
            let updated = aggregate.update(&[&state], &[1], &rows.slice(row, row + 1))?;
            fuel += updated.consumed.0;
            state = updated.states.get(0).to_vec();
        }
        if state != at_once {
            let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            self.fault("the state, row by row", None, hex(at_once), hex(&state));
        }
        Ok(fuel)
    }
}

/// Compares as text, which tells 0 from -0.
fn same(one: &Json, other: &Json) -> bool {
    let [one, other] = [one, other].map(Json::to_string);
    one == other
}

/// What became of each row of a batch, as golden files say it.
fn outcomes(applied: &Applied) -> Vec<Json> {
    let mut kept = 0;
    let mut json = |outcome: &Outcome| match outcome {
        Outcome::Keep => {
            kept += 1;
            row_json(&applied.rows, kept - 1)
        }
        Outcome::Drop => Json::from("drop"),
        Outcome::Reject(rejection) => json!({ "reject": rejection.code }),
        Outcome::Fail(failure) => json!({ "fail": failure.to_string() }),
    };
    applied.outcomes.iter().map(&mut json).collect()
}

/// The features of one run of states, and the fuel.
fn finished(aggregate: Aggregate<'_>, states: &Blobs) -> Result<(Json, u64), RuntimeError> {
    let finished = aggregate.finish(Groups::new(states, &[states.len() as u32]))?;
    let json = match &finished.failures[0] {
        Some(failure) => json!({ "fail": failure.to_string() }),
        None => row_json(&finished.rows, 0),
    };
    Ok((json, finished.consumed.0))
}

fn run_lengths(splits: &Json, rows: usize) -> Result<Vec<u32>, RuntimeError> {
    let wrong = || malformed(format!("`splits` are row numbers in ascending order up to {rows}, not `{splits}`"));
    let mut start = 0;
    let mut lengths = Vec::new();
    let ends: Option<Vec<usize>> =
        list(Some(splits), "splits")?.iter().map(|split| usize::try_from(split.as_u64()?).ok()).collect();
    for end in ends.ok_or_else(wrong)?.into_iter().chain([rows]) {
        if end < start || end > rows {
            return Err(wrong());
        }
        lengths.push(count(end - start));
        start = end;
    }
    Ok(lengths)
}

fn count(rows: usize) -> u32 {
    u32::try_from(rows).expect("a golden file has fewer rows than there are numbers")
}
