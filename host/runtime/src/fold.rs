//! The one step behind lookups, backfills and replays: events are folded into the state of an entity key, and features are
//! looked up from it.
//!
//! Nothing is computed while events and lookups are put in. Each leaves a note of what is to be done: rows to fold into a
//! tile, states to merge into a block, states to finish into features. [`Fold::evaluate`] then does all of it, level by level,
//! in as few guest calls as it can. Because a batch means the same as its rows one by one, a daemon that evaluates after
//! every request and a replay that evaluates after a million rows get the same bits.

mod audited;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use oast_core::{Batch, Block, Column, ColumnBuilder, Failure, Status, TimeSpan, Timestamp, Value, Window};
use oast_engine::EngineError;

use crate::{
    RuntimeError,
    view::{SeriesShape, Shape, View, ViewAggregate},
};

/// The state of one entity key in one view.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyState {
    /// One for each series of the view.
    pub(crate) series: Vec<BTreeMap<Block, State>>,
    /// The last row, for a view that ends in `latest`.
    pub(crate) latest: Option<LatestRow>,
    /// The event time of the newest event.
    pub(crate) newest: Option<Timestamp>,
    /// What changed since the state was last written: blocks by series, present or not.
    pub(crate) changed: BTreeSet<(usize, Block)>,
    /// Which blocks are still to be computed by the step that is under way.
    pending: Vec<(usize, Block)>,
}

/// The newest row of an entity.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LatestRow {
    pub(crate) event_time: Timestamp,
    pub(crate) offset: u64,
    pub(crate) values: Arc<[Option<Value>]>,
}

/// The state of a tile or block: known, or still to be computed.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// The bytes of the plugin's state.
    Known(Arc<[u8]>),
    /// A plugin failed while merging.
    Failed(Arc<Failure>),
    /// What the node of this number will come to.
    Pending(usize),
}

impl KeyState {
    pub(crate) fn new(view: &View) -> Self {
        let series = match &view.shape {
            Shape::Aggregates { series, .. } => series.len(),
            Shape::Latest(_) => 0,
        };
        Self { series: vec![BTreeMap::new(); series], ..Self::default() }
    }
}

/// Something to be computed for one aggregate.
struct Node {
    aggregate: usize,
    work: Work,
    /// Nodes are computed in order of depth; each needs only nodes of smaller depth.
    depth: usize,
    /// Whether something refers to the node's value, so that no further row may be folded into it.
    observed: bool,
    value: Option<State>,
}

enum Work {
    Update { previous: Option<State>, rows: Vec<u32> },
    Merge(Vec<State>),
}

/// Events, lookups and what is to be computed for them.
pub(crate) struct Fold<'v> {
    view: &'v View,
    /// The rows that nodes refer to by number, after the view's transforms.
    rows: Batch,
    nodes: Vec<Node>,
    lookups: Vec<PendingLookup>,
    /// In a replay, the places of the rows among all events, by which some are chosen to be folded again.
    places: Option<Vec<u32>>,
    audited_rows: u64,
}

/// A lookup whose windows are known, but not yet their values.
struct PendingLookup {
    expired: bool,
    newest: Option<Timestamp>,
    /// For each aggregate and each of its windows, the states that make it up, from left to right.
    windows: Vec<Vec<Vec<State>>>,
    latest: Option<LatestRow>,
}

/// What lookups came to: one row each, in order.
pub(crate) struct Features {
    /// One column a feature of the view.
    pub(crate) columns: Vec<Column>,
    /// One status a feature and row: `statuses[feature][row]`.
    pub(crate) statuses: Vec<Vec<Status>>,
    /// The event time of the entity's newest event, one a row.
    pub(crate) newest: Vec<Option<Timestamp>>,
    /// How many rows a plugin failed on while they were folded.
    pub(crate) failed_rows: u64,
    /// How many rows were folded again, each in a call of its own.
    pub(crate) audited_rows: u64,
}

impl<'v> Fold<'v> {
    /// A step of this view, without events or lookups.
    pub(crate) fn new(view: &'v View) -> Self {
        Self { view, rows: Batch::default(), nodes: Vec::new(), lookups: Vec::new(), places: None, audited_rows: 0 }
    }

    /// Takes transformed rows in, which events then refer to; returns the number of the first.
    pub(crate) fn add_rows(&mut self, rows: Batch) -> u32 {
        let first = self.rows.rows;
        if first == 0 {
            self.rows = rows
        } else {
            self.rows.append(&rows)
        }
        u32::try_from(first).expect("a step has fewer than 4 billion rows")
    }

    /// How much is waiting to be computed.
    pub(crate) fn pending(&self) -> usize {
        self.nodes.len() + self.lookups.len()
    }

