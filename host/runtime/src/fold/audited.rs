use std::borrow::Cow;

use oast_core::{Batch, Blobs};

use super::{Fold, Work};
use crate::{
    RuntimeError,
    audit::{self, Company, FoldedRun},
    view::{View, ViewAggregate},
};

impl<'v> Fold<'v> {
    /// A step of a replay over all its events, which folds some rows again.
    pub(crate) fn audited(view: &'v View, events: &'v Batch) -> Self {
        Self { rows: Cow::Borrowed(events), is_audited: true, ..Self::new(view) }
    }

    /// Folds runs of rows again that have a chosen row among their first; returns how many.
    pub(super) fn audit(
        &self,
        aggregate: &ViewAggregate,
        nodes: &[usize],
        states: &Blobs,
    ) -> Result<u64, RuntimeError> {
        if !self.is_audited {
            return Ok(0);
        }
        let plugin = &aggregate.bound.plugin;
        let is_chosen = |row: u32| audit::is_chosen(plugin.hash(), u64::from(row));
        let mut audited = 0;
        for (node, after) in nodes.iter().zip(states.iter()) {
            let Work::Update { previous, rows: run } = &self.nodes[*node].work else { continue };
            let candidates = run.iter(&self.links).take(audit::CANDIDATES);
            let Some(chosen) = candidates.into_iter().position(is_chosen) else { continue };
            let rows: Vec<u32> = run.iter(&self.links).collect();
            let columns = aggregate.bound.input.iter().map(|column| self.rows.columns[*column].take(&rows)).collect();
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
            let Work::Update { previous, rows: run } = &self.nodes[*node].work else { continue };
            let before = previous.as_ref().map_or(&[][..], |state| self.bytes(state).unwrap_or(&[]));
            company.before.push(before.to_vec());
            company.counts.push(run.rows);
            numbers.extend(run.iter(&self.links));
        }
        let columns = aggregate.bound.input.iter().map(|column| self.rows.columns[*column].take(&numbers)).collect();
        (company, Batch { rows: numbers.len(), columns })
    }
}
