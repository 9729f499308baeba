//! The audit of a replay: a sample of the rows is run again, each alone, and must come to the same bits.
//!
//! Which rows are run again follows from the transform hash and from the place of the row: among the events, in the spine, or in
//! the slice of a bucket that is folded. So it is the same for any memory and number of threads, and for a replay that verifies
//! another.

use oast_core::{Batch, ComponentHash, Field, Limits, Outcome, Schema, TransformHash};
use oast_engine::{Aggregate, Applied, Component, EngineError, Finding, Plugin, Shown};
use oast_store::Catalog;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::{RuntimeError, json, samples::Sample};

/// One row in this many is run again.
const EVERY: u64 = 4096;

/// How many rows a call takes at most: those with which a row came to something else are kept.
const CALL_ROWS: usize = 4096;

/// Among the rows that one call folds into one state, how many are candidates: the rest of them are folded again as well.
pub(crate) const CANDIDATES: usize = 64;

/// The places of rows: their numbers among all that are replayed.
#[derive(Clone, Copy)]
pub(crate) struct Places<'a> {
    /// The place of the first event.
    pub(crate) first: u64,
    /// The number of the event that each row came from; without it, rows are events.
    pub(crate) kept: Option<&'a [u32]>,
}

impl Places<'_> {
    fn of(&self, row: usize) -> u64 {
        self.first + self.kept.map_or(row as u64, |kept| u64::from(kept[row]))
    }
}

/// Whether the row in this place is run again.
pub(crate) fn is_chosen(transform: TransformHash, place: u64) -> bool {
    let (seed, _) = transform.as_bytes().split_first_chunk().expect("a hash has more than eight bytes");
    let mut mixed = place.wrapping_add(u64::from_le_bytes(*seed));
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ mixed >> 31).is_multiple_of(EVERY)
}

/// Runs chosen rows of a transform's input again; returns how many.
pub(crate) fn transformed(
    plugin: &Plugin,
    input: &Batch,
    places: Places<'_>,
    applied: &Applied,
) -> Result<u64, RuntimeError> {
    let transform = plugin.transform().expect("what was applied is a transform");
    let mut audited = 0;
    for row in (0..input.rows).filter(|row| is_chosen(plugin.hash(), places.of(*row))) {
        let only = input.slice(row, row + 1);
        let alone = transform.apply(&only)?;
        audited += 1;
        if !same(applied, row, &alone) {
            let kept = applied.kept.binary_search(&(row as u32)).ok();
            let expected = Shown { run: "alone".to_owned(), output: outcome_text(plugin, &alone, 0, Some(0)) };
            let found =
                Shown { run: format!("among {} rows", input.rows), output: outcome_text(plugin, applied, row, kept) };
            let call = row / CALL_ROWS * CALL_ROWS;
            let together = input.slice(call, input.rows.min(call + CALL_ROWS));
            return Err(refused(
                plugin,
                &only,
                (expected, found),
                Conviction::of(plugin, &together, Company::default()),
            ));
        }
    }
    Ok(audited)
}

fn same(applied: &Applied, row: usize, alone: &Applied) -> bool {
    if alone.outcomes.get(0) != applied.outcomes.get(row) {
        return false;
    }
    let Ok(place) = applied.kept.binary_search(&(row as u32)) else { return true };
    applied.rows.columns.iter().zip(&alone.rows.columns).all(|(found, alone)| found.same_bits(place, alone, 0))
}

fn outcome_text(plugin: &Plugin, applied: &Applied, row: usize, kept: Option<usize>) -> String {
    match (applied.outcomes.get(row), kept) {
        (Some(Outcome::Keep), Some(at)) => {
            json::row_to_json(&plugin.descriptor().output, &applied.rows, at).to_string()
        }
        (Some(Outcome::Reject(rejection)), _) => format!("rejected, `{}`: {}", rejection.code, rejection.message),
        (Some(Outcome::Fail(failure)), _) => failure.to_string(),
        _ => "dropped".to_owned(),
    }
}

/// A run of rows that was folded into a state, and the state that came of it.
pub(crate) struct FoldedRun<'a> {
    pub(crate) plugin: &'a Plugin,
    pub(crate) before: &'a [u8],
    pub(crate) rows: Batch,
    pub(crate) after: &'a [u8],
}

