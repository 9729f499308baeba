use std::ops::Range;

use oast_core::{Batch, Blobs, Failure, Fuel};
use wasmtime::component::{ComponentExportIndex, Lift};

use crate::{
    EngineError, Plugin,
    invoke::{Called, FreshInstance, Returned},
    lasting::Instances,
    transform::{row_bytes, row_bytes_max, rows_bytes},
    wire::{BatchArg, BlobsArg, BlobsPart, WireBatch, WireBlobs},
};

/// The most bytes of states that go into one call, unless a single group has more.
const STATE_BYTES_MAX: usize = 4 << 20;

/// The share of the budget within which a run of rows into one state is accepted.
pub(crate) const RUN_SHARE: u64 = 8;

/// How many bytes a state may come to have in the midst of a run for each byte of the rows, beyond what it had before.
const GROWTH: usize = 8;

/// A plugin that folds rows into states, merges states and finishes them into features.
#[derive(Clone, Copy)]
pub struct Aggregate<'p> {
    plugin: &'p Plugin,
    instances: Instances,
    update: &'p ComponentExportIndex,
    merge: &'p ComponentExportIndex,
    finish: &'p ComponentExportIndex,
}

/// Groups of states, one after the other: the first `counts[0]` of the states are the first group, and so on.
#[derive(Debug, Clone, Copy)]
pub struct Groups<'a> {
    /// The states of these groups are those from `first`.
    states: &'a Blobs,
    first: usize,
    counts: &'a [u32],
}

impl<'a> Groups<'a> {
    /// Cuts states into groups.
    ///
    /// # Panics
    ///
    /// When the groups do not have as many states as there are.
    pub fn new(states: &'a Blobs, counts: &'a [u32]) -> Self {
        assert_eq!(sum(counts), states.len(), "the groups are made of the states");
        Self { states, first: 0, counts }
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The first groups and the others.
    fn split_at(self, groups: usize) -> (Self, Self) {
        let (left, right) = self.counts.split_at(groups);
        (Self { counts: left, ..self }, Self { counts: right, first: self.first + sum(left), ..self })
    }

    fn states(&self) -> BlobsPart<'a> {
        BlobsPart::new(self.states, self.first..self.first + sum(self.counts))
    }

    /// How many bytes the states of each group have.
    fn bytes(self) -> impl Iterator<Item = usize> {
        let mut offsets = &self.states.offsets[self.first..];
        self.counts.iter().map(move |count| {
            let after = &offsets[*count as usize..];
            let bytes = after[0] - offsets[0];
            offsets = after;
            bytes as usize
        })
    }
}

/// States after rows were folded into them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Updated {
    /// The new states, one for each that went in.
    pub states: Blobs,
    /// The rows on which the plugin failed; their states are as if those rows had not been.
    pub failures: Vec<(u32, Failure)>,
    /// The fuel consumed by all accepted calls.
    pub consumed: Fuel,
}

/// States that came of merging.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Merged {
    /// One state a group; of no bytes where the plugin failed.
    pub states: Blobs,
    /// The groups that the plugin failed on, in order.
    pub failures: Vec<(u32, Failure)>,
}

/// Features of finished states.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// One row a group, whose columns are the descriptor's output; null in every column, nullable or not, where the plugin failed.
    pub rows: Batch,
    /// Why a group has no features, one a group.
    pub failures: Vec<Option<Failure>>,
    /// The fuel consumed by all accepted calls.
    pub consumed: Fuel,
}

impl<'p> Aggregate<'p> {
    pub(crate) fn new(
        plugin: &'p Plugin,
        update: &'p ComponentExportIndex,
        merge: &'p ComponentExportIndex,
        finish: &'p ComponentExportIndex,
    ) -> Self {
        Self { plugin, instances: Instances::Single, update, merge, finish }
    }

    /// Makes calls of several rows or states on instances that take several calls, as replays do. What is looked up comes from
    /// instances that are used once.
    pub fn lasting(self) -> Self {
        Self { instances: Instances::Lasting, ..self }
    }

