use std::{ops::Range, sync::Arc};

use oast_core::{Batch, Column, ColumnBuilder, Failure, Status};
use oast_engine::{EngineError, Groups};

use super::{Computed, Features, Fold, State, Work, status};
use crate::{
    RuntimeError,
    view::{Shape, ViewAggregate},
};

impl Fold<'_> {
    /// Computes all that is waiting, and answers the lookups. Nodes keep their values until [`Self::clear`].
    pub(crate) fn evaluate(&mut self) -> Result<Features, RuntimeError> {
        let mut failed_rows = 0;
        if let Shape::Aggregates { aggregates, .. } = &self.view.shape {
            for (at, nodes) in
                self.calls(aggregates.len()).into_iter().enumerate().filter(|(_, nodes)| !nodes.is_empty())
            {
                let aggregate = &aggregates[at / 2 % aggregates.len()];
                match at % 2 {
                    0 => {
                        let nodes = self.pass_failures_on(nodes);
                        failed_rows += self.update(aggregate, &nodes)?;
                    }
                    _ => self.merge(aggregate, &nodes)?,
                }
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

    /// The nodes still to be computed, by depth, then by aggregate, updates before merges.
    fn calls(&mut self, aggregates: usize) -> Vec<Vec<usize>> {
        let mut calls: Vec<Vec<usize>> = Vec::new();
        self.computed.resize_with(self.nodes.len(), || None);
        for (index, node) in self.nodes.iter().enumerate().filter(|(index, _)| self.computed[*index].is_none()) {
            let is_merge = usize::from(matches!(node.work, Work::Merge(_)));
            let call = (node.depth * aggregates + node.aggregate) * 2 + is_merge;
            if calls.len() <= call {
                calls.resize_with(call + 1, Vec::new);
            }
            calls[call].push(index);
        }
        calls
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
            self.computed[node] = Some(Computed::Failed(failure));
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
            // Tiles are only ever folded into, and a row that fails leaves its tile as it was: a tile is never failed.
            states.push(previous.as_ref().map_or(&[], |state| self.bytes(state).unwrap_or(&[])));
            group_rows.push(run.rows);
            rows.extend(run.iter(&self.links));
        }
        let input = aggregate.bound.input.iter().map(|column| self.rows.columns[*column].take(&rows)).collect();
        let updated = aggregate.plugin().update(&states, &group_rows, &Batch { rows: rows.len(), columns: input })?;
        self.audited_rows += self.audit(aggregate, nodes, &updated.states)?;
        for (node, state) in nodes.iter().zip(updated.states) {
            self.computed[*node] = Some(self.keep(&state));
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
        let (mut states, mut counts): (Vec<&[u8]>, Vec<u32>) = Default::default();
        let mut sound = Vec::new();
        let mut failed = Vec::new();
        for node in nodes {
            let Work::Merge(children) = &self.nodes[*node].work else { continue };
            match self.add_bytes(children.clone(), &mut states) {
                Ok(count) => {
                    counts.push(count);
                    sound.push(*node);
                }
                Err(failure) => failed.push((*node, failure)),
            }
        }
        let merged = aggregate.plugin().merge(Groups::new(&states, &counts))?;
        for (node, state) in sound.into_iter().zip(merged) {
            self.computed[node] = Some(match state {
                Ok(state) => self.keep(&state),
                Err(failure) => Computed::Failed(Arc::new(failure)),
            });
        }
        for (node, failure) in failed {
            self.computed[node] = Some(Computed::Failed(failure));
        }
        Ok(())
    }

    /// The bytes of a state whose node has been computed.
    pub(super) fn bytes<'s>(&'s self, state: &'s State) -> Result<&'s [u8], Arc<Failure>> {
        match state {
            State::Known(bytes) => Ok(bytes),
            State::Failed(failure) => Err(failure.clone()),
            State::Pending(node) => match &self.computed[*node] {
                Some(Computed::Bytes(range)) => Ok(&self.values[range.clone()]),
                Some(Computed::Failed(failure)) => Err(failure.clone()),
                None => unreachable!("a node's parts have a smaller depth and are computed before it"),
            },
        }
    }

    /// Adds the bytes of some states and returns how many they are; none if one of them failed.
    fn add_bytes<'s>(&'s self, parts: Range<usize>, states: &mut Vec<&'s [u8]>) -> Result<u32, Arc<Failure>> {
        let first = states.len();
        for state in &self.parts[parts] {
            match self.bytes(state) {
                Ok(bytes) => states.push(bytes),
                Err(failure) => {
                    states.truncate(first);
                    return Err(failure);
                }
            }
        }
        Ok((states.len() - first) as u32)
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
        let mut states = Vec::with_capacity(self.parts.len());
        let mut counts = Vec::with_capacity(self.lookups.len() * windows);
        let mut failed = Vec::with_capacity(counts.capacity());
        let of_lookups = self.windows.chunks(windows_all.max(1));
        for parts in of_lookups.flat_map(|lookup| &lookup[first_window..first_window + windows]) {
            let count = self.add_bytes(parts.clone(), &mut states);
            failed.push(count.is_err());
            counts.push(count.unwrap_or(0));
        }
        let finished = aggregate.plugin().finish(Groups::new(&states, &counts))?;
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
            statuses.push(status(lookup.expired, failed(row), column.is_valid(row)));
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
