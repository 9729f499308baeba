use std::{ops::Range, sync::Arc};

use oast_core::{Batch, Column, ColumnBuilder, Failure, Status};
use oast_engine::EngineError;

use super::{Computed, Features, Fold, State, Work};
use crate::{
    RuntimeError,
    view::{Shape, ViewAggregate},
};

impl Fold<'_> {
    /// Computes all that is waiting, and answers the lookups. Nodes keep their values until [`Self::clear`].
    pub(crate) fn evaluate(&mut self) -> Result<Features, RuntimeError> {
        let mut failed_rows = 0;
        if let Shape::Aggregates { aggregates, .. } = &self.view.shape {
            for level in self.levels() {
                failed_rows += self.evaluate_level(aggregates, &level)?;
            }
        }
        let mut features = match &self.view.shape {
            Shape::Aggregates { aggregates, .. } => self.finish(aggregates)?,
            Shape::Latest(_) => self.read_latest(),
        };
        features.failed_rows = failed_rows;
        features.audited_rows = std::mem::take(&mut self.audited_rows);
        features.newest = self.lookups.iter().map(|lookup| lookup.newest).collect();
        self.lookups.clear();
        self.windows.clear();
        Ok(features)
    }

    /// The nodes still to be computed, by depth.
    fn levels(&self) -> Vec<Vec<usize>> {
        let mut levels: Vec<Vec<usize>> = Vec::new();
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.value.is_none()) {
            if levels.len() <= node.depth {
                levels.resize_with(node.depth + 1, Vec::new);
            }
            levels[node.depth].push(index);
        }
        levels
    }

    fn evaluate_level(&mut self, aggregates: &[ViewAggregate], level: &[usize]) -> Result<u64, RuntimeError> {
        let mut failed_rows = 0;
        for (index, aggregate) in aggregates.iter().enumerate() {
            let of_kind = |update: bool| {
                let wanted = |node: &&usize| {
                    let node = &self.nodes[**node];
                    node.aggregate == index && matches!(node.work, Work::Update { .. }) == update
                };
                level.iter().filter(wanted).copied().collect::<Vec<usize>>()
            };
            let (updates, merges) = (of_kind(true), of_kind(false));
            let updates = self.pass_failures_on(updates);
            failed_rows += self.update(aggregate, &updates)?;
            self.merge(aggregate, &merges)?;
        }
        Ok(failed_rows)
    }

    /// What is folded into a state that a plugin failed to merge fails with it; returns the others. Such a state is that of a
    /// session which two were joined to: tiles are never merged before they are folded into.
    fn pass_failures_on(&mut self, nodes: Vec<usize>) -> Vec<usize> {
        let (mut sound, mut failed) = (Vec::with_capacity(nodes.len()), Vec::new());
        for node in nodes {
            let before = match &self.nodes[node].work {
                Work::Update { previous: Some(previous), .. } => self.bytes(previous).err(),
                Work::Update { previous: None, .. } | Work::Merge(_) => None,
            };
            match before {
                None => sound.push(node),
                Some(failure) => failed.push((node, failure)),
            }
        }
        for (node, failure) in failed {
            self.nodes[node].value = Some(Computed::Failed(failure));
        }
        sound
    }

    fn update(&mut self, aggregate: &ViewAggregate, nodes: &[usize]) -> Result<u64, RuntimeError> {
        if nodes.is_empty() {
            return Ok(0);
        }
        let (mut states, mut group_rows, mut rows): (Vec<&[u8]>, Vec<u32>, Vec<u32>) = Default::default();
        for node in nodes {
            let Work::Update { previous, rows: run } = &self.nodes[*node].work else { continue };
            // A row that fails leaves its state as it was, and states that failed before are not among these.
            states.push(previous.as_ref().map_or(&[], |state| self.bytes(state).unwrap_or(&[])));
            group_rows.push(run.rows);
            rows.extend(run.iter(&self.links));
        }
        let input = aggregate.bound.input.iter().map(|column| self.rows.columns[*column].take(&rows)).collect();
        let updated = aggregate.plugin().update(&states, &group_rows, &Batch { rows: rows.len(), columns: input })?;
        self.audited_rows += self.audit(aggregate, nodes, &updated.states)?;
        for (node, state) in nodes.iter().zip(updated.states) {
            self.nodes[*node].value = Some(self.keep(&state));
        }
        Ok(updated.failures.len() as u64)
    }

    /// Takes the bytes of a state in.
    fn keep(&mut self, state: &[u8]) -> Computed {
        let first = self.values.len();
        self.values.extend_from_slice(state);
        Computed::Bytes(first..self.values.len())
    }

    fn merge(&mut self, aggregate: &ViewAggregate, nodes: &[usize]) -> Result<(), EngineError> {
        let mut groups: Vec<Vec<&[u8]>> = Vec::new();
        let mut sound = Vec::new();
        let mut failed = Vec::new();
        for node in nodes {
            let Work::Merge(children) = &self.nodes[*node].work else { continue };
            match self.all_bytes(children.clone()) {
                Ok(states) => {
                    groups.push(states);
                    sound.push(*node);
                }
                Err(failure) => failed.push((*node, failure)),
            }
        }
        let merged = aggregate.plugin().merge(&groups)?;
        for (node, state) in sound.into_iter().zip(merged) {
            self.nodes[node].value = Some(match state {
                Ok(state) => self.keep(&state),
                Err(failure) => Computed::Failed(Arc::new(failure)),
            });
        }
        for (node, failure) in failed {
            self.nodes[node].value = Some(Computed::Failed(failure));
        }
        Ok(())
    }

    /// The bytes of a state whose node has been computed.
    pub(super) fn bytes<'s>(&'s self, state: &'s State) -> Result<&'s [u8], Arc<Failure>> {
        match state {
            State::Known(bytes) => Ok(bytes),
            State::Failed(failure) => Err(failure.clone()),
            State::Pending(node) => match &self.nodes[*node].value {
                Some(Computed::Bytes(range)) => Ok(&self.values[range.clone()]),
                Some(Computed::Failed(failure)) => Err(failure.clone()),
                None => unreachable!("a node's parts have a smaller depth and are computed before it"),
            },
        }
    }

    fn all_bytes(&self, parts: Range<usize>) -> Result<Vec<&[u8]>, Arc<Failure>> {
        let mut states = Vec::with_capacity(parts.len());
        for state in &self.parts[parts] {
            states.push(self.bytes(state)?);
        }
        Ok(states)
    }

    fn finish(&self, aggregates: &[ViewAggregate]) -> Result<Features, EngineError> {
        let mut features =
            Features { columns: Vec::new(), statuses: Vec::new(), newest: Vec::new(), failed_rows: 0, audited_rows: 0 };
        let mut first_window = 0;
        for aggregate in aggregates {
            debug_assert_eq!(features.columns.len(), aggregate.first_feature);
            self.finish_aggregate(first_window, aggregate, &mut features)?;
            first_window += aggregate.windows.len();
        }
        Ok(features)
    }

    fn finish_aggregate(
        &self,
        first_window: usize,
        aggregate: &ViewAggregate,
        features: &mut Features,
    ) -> Result<(), EngineError> {
        let windows = aggregate.windows.len();
        let windows_all = self.windows.len() / self.lookups.len().max(1);
        let mut groups = Vec::with_capacity(self.lookups.len() * windows);
        let mut failed = Vec::with_capacity(groups.capacity());
        let of_lookups = self.windows.chunks(windows_all.max(1));
        for parts in of_lookups.flat_map(|lookup| &lookup[first_window..first_window + windows]) {
            let states = self.all_bytes(parts.clone());
            failed.push(states.is_err());
            groups.push(states.unwrap_or_default());
        }
        let finished = aggregate.plugin().finish(&groups)?;
        for (failed, failure) in failed.iter_mut().zip(&finished.failures) {
            *failed |= failure.is_some();
        }
        for window in 0..windows {
            let rows: Vec<u32> = (0..self.lookups.len()).map(|lookup| (lookup * windows + window) as u32).collect();
            let failed: Vec<bool> = rows.iter().map(|row| failed[*row as usize]).collect();
            for output in &aggregate.outputs {
                let column = finished.rows.columns[*output].take(&rows);
                self.push_feature(column, |row| failed[row], features);
            }
        }
        Ok(())
    }

    /// Adds a feature: null where it failed or expired, with a status a row.
    fn push_feature(&self, mut column: Column, failed: impl Fn(usize) -> bool, features: &mut Features) {
        let mut statuses = Vec::with_capacity(self.lookups.len());
        for (row, lookup) in self.lookups.iter().enumerate() {
            statuses.push(match () {
                () if lookup.expired => Status::Expired,
                () if failed(row) => Status::Failed,
                () if column.is_valid(row) => Status::Present,
                () => Status::Missing,
            });
        }
        let nulled = |status: &Status| matches!(status, Status::Expired | Status::Failed);
        if statuses.iter().any(nulled) {
            let mut builder = ColumnBuilder::new(column.data_type());
            for (row, status) in statuses.iter().enumerate() {
                let value = if nulled(status) { None } else { column.get(row) };
                builder.push(value.as_ref());
            }
            column = builder.finish();
        }
        features.columns.push(column);
        features.statuses.push(statuses);
    }

    fn read_latest(&self) -> Features {
        let mut features =
            Features { columns: Vec::new(), statuses: Vec::new(), newest: Vec::new(), failed_rows: 0, audited_rows: 0 };
        for (index, field) in self.view.features.iter().enumerate() {
            let mut builder = ColumnBuilder::new(field.data_type);
            for lookup in &self.lookups {
                builder.push(lookup.latest.as_ref().and_then(|latest| latest.values[index].as_ref()));
            }
            self.push_feature(builder.finish(), |_| false, &mut features);
        }
        features
    }
}