/// The runs that were folded together, each into its state: what a run came out of may lie in its company.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Company {
    /// The states before the runs.
    pub(crate) before: Vec<Vec<u8>>,
    /// How many rows each has.
    pub(crate) counts: Vec<u32>,
}

/// Folds a run of rows again with the chosen one in a call of its own. If that comes to something else, `company` is what
/// convicts the component: the runs that were folded together, and their rows.
pub(crate) fn folded(
    run: &FoldedRun<'_>,
    chosen: usize,
    company: impl FnOnce() -> (Company, Batch),
) -> Result<(), RuntimeError> {
    let aggregate = run.plugin.aggregate().expect("what was folded is an aggregate");
    let before = fold(aggregate, run.before.to_vec(), &run.rows.slice(0, chosen))?;
    let only = run.rows.slice(chosen, chosen + 1);
    let after_it = fold(aggregate, before, &only)?;
    let after = fold(aggregate, after_it, &run.rows.slice(chosen + 1, run.rows.rows))?;
    if after == run.after {
        return Ok(());
    }
    let expected = Shown { run: "folded by a call of its own".to_owned(), output: state_text(&after) };
    let found = Shown { run: format!("folded in a run of {} rows", run.rows.rows), output: state_text(run.after) };
    let (company, rows) = company();
    Err(refused(run.plugin, &only, (expected, found), Conviction::of(run.plugin, &rows, company)))
}

fn state_text(state: &[u8]) -> String {
    let digits: String = state.iter().take(100).map(|byte| format!("{byte:02x}")).collect();
    format!("a state of {} bytes: {digits}{}", state.len(), if state.len() > 100 { "…" } else { "" })
}

fn fold(aggregate: Aggregate<'_>, state: Vec<u8>, rows: &Batch) -> Result<Vec<u8>, EngineError> {
    let updated = aggregate.update(&[&state], &[rows.rows as u32], rows)?;
    Ok(updated.states.get(0).to_vec())
}

fn refused(plugin: &Plugin, only: &Batch, (expected, found): (Shown, Shown), conviction: Conviction) -> RuntimeError {
    let descriptor = plugin.descriptor();
    let finding = Finding {
        meaning: "the dataset would not be what the plugin means, so the run ends here".to_owned(),
        hint: "the component is in quarantine: whatever uses it is refused until `oast plugin publish` of the same file has \
               checked it again, with these rows among others, or until a mended plugin takes its place (`oast apply --update`)"
            .to_owned(),
        rows: vec![json::row_to_json(&descriptor.input, only, 0).to_string()],
        expected,
        found,
    };
    let component = plugin.component().hash();
    let plugin = format!("{} {}", descriptor.name, descriptor.version);
    RuntimeError::Audit { plugin, component, finding: Box::new(finding), conviction: Box::new(conviction) }
}

/// The kind of record that keeps what a component was put into quarantine for.
const CONVICTION: &str = "conviction";

/// The rows with which a component came to something else in company, kept so that it is let go only when it no longer does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Conviction {
    /// A case as golden files have it.
    case: Json,
    /// The runs that an aggregate folded; none for a transform.
    company: Company,
}

impl Conviction {
    fn of(plugin: &Plugin, rows: &Batch, company: Company) -> Self {
        let columns = |schema: &Schema| -> Vec<[String; 2]> {
            let mark = |field: &Field| if field.nullable { "?" } else { "" };
            let pair = |field: &Field| [field.name.clone(), format!("{}{}", field.data_type, mark(field))];
            schema.fields().iter().map(pair).collect()
        };
        let row = |row: usize| -> Vec<Json> {
            rows.columns.iter().map(|column| json::to_json(column.get(row).as_ref())).collect()
        };
        let params: Json = serde_json::from_str(plugin.params()).expect("parameters are JSON");
        let case = json!({
            "name": "the rows of a replay",
            "params": params,
            "offered": columns(plugin.offered()),
            "input": columns(&plugin.descriptor().input),
            "output": columns(&plugin.descriptor().output),
            "rows": (0..rows.rows).map(row).collect::<Vec<_>>(),
        });
        Self { case, company }
    }

