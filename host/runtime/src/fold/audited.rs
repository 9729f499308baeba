use oast_core::Batch;

use super::{Fold, Work};
use crate::{
    RuntimeError,
    audit::{self, Company, FoldedRun},
    view::{View, ViewAggregate},
};

impl<'v> Fold<'v> {
    /// A step of a replay, which folds some rows again. Rows that are added are placed by [`Self::place_rows`].
    pub(crate) fn audited(view: &'v View) -> Self {
        Self { places: Some(Vec::new()), ..Self::new(view) }
    }

    /// Says where the rows that were just added stand among all events.
    pub(crate) fn place_rows(&mut self, places: &[u32]) {
        if let Some(known) = &mut self.places {
            known.extend_from_slice(places);
        }
    }

    /// Folds runs of rows again that have a chosen row among their first; returns how many.
    pub(super) fn audit(
        &self,
        aggregate: &ViewAggregate,
        nodes: &[usize],
        states: &[Vec<u8>],
    ) -> Result<u64, RuntimeError> {
        let Some(places) = &self.places else { return Ok(0) };
        let plugin = &aggregate.bound.plugin;
        let is_chosen = |row: &u32| audit::is_chosen(plugin.hash(), u64::from(places[*row as usize]));
        let mut audited = 0;
        for (node, after) in nodes.iter().zip(states) {
            let Work::Update { previous, rows } = &self.nodes[*node].work else { continue };
            let Some(chosen) = rows.iter().take(audit::CANDIDATES).position(is_chosen) else { continue };
            let columns = aggregate.bound.input.iter().map(|column| self.rows.columns[*column].take(rows)).collect();
            let before = previous.as_ref().map_or(&[][..], |state| self.bytes(state).unwrap_or(&[]));
            let rows = Batch { rows: rows.len(), columns };
            let run = FoldedRun { plugin, before, rows, after };
            audit::folded(&run, chosen, || self.company(aggregate, nodes))?;
            audited += 1;
        }
        Ok(audited)
    }

    /// What was folded together: the states before, and the rows of each.
    fn company(&self, aggregate: &ViewAggregate, nodes: &[usize]) -> (Company, Batch) {
        let (mut company, mut numbers) = (Company::default(), Vec::new());
        for node in nodes {
            let Work::Update { previous, rows } = &self.nodes[*node].work else { continue };
            let before = previous.as_ref().map_or(&[][..], |state| self.bytes(state).unwrap_or(&[]));
            company.before.push(before.to_vec());
            company.counts.push(rows.len() as u32);
            numbers.extend_from_slice(rows);
        }
        let columns = aggregate.bound.input.iter().map(|column| self.rows.columns[*column].take(&numbers)).collect();
        (company, Batch { rows: numbers.len(), columns })
    }
}