    /// Folds the event in row `row` into the state of its key. Events come in order of visible time, then offset.
    pub(crate) fn event(&mut self, key: &mut KeyState, row: u32, event_time: Timestamp, offset: u64) {
        key.newest = key.newest.max(Some(event_time));
        match &self.view.shape {
            Shape::Aggregates { series, .. } => {
                for (index, shape) in series.iter().enumerate() {
                    self.fold_into_tile(key, index, shape, row, event_time);
                }
            }
            Shape::Latest(columns) => {
                let newer = |latest: &LatestRow| (latest.event_time, latest.offset) <= (event_time, offset);
                if key.latest.as_ref().is_none_or(newer) {
                    let values = columns.iter().map(|column| self.rows.columns[*column].get(row as usize)).collect();
                    key.latest = Some(LatestRow { event_time, offset, values });
                }
            }
        }
    }

    fn fold_into_tile(
        &mut self,
        key: &mut KeyState,
        series: usize,
        shape: &SeriesShape,
        row: u32,
        event_time: Timestamp,
    ) {
        let tile = Block::tile(Window::tile_of(shape.hop, event_time));
        forget_blocks_over(key, series, tile, shape.levels);
        key.changed.insert((series, tile));
        let previous = key.series[series].get(&tile);
        if let Some(State::Pending(node)) = previous
            && let Node { observed: false, work: Work::Update { rows, .. }, .. } = &mut self.nodes[*node]
        {
            rows.push(row);
            return;
        }
        let work = Work::Update { previous: previous.cloned(), rows: vec![row] };
        let state = self.add_node(shape.aggregate, work);
        key.series[series].insert(tile, state);
        key.pending.push((series, tile));
    }

    fn add_node(&mut self, aggregate: usize, work: Work) -> State {
        let states: &[State] = match &work {
            Work::Update { previous, .. } => previous.as_slice(),
            Work::Merge(children) => children,
        };
        let mut depth = 0;
        for state in states {
            if let State::Pending(node) = state {
                self.nodes[*node].observed = true;
                depth = depth.max(self.nodes[*node].depth + 1);
            }
        }
        self.nodes.push(Node { aggregate, work, depth, observed: false, value: None });
        State::Pending(self.nodes.len() - 1)
    }

    /// Looks all features of the view up for one entity as of `time`. Every event visible before `time`, and no other, has
    /// been folded in. Lookups are answered by [`Self::evaluate`], in the order in which they came.
    pub(crate) fn lookup(&mut self, key: &mut KeyState, time: Timestamp) {
        let retention = self.view.spec.source.retention();
        if is_expired(retention, key.newest, time) {
            // The source need not keep anything of the entity any more, so nothing of it counts.
            return self.lookup_kept(&mut KeyState::new(self.view), time);
        }
        self.lookup_kept(key, time)
    }

    fn lookup_kept(&mut self, key: &mut KeyState, time: Timestamp) {
        let expired = is_expired(self.view.ttl, key.newest, time);
        let windows = match &self.view.shape {
            Shape::Aggregates { aggregates, series } => {
                aggregates.iter().map(|aggregate| self.windows_of(key, aggregate, series, time)).collect()
            }
            Shape::Latest(_) => Vec::new(),
        };
        self.lookups.push(PendingLookup { expired, newest: key.newest, windows, latest: key.latest.clone() });
    }

    fn windows_of(
        &mut self,
        key: &mut KeyState,
        aggregate: &ViewAggregate,
        series: &[SeriesShape],
        time: Timestamp,
    ) -> Vec<Vec<State>> {
        let states_of = |window: &crate::view::ViewWindow| {
            let blocks = Block::covering(window.window.tiles_at(time));
            let shape = &series[window.series];
            blocks.into_iter().filter_map(|block| self.block_state(key, window.series, shape, block)).collect()
        };
        let windows: Vec<Vec<State>> = aggregate.windows.iter().map(states_of).collect();
        for state in windows.iter().flatten() {
            if let State::Pending(node) = state {
                self.nodes[*node].observed = true;
            }
        }
        windows
    }