    /// Folds rows, whose columns are the descriptor's input, into states: the first `group_rows[0]` of them into the first
    /// state, and so on. An empty state is the one before the first row, and a state without rows stays as it is. The result
    /// is that of folding row by row, each in a canonical run.
    pub fn update(&self, states: &[&[u8]], group_rows: &[u32], rows: &Batch) -> Result<Updated, EngineError> {
        let mut updated = Updated::default();
        let (mut group, mut row) = (0, 0);
        while group < states.len() {
            if group_rows[group] == 0 {
                updated.states.push(states[group]);
                group += 1;
                continue;
            }
            let end = (group..states.len()).find(|group| group_rows[*group] == 0).unwrap_or(states.len());
            let count = self.groups_in_next_call(group..end, |group| (group_rows[group] as usize, states[group].len()));
            let end_row = row + sum(&group_rows[group..group + count]);
            let fold =
                Fold { states: &states[group..group + count], group_rows: &group_rows[group..group + count], row };
            self.update_part(fold, rows, &mut updated)?;
            (group, row) = (group + count, end_row);
        }
        Ok(updated)
    }

    fn update_part(&self, fold: Fold<'_>, rows: &Batch, updated: &mut Updated) -> Result<(), EngineError> {
        let count = sum(fold.group_rows);
        if count > fold.states.len() && !self.has_room(&fold, rows) {
            return self.update_halves(fold, rows, updated);
        }
        let part = if count == rows.rows { None } else { Some(rows.slice(fold.row, fold.row + count)) };
        let Called { accepted, consumed, .. } =
            self.call_update(fold.states, fold.group_rows, part.as_ref().unwrap_or(rows))?;
        let single = count == 1;
        let budget = self.budget_of(fold.group_rows);
        self.plugin.learn(count, consumed, accepted.is_ok().then_some(budget));
        match accepted {
            Ok(states) => {
                updated.states.append(&states);
                updated.consumed.0 += consumed.0;
                Ok(())
            }
            Err(failure) if single => {
                updated.failures.push((fold.row as u32, failure));
                updated.states.push(fold.states[0]);
                Ok(())
            }
            Err(_) => self.update_halves(fold, rows, updated),
        }
    }

    /// Folds the first half of the groups and then the second half, or the halves of the one group's rows.
    fn update_halves(&self, fold: Fold<'_>, rows: &Batch, updated: &mut Updated) -> Result<(), EngineError> {
        if fold.states.len() == 1 {
            return self.update_in_two(fold, rows, updated);
        }
        let (left, right) = fold.split_groups();
        self.update_part(left, rows, updated)?;
        self.update_part(right, rows, updated)
    }

    /// Whether no state can be too large in the midst of a run and small again at its end. A run hides the states between its
    /// rows, so that a row after which the state was too large would fail alone and pass in a run. What a run is given bounds
    /// them: a state that grows by no more than [`GROWTH`] bytes for each byte of the rows stays within half of the limit.
    fn has_room(&self, fold: &Fold<'_>, rows: &Batch) -> bool {
        let limit = self.plugin.limits().output_bytes as usize / 2;
        let mut start = fold.row;
        fold.states.iter().zip(fold.group_rows).all(|(state, count)| {
            let end = start + *count as usize;
            let bytes = state.len().saturating_add(rows_bytes(rows, start, end).saturating_mul(GROWTH));
            start = end;
            *count <= 1 || bytes <= limit
        })
    }

    /// Row by row, a state is read and written for every row; in a run of rows only once, so that the run may cost less than
    /// its last row alone. A run is accepted within a share of the budget that leaves the rest for reading and writing the
    /// states between its rows, whose size [`Self::has_room`] bounds.
    fn budget_of(&self, group_rows: &[u32]) -> Fuel {
        let Fuel(budget) = self.plugin.limits().budget_fuel;
        if group_rows.iter().all(|rows| *rows == 1) { Fuel(budget) } else { Fuel(budget / RUN_SHARE) }
    }

    /// One call that folds all of these rows.
    pub(crate) fn call_update(
        &self,
        states: &[&[u8]],
        group_rows: &[u32],
        rows: &Batch,
    ) -> Result<Called<Blobs>, EngineError> {
        let blobs = Blobs::concat(states);
        let arguments = (BlobsArg::from(&blobs), group_rows, BatchArg::from(rows));
        let (instances, budget) = (self.instances.for_rows(rows.rows), self.budget_of(group_rows));
        let read = |returned| self.read_states(returned, states.len());
        self.plugin.call(instances, self.update, arguments, budget, read)
    }

    /// One call, which folds one row, of an instance that may have been called before.
    pub(crate) fn call_update_again(
        &self,
        instance: &mut FreshInstance,
        state: &[u8],
        row: &Batch,
    ) -> Result<Called<Blobs>, EngineError> {
        let blobs: Blobs = [state].iter().collect();
        let arguments = (BlobsArg::from(&blobs), &[1_u32][..], BatchArg::from(row));
        let invocation = instance.call(self.update, arguments, self.plugin.limits().budget_fuel)?;
        Ok(invocation.read(|returned| self.read_states(returned, 1)))
    }