    /// Runs the rows together and each alone.
    fn try_again(self, component: &Component) -> Result<(), RuntimeError> {
        let stored = |source| RuntimeError::Stored { what: "the rows of a replay".to_owned(), source };
        let sample: Sample = serde_json::from_value(self.case).map_err(stored)?;
        let rows = sample.rows()?;
        let plugin = component.configure(&sample.params(), &sample.offered()?, Limits::default())?;
        match plugin.aggregate() {
            None => same_alone(&plugin, &rows),
            Some(aggregate) => same_row_by_row(&plugin, aggregate, self.company, &rows),
        }
    }
}

fn same_alone(plugin: &Plugin, rows: &Batch) -> Result<(), RuntimeError> {
    let transform = plugin.transform().expect("a plugin is a transform or an aggregate");
    let together = transform.apply(rows)?;
    for row in 0..rows.rows {
        let only = rows.slice(row, row + 1);
        let alone = transform.apply(&only)?;
        if !same(&together, row, &alone) {
            let kept = together.kept.binary_search(&(row as u32)).ok();
            let expected = Shown { run: "alone".to_owned(), output: outcome_text(plugin, &alone, 0, Some(0)) };
            let output = outcome_text(plugin, &together, row, kept);
            let found = Shown { run: format!("among {} rows", rows.rows), output };
            return Err(refused(plugin, &only, (expected, found), Conviction::of(plugin, rows, Company::default())));
        }
    }
    Ok(())
}

fn same_row_by_row(
    plugin: &Plugin,
    aggregate: Aggregate<'_>,
    company: Company,
    rows: &Batch,
) -> Result<(), RuntimeError> {
    let before: Vec<&[u8]> = company.before.iter().map(Vec::as_slice).collect();
    let together = aggregate.update(&before, &company.counts, rows)?;
    let mut row = 0;
    for ((before, count), after) in before.iter().zip(&company.counts).zip(together.states.iter()) {
        let start = row;
        let mut state = before.to_vec();
        while row < start + *count as usize {
            state = fold(aggregate, state, &rows.slice(row, row + 1))?;
            row += 1;
        }
        if state != after {
            let expected = Shown { run: "folded row by row".to_owned(), output: state_text(&state) };
            let run = format!("folded in a run of {count} rows, among {}", rows.rows);
            let found = Shown { run, output: state_text(after) };
            let only = rows.slice(start, start + 1);
            let conviction = Conviction::of(plugin, rows, company.clone());
            return Err(refused(plugin, &only, (expected, found), conviction));
        }
    }
    Ok(())
}

/// Keeps the rows that convicted a component.
pub(crate) fn keep(catalog: &Catalog, component: ComponentHash, conviction: &Conviction) -> Result<(), RuntimeError> {
    let record = json!({ "component": component, "conviction": conviction });
    let hash = blake3::hash(record.to_string().as_bytes()).to_hex();
    Ok(catalog.put_record(CONVICTION, &component.short(), &hash, &record)?)
}

/// Runs the rows that convicted a component again, as they ran then.
pub(crate) fn try_again(catalog: &Catalog, component: &Component) -> Result<(), RuntimeError> {
    let hash = json!(component.hash());
    for mut record in catalog.records(CONVICTION)?.into_iter().filter(|record| record.record["component"] == hash) {
        let stored = |source| RuntimeError::Stored { what: format!("conviction `{}`", record.hash), source };
        let conviction: Conviction = serde_json::from_value(record.record["conviction"].take()).map_err(stored)?;
        conviction.try_again(component)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_one_row_in_4096_is_chosen_and_each_transform_chooses_others() {
        let chosen = |name: &[u8]| -> Vec<u64> {
            (0..1_000_000).filter(|place| is_chosen(TransformHash::of(name), *place)).collect()
        };
        let (first, second) = (chosen(b"first"), chosen(b"second"));
        assert!((180..320).contains(&first.len()), "{}", first.len());
        assert_eq!(first, chosen(b"first"));
        assert!(first.iter().all(|place| !second.contains(place)) || first != second);
    }
}