    /// The state of a block: the tile itself, the block as merged before, or the merge of its children from left to right.
    /// A block without events has no state, and one with a single child that has events is that child.
    fn block_state(&mut self, key: &mut KeyState, series: usize, shape: &SeriesShape, block: Block) -> Option<State> {
        if let Some(state) = key.series[series].get(&block) {
            return Some(state.clone());
        }
        let tiles = block.tiles();
        let covered = Block::tile(tiles.start)..Block::tile(tiles.end);
        if block.level == 0 || key.series[series].range(covered).next().is_none() {
            return None;
        }
        let children: Vec<State> =
            block.children().filter_map(|child| self.block_state(key, series, shape, child)).collect();
        if children.len() == 1 {
            return children.into_iter().next();
        }
        let state = self.add_node(shape.aggregate, Work::Merge(children));
        key.series[series].insert(block, state.clone());
        key.pending.push((series, block));
        key.changed.insert((series, block));
        Some(state)
    }

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
            failed_rows += self.update(aggregate, &updates)?;
            self.merge(aggregate, &merges)?;
        }
        Ok(failed_rows)
    }

    fn update(&mut self, aggregate: &ViewAggregate, nodes: &[usize]) -> Result<u64, RuntimeError> {
        if nodes.is_empty() {
            return Ok(0);
        }
        let (mut states, mut group_rows, mut rows): (Vec<&[u8]>, Vec<u32>, Vec<u32>) = Default::default();
        for node in nodes {
            let Work::Update { previous, rows: folded } = &self.nodes[*node].work else { continue };
            // Tiles are only ever folded into, and a row that fails leaves its tile as it was: a tile is never failed.
            states.push(previous.as_ref().map_or(&[], |state| self.bytes(state).unwrap_or(&[])));
            group_rows.push(folded.len() as u32);
            rows.extend_from_slice(folded);
        }
        let input = aggregate.bound.input.iter().map(|column| self.rows.columns[*column].take(&rows)).collect();
        let updated = aggregate.plugin().update(&states, &group_rows, &Batch { rows: rows.len(), columns: input })?;
        self.audited_rows += self.audit(aggregate, nodes, &updated.states)?;
        for (node, state) in nodes.iter().zip(updated.states) {
            self.nodes[*node].value = Some(State::Known(state.into()));
        }
        Ok(updated.failures.len() as u64)
    }

    fn merge(&mut self, aggregate: &ViewAggregate, nodes: &[usize]) -> Result<(), EngineError> {
        let mut groups: Vec<Vec<&[u8]>> = Vec::new();
        let mut sound = Vec::new();
        let mut failed = Vec::new();
        for node in nodes {
            let Work::Merge(children) = &self.nodes[*node].work else { continue };
            match self.all_bytes(children) {
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
                Ok(state) => State::Known(state.into()),
                Err(failure) => State::Failed(Arc::new(failure)),
            });
        }
        for (node, failure) in failed {
            self.nodes[node].value = Some(State::Failed(failure));
        }
        Ok(())
    }

    /// The bytes of a state whose node has been computed.
    fn bytes<'s>(&'s self, state: &'s State) -> Result<&'s [u8], Arc<Failure>> {
        match state {
            State::Known(bytes) => Ok(bytes),
            State::Failed(failure) => Err(failure.clone()),
            State::Pending(node) => match &self.nodes[*node].value {
                Some(State::Known(bytes)) => Ok(bytes),
                Some(State::Failed(failure)) => Err(failure.clone()),
                _ => unreachable!("a node's parts have a smaller depth and are computed before it"),
            },
        }
    }

    fn all_bytes<'s>(&'s self, states: &'s [State]) -> Result<Vec<&'s [u8]>, Arc<Failure>> {
        states.iter().map(|state| self.bytes(state)).collect()
    }

    fn finish(&self, aggregates: &[ViewAggregate]) -> Result<Features, EngineError> {
        let mut features =
            Features { columns: Vec::new(), statuses: Vec::new(), newest: Vec::new(), failed_rows: 0, audited_rows: 0 };
        for (index, aggregate) in aggregates.iter().enumerate() {
            debug_assert_eq!(features.columns.len(), aggregate.first_feature);
            self.finish_aggregate(index, aggregate, &mut features)?;
        }
        Ok(features)
    }

    fn finish_aggregate(
        &self,
        index: usize,
        aggregate: &ViewAggregate,
        features: &mut Features,
    ) -> Result<(), EngineError> {
        let windows = aggregate.windows.len();
        let mut groups = Vec::with_capacity(self.lookups.len() * windows);
        let mut failed = Vec::with_capacity(groups.capacity());
        for states in self.lookups.iter().flat_map(|lookup| &lookup.windows[index]) {
            let states = self.all_bytes(states);
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

    /// Puts computed values in the place of the nodes that a key refers to. After this the key outlives the step.
    pub(crate) fn settle(&self, key: &mut KeyState) {
        for (series, block) in std::mem::take(&mut key.pending) {
            // A block that was computed and then forgotten again, because an event changed a tile under it, is not there.
            if let Some(state @ State::Pending(_)) = key.series[series].get_mut(&block)
                && let State::Pending(node) = *state
            {
                let value = self.nodes[node].value.clone();
                *state = value.expect("a key is settled after its nodes are computed");
            }
        }
    }

    /// Forgets rows and nodes. Every key that took part has been settled.
    pub(crate) fn clear(&mut self) {
        self.rows = Batch::default();
        self.nodes.clear();
        self.places.iter_mut().for_each(Vec::clear);
    }
}

/// Blocks over a tile are merged anew once the tile has changed.
fn forget_blocks_over(key: &mut KeyState, series: usize, tile: Block, levels: u8) {
    let mut block = tile;
    for _ in 0..levels {
        block = block.parent();
        if key.series[series].remove(&block).is_some() {
            key.changed.insert((series, block));
        }
    }
}

fn is_expired(ttl: Option<TimeSpan>, newest: Option<Timestamp>, time: Timestamp) -> bool {
    match (ttl, newest) {
        (Some(ttl), Some(newest)) => newest < time.saturating_sub(ttl),
        _ => false,
    }
}
