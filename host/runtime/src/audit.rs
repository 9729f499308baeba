//! The audit of a replay: a sample of the rows is run again, each alone, and must come to the same bits.
//!
//! Which rows are run again follows from the transform hash and from the place of the row among the events, or in the spine.
//! So it is the same for any number of threads and any way of cutting the work, and for a replay that verifies another.

use oast_core::{Batch, Outcome, TransformHash};
use oast_engine::{Aggregate, Applied, EngineError, Finding, Plugin, Shown};

use crate::{RuntimeError, json};

/// One row in this many is run again.
const EVERY: u64 = 4096;

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
            return Err(refused(plugin, &only, expected, found));
        }
    }
    Ok(audited)
}

fn same(applied: &Applied, row: usize, alone: &Applied) -> bool {
    if alone.outcomes.first() != applied.outcomes.get(row) {
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

/// Folds a run of rows again with the chosen one in a call of its own.
pub(crate) fn folded(run: &FoldedRun<'_>, chosen: usize) -> Result<(), RuntimeError> {
    let aggregate = run.plugin.aggregate().expect("what was folded is an aggregate");
    let before = fold(aggregate, run.before.to_vec(), &run.rows.slice(0, chosen))?;
    let only = run.rows.slice(chosen, chosen + 1);
    let after_it = fold(aggregate, before, &only)?;
    let after = fold(aggregate, after_it, &run.rows.slice(chosen + 1, run.rows.rows))?;
    if after == run.after {
        return Ok(());
    }
    let text = |state: &[u8]| {
        let digits: String = state.iter().take(100).map(|byte| format!("{byte:02x}")).collect();
        format!("a state of {} bytes: {digits}{}", state.len(), if state.len() > 100 { "…" } else { "" })
    };
    let expected = Shown { run: "folded by a call of its own".to_owned(), output: text(&after) };
    let found = Shown { run: format!("folded in a run of {} rows", run.rows.rows), output: text(run.after) };
    Err(refused(run.plugin, &only, expected, found))
}

fn fold(aggregate: Aggregate<'_>, state: Vec<u8>, rows: &Batch) -> Result<Vec<u8>, EngineError> {
    let updated = aggregate.update(&[&state], &[rows.rows as u32], rows)?;
    Ok(updated.states.into_iter().next().unwrap_or(state))
}

fn refused(plugin: &Plugin, only: &Batch, expected: Shown, found: Shown) -> RuntimeError {
    let descriptor = plugin.descriptor();
    let finding = Finding {
        meaning: "the dataset would not be what the plugin means, so the run ends here".to_owned(),
        hint: "the component is in quarantine: whatever uses it is refused until `oast plugin publish` of the same file has \
               checked it again, or until a mended plugin takes its place (`oast apply --update`)"
            .to_owned(),
        rows: vec![json::row_to_json(&descriptor.input, only, 0).to_string()],
        expected,
        found,
    };
    let component = plugin.component().hash();
    let plugin = format!("{} {}", descriptor.name, descriptor.version);
    RuntimeError::Audit { plugin, component, finding: Box::new(finding) }
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
