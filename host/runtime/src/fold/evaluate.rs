use std::{ops::Range, sync::Arc};

use oast_core::{Batch, Blobs, Column, ColumnBuilder, Failure, Status, TransformHash};
use oast_engine::{Aggregate, EngineError, Finished, Groups};

use super::{Computed, Features, Fold, State, Work, status};
use crate::{
    RuntimeError,
    view::{Shape, ViewAggregate},
};

impl Fold<'_> {
    /// Computes all that is waiting, and answers the lookups. Nodes keep their values until [`Self::clear`].
    pub(crate) fn evaluate(&mut self) -> Result<Features, RuntimeError> {
        self.compute()?;
        let answers = answer(std::slice::from_mut(self))?;
        Ok(answers.into_iter().next().expect("one answer a step"))
    }

    /// Computes the states that are waiting. What is left to do for the lookups, [`answer`] does without the states of keys.
    pub(crate) fn compute(&mut self) -> Result<(), RuntimeError> {
        let Shape::Aggregates { aggregates, .. } = &self.view.shape else { return Ok(()) };
        for (at, nodes) in self.calls(aggregates.len()).into_iter().enumerate().filter(|(_, nodes)| !nodes.is_empty()) {
            let aggregate = &aggregates[at / 2 % aggregates.len()];
            match at % 2 {
                0 => {
                    let nodes = self.pass_failures_on(nodes);
                    self.failed_rows += self.update(aggregate, &nodes)?;
                }
                _ => self.merge(aggregate, &nodes)?,
            }
        }
        Ok(())
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
        let updated = aggregate.bound.aggregate(self.is_audited).update(
            &states,
            &group_rows,
            &Batch { rows: rows.len(), columns: input },
        )?;
        self.audited_rows += self.audit(aggregate, nodes, &updated.states)?;
        self.keep(nodes, &updated.states);
        Ok(updated.failures.len() as u64)
    }

    /// Takes the states in that nodes came to.
    fn keep(&mut self, nodes: &[usize], states: &Blobs) {
        let first = self.values.len();
        self.values.extend_from_slice(&states.bytes);
        for (node, ends) in nodes.iter().zip(states.offsets.windows(2)) {
            self.computed[*node] = Some(Computed::Bytes(first + ends[0] as usize..first + ends[1] as usize));
        }
    }

    fn merge(&mut self, aggregate: &ViewAggregate, nodes: &[usize]) -> Result<(), EngineError> {
        let (mut states, mut counts): (Blobs, Vec<u32>) = Default::default();
        let (mut sound, mut failed) = (Vec::new(), Vec::new());
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
        let merged = aggregate.bound.aggregate(self.is_audited).merge(Groups::new(&states, &counts))?;
        self.keep(&sound, &merged.states);
        let died = merged.failures.into_iter().map(|(group, failure)| (sound[group as usize], Arc::new(failure)));
        for (node, failure) in failed.into_iter().chain(died) {
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
    fn add_bytes(&self, parts: Range<usize>, states: &mut Blobs) -> Result<u32, Arc<Failure>> {
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

    /// Adds the states that the windows of an aggregate merge; returns how many each has, and which of them has a failed one.
    fn add_windows(
        &self,
        first_window: usize,
        aggregate: &ViewAggregate,
        states: &mut Blobs,
        counts: &mut Vec<u32>,
    ) -> Vec<bool> {
        let windows = aggregate.windows.len();
        let windows_all = self.windows.len() / self.lookups.len().max(1);
        let mut failed = Vec::with_capacity(self.lookups.len() * windows);
        let of_lookups = self.windows.chunks(windows_all.max(1));
        let parts_of_all = of_lookups.flat_map(|lookup| &lookup[first_window..first_window + windows]);
        let merged = || parts_of_all.clone().flat_map(|parts| &self.parts[parts.clone()]);
        let bytes = merged().filter_map(|state| self.bytes(state).ok()).map(<[u8]>::len).sum();
        states.reserve(merged().count(), bytes);
        for parts in parts_of_all {
            let count = self.add_bytes(parts.clone(), states);
            failed.push(count.is_err());
            counts.push(count.unwrap_or(0));
        }
        failed
    }

    /// Adds the features of an aggregate, whose windows begin at a row of what a call finished.
    fn add_features(
        &self,
        aggregate: &ViewAggregate,
        finished: &Finished,
        first_row: usize,
        mut failed: Vec<bool>,
        features: &mut Features,
    ) {
        debug_assert_eq!(features.columns.len(), aggregate.first_feature);
        let windows = aggregate.windows.len();
        for (failed, failure) in failed.iter_mut().zip(&finished.failures[first_row..]) {
            *failed |= failure.is_some();
        }
        for window in 0..windows {
            let rows: Vec<usize> = (0..self.lookups.len()).map(|lookup| lookup * windows + window).collect();
            let places: Vec<u32> = rows.iter().map(|row| (first_row + row) as u32).collect();
            for output in &aggregate.outputs {
                let column = finished.rows.columns[*output].take(&places);
                self.push_feature(column, |row| failed[rows[row]], features);
            }
        }
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

    /// Forgets the lookups, for what they came to.
    fn take_answer(&mut self, finished: &[Finished], places: &mut impl Iterator<Item = Place>) -> Features {
        let mut features = Features {
            newest: self.lookups.iter().map(|lookup| lookup.newest).collect(),
            failed_rows: std::mem::take(&mut self.failed_rows),
            audited_rows: std::mem::take(&mut self.audited_rows),
            ..Features::default()
        };
        match &self.view.shape {
            Shape::Aggregates { aggregates, .. } => {
                for (aggregate, Place { call, first_row, failed }) in aggregates.iter().zip(places) {
                    self.add_features(aggregate, &finished[call], first_row, failed, &mut features);
                }
            }
            Shape::Latest(_) => self.add_latest(&mut features),
        }
        self.lookups.clear();
        self.windows.clear();
        features
    }

    fn add_latest(&self, features: &mut Features) {
        for (index, field) in self.view.features.iter().enumerate() {
            let mut builder = ColumnBuilder::new(field.data_type);
            for lookup in &self.lookups {
                builder.push(lookup.latest.as_ref().and_then(|latest| latest.values[index].as_ref()));
            }
            self.push_feature(builder.finish(), |_| false, features);
        }
    }
}

/// One call that finishes the windows of all aggregates which are the same transform.
struct Call<'f> {
    plugin: Aggregate<'f>,
    hash: TransformHash,
    states: Blobs,
    counts: Vec<u32>,
}

/// Where the windows of an aggregate stand in its call.
struct Place {
    call: usize,
    first_row: usize,
    failed: Vec<bool>,
}

/// Answers the lookups of steps whose states are computed, each step's for itself. A transform that several views or
/// aggregates use is called once for all of them.
pub(crate) fn answer(folds: &mut [Fold<'_>]) -> Result<Vec<Features>, RuntimeError> {
    let (calls, places) = calls_to_finish(folds);
    let finish = |call: Call<'_>| call.plugin.finish(Groups::new(&call.states, &call.counts));
    let finished: Vec<Finished> = calls.into_iter().map(finish).collect::<Result<_, _>>()?;
    let mut places = places.into_iter();
    Ok(folds.iter_mut().map(|fold| fold.take_answer(&finished, &mut places)).collect())
}

/// The calls, and the place of each aggregate of each step in turn.
fn calls_to_finish<'f>(folds: &'f [Fold<'_>]) -> (Vec<Call<'f>>, Vec<Place>) {
    let (mut calls, mut places): (Vec<Call<'_>>, Vec<Place>) = Default::default();
    for fold in folds {
        let Shape::Aggregates { aggregates, .. } = &fold.view.shape else { continue };
        let mut first_window = 0;
        for aggregate in aggregates {
            let hash = aggregate.bound.hash();
            let call = calls.iter().position(|call| call.hash == hash).unwrap_or_else(|| {
                calls.push(Call {
                    plugin: aggregate.bound.aggregate(fold.is_audited),
                    hash,
                    states: Blobs::default(),
                    counts: Vec::new(),
                });
                calls.len() - 1
            });
            let Call { states, counts, .. } = &mut calls[call];
            let first_row = counts.len();
            let failed = fold.add_windows(first_window, aggregate, states, counts);
            places.push(Place { call, first_row, failed });
            first_window += aggregate.windows.len();
        }
    }
    (calls, places)
}