    /// One call that merges all of these groups.
    pub(crate) fn call_merge(&self, groups: Groups<'_>) -> Result<Called<Blobs>, EngineError> {
        self.call_groups(self.merge, groups, |returned| self.read_states(returned, groups.len()))
    }

    /// One call that finishes all of these groups.
    pub(crate) fn call_finish(&self, groups: Groups<'_>) -> Result<Called<Batch>, EngineError> {
        self.call_groups(self.finish, groups, |returned| self.read_rows(returned, groups.len()))
    }

    /// One call, which merges these groups, of an instance that may have been called before.
    pub(crate) fn call_merge_again(
        &self,
        instance: &mut FreshInstance,
        groups: Groups<'_>,
    ) -> Result<Called<Blobs>, EngineError> {
        self.call_groups_again(instance, self.merge, groups, |returned| self.read_states(returned, groups.len()))
    }

    /// One call, which finishes these groups, of an instance that may have been called before.
    pub(crate) fn call_finish_again(
        &self,
        instance: &mut FreshInstance,
        groups: Groups<'_>,
    ) -> Result<Called<Batch>, EngineError> {
        self.call_groups_again(instance, self.finish, groups, |returned| self.read_rows(returned, groups.len()))
    }

    fn call_groups_again<R: Lift + 'static, T>(
        &self,
        instance: &mut FreshInstance,
        function: &ComponentExportIndex,
        groups: Groups<'_>,
        read: impl Fn(Returned<R>) -> Result<T, Failure>,
    ) -> Result<Called<T>, EngineError> {
        let budget = self.plugin.limits().budget_fuel;
        Ok(instance.call(function, (BlobsArg::from(&groups.states()), groups.counts), budget)?.read(read))
    }

    fn call_groups<R: Lift + 'static, T>(
        &self,
        function: &ComponentExportIndex,
        groups: Groups<'_>,
        read: impl Fn(Returned<R>) -> Result<T, Failure>,
    ) -> Result<Called<T>, EngineError> {
        let (instances, budget) = (self.instances.for_rows(groups.len()), self.plugin.limits().budget_fuel);
        self.plugin.call(instances, function, (BlobsArg::from(&groups.states()), groups.counts), budget, read)
    }

    /// Folds the first half of a single group's rows, and then the second half into what came of it.
    fn update_in_two(&self, fold: Fold<'_>, rows: &Batch, updated: &mut Updated) -> Result<(), EngineError> {
        let first = fold.group_rows[0] / 2;
        let counts = [first, fold.group_rows[0] - first];
        let mut half = Updated::default();
        self.update_part(Fold { group_rows: &counts[..1], ..fold }, rows, &mut half)?;
        updated.failures.append(&mut half.failures);
        updated.consumed.0 += half.consumed.0;
        let row = fold.row + first as usize;
        self.update_part(Fold { states: &[half.states.get(0)], group_rows: &counts[1..], row }, rows, updated)
    }

    /// Merges each group of states from left to right.
    pub fn merge(&self, groups: Groups<'_>) -> Result<Merged, EngineError> {
        let mut merged = Merged::default();
        self.for_parts(groups, &mut |part| self.merge_part(part, &mut merged))?;
        Ok(merged)
    }

    fn merge_part(&self, groups: Groups<'_>, merged: &mut Merged) -> Result<(), EngineError> {
        let Called { accepted, consumed, .. } = self.call_merge(groups)?;
        let budget = self.plugin.limits().budget_fuel;
        self.plugin.learn(groups.len(), consumed, accepted.is_ok().then_some(budget));
        match accepted {
            Ok(states) => merged.states.append(&states),
            Err(failure) if groups.len() == 1 => {
                merged.failures.push((merged.states.len() as u32, failure));
                merged.states.push(&[]);
            }
            Err(_) => {
                let (left, right) = groups.split_at(groups.len() / 2);
                self.merge_part(left, merged)?;
                self.merge_part(right, merged)?;
            }
        }
        Ok(())
    }

    /// Merges each group of states from left to right and turns the result into one row of features.
    pub fn finish(&self, groups: Groups<'_>) -> Result<Finished, EngineError> {
        let rows = Batch::empty(&self.plugin.descriptor().output);
        let mut finished = Finished { rows, failures: Vec::with_capacity(groups.len()), consumed: Fuel(0) };
        self.for_parts(groups, &mut |part| self.finish_part(part, &mut finished))?;
        Ok(finished)
    }

    fn finish_part(&self, groups: Groups<'_>, finished: &mut Finished) -> Result<(), EngineError> {
        let Called { accepted, consumed, .. } = self.call_finish(groups)?;
        let budget = self.plugin.limits().budget_fuel;
        self.plugin.learn(groups.len(), consumed, accepted.is_ok().then_some(budget));
        match accepted {
            Ok(rows) => {
                finished.rows.append(&rows);
                finished.failures.resize(finished.rows.rows, None);
                finished.consumed.0 += consumed.0;
            }
            Err(failure) if groups.len() == 1 => {
                finished.rows.append(&self.nothing());
                finished.failures.push(Some(failure));
            }
            Err(_) => {
                let (left, right) = groups.split_at(groups.len() / 2);
                self.finish_part(left, finished)?;
                self.finish_part(right, finished)?;
            }
        }
        Ok(())
    }

    /// One row of nulls, which stands for the features of a state that the plugin failed on.
    fn nothing(&self) -> Batch {
        let fields = self.plugin.descriptor().output.fields();
        let nulls = |field: &oast_core::Field| oast_core::Column::nulls(field.data_type, 1);
        Batch { rows: 1, columns: fields.iter().map(nulls).collect() }
    }

    /// Cuts groups of states into calls of a sensible size.
    fn for_parts(
        &self,
        groups: Groups<'_>,
        run: &mut dyn FnMut(Groups<'_>) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let mut left = groups;
        while !left.is_empty() {
            let mut bytes = left.bytes();
            let size = |_| (1, bytes.next().unwrap_or(0));
            let count = self.groups_in_next_call(0..left.len(), size);
            let (part, after) = left.split_at(count);
            run(part)?;
            left = after;
        }
        Ok(())
    }

    /// How many groups go into the next call; `size` gives the rows and bytes of one, and is asked for them in order.
    fn groups_in_next_call(&self, groups: Range<usize>, mut size: impl FnMut(usize) -> (usize, usize)) -> usize {
        let rows_max = self.plugin.rows_next();
        let (mut count, mut rows, mut bytes) = (0, 0, 0);
        for group in groups {
            let (group_rows, group_bytes) = size(group);
            rows += group_rows.max(1);
            bytes += group_bytes;
            if count > 0 && (rows > rows_max || bytes > STATE_BYTES_MAX) {
                break;
            }
            count += 1;
        }
        count
    }

    fn read_states(&self, returned: Returned<WireBlobs>, groups: usize) -> Result<Blobs, Failure> {
        let states = Blobs::from(returned?.map_err(Failure::Error)?);
        if !states.is_well_formed() || states.len() != groups {
            return Err(Failure::Malformed(format!(
                "{} states for {groups}, or offsets that do not rise",
                states.len()
            )));
        }
        let limit = self.plugin.limits().output_bytes as usize;
        if states.iter().any(|state| state.len() > limit) {
            return Err(Failure::Malformed(format!("more than {limit} bytes for one state")));
        }
        Ok(states)
    }

    fn read_rows(&self, returned: Returned<WireBatch>, groups: usize) -> Result<Batch, Failure> {
        let rows = Batch::from(returned?.map_err(Failure::Error)?);
        if rows.rows != groups {
            return Err(Failure::Malformed(format!("{} rows for {groups} states", rows.rows)));
        }
        let rows = rows.into_canonical(&self.plugin.descriptor().output);
        let rows = rows.map_err(|error| Failure::Malformed(error.to_string()))?;
        let limit = self.plugin.limits().output_bytes as usize;
        if row_bytes_max(&rows) > limit && (0..groups).any(|row| row_bytes(&rows, row) > limit) {
            return Err(Failure::Malformed(format!("more than {limit} bytes for one row")));
        }
        Ok(rows)
    }
}

/// States with the rows to fold into them, which begin at `row` of the batch.
#[derive(Clone, Copy)]
struct Fold<'a> {
    states: &'a [&'a [u8]],
    group_rows: &'a [u32],
    row: usize,
}

impl Fold<'_> {
    fn split_groups(&self) -> (Self, Self) {
        let middle = self.states.len() / 2;
        let (left_states, right_states) = self.states.split_at(middle);
        let (left_rows, right_rows) = self.group_rows.split_at(middle);
        let left = Self { states: left_states, group_rows: left_rows, row: self.row };
        let right = Self { states: right_states, group_rows: right_rows, row: self.row + sum(left_rows) };
        (left, right)
    }
}

fn sum(counts: &[u32]) -> usize {
    counts.iter().map(|count| *count as usize).sum()
}
