//! The one step behind lookups, backfills and replays: events are folded into the state of an entity key, and features are
//! looked up from it.
//!
//! Nothing is computed while events and lookups are put in. Each leaves a note of what is to be done: rows to fold into a
//! tile, states to merge into a block, states to finish into features. [`Fold::evaluate`] then does all of it, level by level,
//! in as few guest calls as it can. Because a batch means the same as its rows one by one, a daemon that evaluates after
//! every request and a replay that evaluates after a million rows get the same bits.

mod audited;
mod evaluate;
mod recent;
mod sessions;
mod tiles;

use std::{borrow::Cow, collections::BTreeSet, ops::Range, sync::Arc};

use oast_core::{Batch, Block, Column, Failure, Status, TimeSpan, Timestamp, Value, Window};

pub(crate) use evaluate::answer;
pub(crate) use recent::{EventOrder, Recent};
pub(crate) use sessions::{Session, Sessions};
pub(crate) use tiles::Tiles;

use crate::view::{Series, Shape, TilesShape, View, ViewWindow};

/// How many states a lookup may merge before it counts as more than one: a window of the last events can have a thousand.
const PARTS_PER_LOOKUP: usize = 64;

/// The state of one entity key in one view.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyState {
    /// One for each series of tiles of the view.
    pub(crate) series: Vec<Tiles>,
    /// The newest events, one for each series of them.
    pub(crate) recent: Vec<Recent>,
    /// One for each series of sessions.
    pub(crate) sessions: Vec<Sessions>,
    /// The last row, for a view that ends in `latest`.
    pub(crate) latest: Option<LatestRow>,
    /// The event time of the newest event.
    pub(crate) newest: Option<Timestamp>,
    /// What changed since the state was last written: blocks by series, present or not.
    pub(crate) changed: BTreeSet<(usize, Block)>,
    /// Which blocks are still to be computed by the step that is under way.
    pending: Vec<(usize, Block)>,
    /// No further row may be folded into the nodes below this number: a lookup has seen what they come to.
    sealed: usize,
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
        let Shape::Aggregates { series, .. } = &view.shape else { return Self::default() };
        Self {
            series: vec![Tiles::default(); series.tiles.len()],
            recent: vec![Recent::default(); series.recent.len()],
            sessions: vec![Sessions::default(); series.sessions.len()],
            ..Self::default()
        }
    }

    /// What changed until now is written, or need not be.
    pub(crate) fn forget_changes(&mut self) {
        self.changed.clear();
        self.recent.iter_mut().for_each(Recent::forget_changes);
        self.sessions.iter_mut().for_each(Sessions::forget_changes);
    }

    /// Forgets the tiles and blocks that no lookup at `time` or later sees.
    pub(crate) fn forget_before(&mut self, view: &View, time: Timestamp) {
        let Shape::Aggregates { series, .. } = &view.shape else { return };
        // The last events are few, and sessions may still be joined by late events, however old they are.
        for (tiles, shape) in self.series.iter_mut().zip(&series.tiles) {
            let first = shape.first_tile(time);
            // Blocks of windows to come begin at or after this tile.
            tiles.retain(|block| block.tiles().start >= first);
        }
    }
}

impl Run {
    fn new(row: u32, links: &mut Vec<Link>) -> Self {
        let first = u32::try_from(links.len()).expect("a step has fewer than 4 billion rows");
        links.push(Link { row, next: u32::MAX });
        Self { first, last: first, rows: 1 }
    }

    fn push(&mut self, row: u32, links: &mut Vec<Link>) {
        let link = u32::try_from(links.len()).expect("a step has fewer than 4 billion rows");
        links.push(Link { row, next: u32::MAX });
        links[self.last as usize].next = link;
        self.last = link;
        self.rows += 1;
    }

    /// The rows in the order in which they came.
    fn iter(self, links: &[Link]) -> impl Iterator<Item = u32> {
        let next = move |link: &&Link| links.get(link.next as usize);
        std::iter::successors(links.get(self.first as usize), move |link| next(link)).map(|link| link.row)
    }
}

/// Something to be computed for one aggregate.
struct Node {
    aggregate: usize,
    work: Work,
    /// Nodes are computed in order of depth; each needs only nodes of smaller depth.
    depth: usize,
}

enum Work {
    Update {
        previous: Option<State>,
        rows: Run,
    },
    /// These states of [`Fold::parts`], from left to right.
    Merge(Range<usize>),
}

/// What a node came to.
enum Computed {
    /// These bytes of [`Fold::values`].
    Bytes(Range<usize>),
    Failed(Arc<Failure>),
}

/// Rows that are folded into one tile: a chain through [`Fold::links`]. Millions of tiles get a row or two each, so that a
/// vector for each would cost more than the folding.
#[derive(Clone, Copy)]
struct Run {
    first: u32,
    last: u32,
    rows: u32,
}

/// A row, and the link of the next row of its run.
struct Link {
    row: u32,
    next: u32,
}

/// Events, lookups and what is to be computed for them.
pub(crate) struct Fold<'v> {
    view: &'v View,
    /// The rows that nodes refer to by number, after the view's transforms: a replay's are there from the beginning.
    rows: Cow<'v, Batch>,
    links: Vec<Link>,
    nodes: Vec<Node>,
    /// What the nodes came to, for those that are computed.
    computed: Vec<Option<Computed>>,
    /// The states that are merged, by nodes or by the windows of lookups.
    parts: Vec<State>,
    /// The states of the window that is being looked up.
    window: Vec<State>,
    /// The bytes of all states that were computed.
    values: Vec<u8>,
    lookups: Vec<PendingLookup>,
    /// The first tile that counts in each series: [`Fold::look_ahead`]. All do while there is none.
    first_tiles: Vec<i64>,
    /// The parts of each window: for each lookup in turn, those of the view's aggregates in their order.
    windows: Vec<Range<usize>>,
    /// A replay folds some rows again; its rows stand at their places among all events.
    is_audited: bool,
    audited_rows: u64,
    failed_rows: u64,
}

/// A lookup whose windows are known, but not yet their values.
struct PendingLookup {
    expired: bool,
    newest: Option<Timestamp>,
    latest: Option<LatestRow>,
}

/// What lookups came to: one row each, in order.
#[derive(Default)]
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
        Self {
            view,
            rows: Cow::Owned(Batch::default()),
            links: Vec::new(),
            nodes: Vec::new(),
            computed: Vec::new(),
            parts: Vec::new(),
            window: Vec::new(),
            values: Vec::new(),
            lookups: Vec::new(),
            first_tiles: Vec::new(),
            windows: Vec::new(),
            is_audited: false,
            audited_rows: 0,
            failed_rows: 0,
        }
    }

    /// Takes transformed rows in, which events then refer to; returns the number of the first.
    pub(crate) fn add_rows(&mut self, rows: Batch) -> u32 {
        let known = self.rows.to_mut();
        let first = known.rows;
        if first == 0 {
            *known = rows;
        } else {
            known.append(&rows);
        }
        u32::try_from(first).expect("a step has fewer than 4 billion rows")
    }

    /// How much is waiting to be computed.
    pub(crate) fn pending(&self) -> usize {
        self.nodes.len() + self.lookups.len().max(self.parts.len() / PARTS_PER_LOOKUP)
    }

    /// Says that the key of the events to come is looked up at `time` next, and never earlier. Events that came too late for its
    /// windows are then left out, which is most of them where events are many and lookups are few.
    pub(crate) fn look_ahead(&mut self, time: Timestamp) {
        if let Shape::Aggregates { series, .. } = &self.view.shape {
            self.first_tiles.clear();
            self.first_tiles.extend(series.tiles.iter().map(|shape| shape.first_tile(time)));
        }
    }

    /// Folds the event in row `row` into the state of its key. Events come in order of visible time, then offset.
    pub(crate) fn event(&mut self, key: &mut KeyState, row: u32, event_time: Timestamp, offset: u64) {
        key.newest = key.newest.max(Some(event_time));
        match &self.view.shape {
            Shape::Aggregates { series, .. } => {
                for (index, shape) in series.tiles.iter().enumerate() {
                    self.fold_into_tile(key, index, shape, row, event_time);
                }
                for (recent, shape) in key.recent.iter_mut().zip(&series.recent) {
                    self.add_recent(recent, shape, row, (event_time, offset));
                }
                for (sessions, shape) in key.sessions.iter_mut().zip(&series.sessions) {
                    self.fold_into_session(sessions, shape, row, event_time, key.sealed);
                }
            }
            Shape::Latest(columns) => {
                let kept = key.latest.as_ref().map(|latest| (latest.event_time, latest.offset));
                if is_newest(kept, (event_time, offset)) {
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
        shape: &TilesShape,
        row: u32,
        event_time: Timestamp,
    ) {
        let tile = Block::tile(Window::tile_of(shape.hop, event_time));
        if self.first_tiles.get(series).is_some_and(|first| tile.index < *first) {
            return;
        }
        forget_blocks_over(key, series, tile, shape.levels, self.is_kept());
        if self.is_kept() {
            key.changed.insert((series, tile));
        }
        let state = key.series[series].get_mut(tile);
        if state.as_deref().is_some_and(|state| self.extend(state, row, key.sealed)) {
            return;
        }
        let work = Work::Update { previous: state.as_deref().cloned(), rows: Run::new(row, &mut self.links) };
        let folded = self.add_node(shape.aggregate, work);
        match state {
            Some(state) => *state = folded,
            None => key.series[series].insert(tile, folded),
        }
        key.pending.push((series, tile));
    }

    /// Adds a row to the run that a state is still to be computed from, unless a lookup has seen the state without it.
    fn extend(&mut self, state: &State, row: u32, sealed: usize) -> bool {
        if let State::Pending(node) = state
            && *node >= sealed
            && let Work::Update { rows, .. } = &mut self.nodes[*node].work
        {
            rows.push(row, &mut self.links);
            return true;
        }
        false
    }

    /// Whether the states of keys outlive the step, so that it matters what changed: not in a replay, which reads nothing back.
    fn is_kept(&self) -> bool {
        !self.is_audited
    }

    fn add_node(&mut self, aggregate: usize, work: Work) -> State {
        let states = match &work {
            Work::Update { previous, .. } => previous.as_slice(),
            Work::Merge(parts) => &self.parts[parts.clone()],
        };
        let mut depth = 0;
        for state in states {
            if let State::Pending(node) = state {
                depth = depth.max(self.nodes[*node].depth + 1);
            }
        }
        self.nodes.push(Node { aggregate, work, depth });
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
        if let Shape::Aggregates { aggregates, series } = &self.view.shape {
            for window in aggregates.iter().flat_map(|aggregate| &aggregate.windows) {
                let mut states = std::mem::take(&mut self.window);
                match window.series {
                    Series::Tiles(at) => self.add_blocks(key, window, at, &series.tiles[at], time, &mut states),
                    Series::Recent(at) => {
                        states.extend(key.recent[at].of(window.window).map(|(_, state)| state.clone()));
                    }
                    Series::Sessions(at) => {
                        let session = key.sessions[at].at(time, &series.sessions[at]);
                        states.extend(session.map(|(_, session)| session.state.clone()));
                    }
                }
                let parts = self.add_parts(states.drain(..));
                self.window = states;
                self.windows.push(parts);
            }
            key.sealed = self.nodes.len();
        }
        self.lookups.push(PendingLookup { expired, newest: key.newest, latest: key.latest.clone() });
    }

    /// Adds the states of the blocks that make up a window, from left to right.
    fn add_blocks(
        &mut self,
        key: &mut KeyState,
        window: &ViewWindow,
        series: usize,
        shape: &TilesShape,
        time: Timestamp,
        states: &mut Vec<State>,
    ) {
        let tiles = window.window.tiles_at(time);
        let mut places = key.series[series].places(tiles.clone());
        while !places.is_empty() {
            let (tile, state) = &key.series[series].tiles()[places.start];
            let block = Block::maximal(*tile, &tiles);
            if block.level == 0 {
                states.push(state.clone());
                places.start += 1;
                continue;
            }
            states.extend(self.block_state(key, series, shape, block));
            places.start = key.series[series].place_after(places.clone(), block);
        }
    }

    fn add_parts(&mut self, states: impl IntoIterator<Item = State>) -> Range<usize> {
        let first = self.parts.len();
        self.parts.extend(states);
        first..self.parts.len()
    }

    /// The state of a block: the tile itself, the block as merged before, or the merge of its children from left to right.
    /// A block without events has no state, and one with a single child that has events is that child.
    fn block_state(&mut self, key: &mut KeyState, series: usize, shape: &TilesShape, block: Block) -> Option<State> {
        if let Some(state) = key.series[series].get(block) {
            return Some(state.clone());
        }
        if block.level == 0 {
            return None;
        }
        let mut children = self.child_states(key, series, shape, block);
        if children.len() < 2 {
            return children.pop();
        }
        let children = self.add_parts(children);
        let state = self.add_node(shape.aggregate, Work::Merge(children));
        key.series[series].insert(block, state.clone());
        key.pending.push((series, block));
        if self.is_kept() {
            key.changed.insert((series, block));
        }
        Some(state)
    }

    fn child_states(&mut self, key: &mut KeyState, series: usize, shape: &TilesShape, block: Block) -> Vec<State> {
        let covered = &key.series[series].tiles()[key.series[series].places(block.tiles())];
        if block.level == 1 || covered.len() < 2 {
            return covered.iter().map(|(_, state)| state.clone()).collect();
        }
        block.children().filter_map(|child| self.block_state(key, series, shape, child)).collect()
    }

    /// Puts computed values in the place of the nodes that a key refers to. After this the key outlives the step.
    pub(crate) fn settle(&self, key: &mut KeyState) {
        key.sealed = 0;
        for (series, block) in std::mem::take(&mut key.pending) {
            // A block that was computed and then forgotten again, because an event changed a tile under it, is not there.
            if let Some(state) = key.series[series].get_mut(block) {
                self.settle_state(state);
            }
        }
        key.recent.iter_mut().for_each(|recent| self.settle_recent(recent));
        key.sessions.iter_mut().for_each(|sessions| self.settle_sessions(sessions));
    }

    fn settle_state(&self, state: &mut State) {
        if let State::Pending(node) = *state {
            *state = match &self.computed[node] {
                Some(Computed::Bytes(range)) => State::Known(self.values[range.clone()].into()),
                Some(Computed::Failed(failure)) => State::Failed(failure.clone()),
                None => unreachable!("a key is settled after its nodes are computed"),
            };
        }
    }

    /// Forgets rows and nodes. Every key that took part has been settled.
    pub(crate) fn clear(&mut self) {
        if let Cow::Owned(rows) = &mut self.rows {
            *rows = Batch::default();
        }
        self.links.clear();
        self.nodes.clear();
        self.computed.clear();
        self.parts.clear();
        self.values.clear();
    }
}

/// Blocks over a tile are merged anew once the tile has changed.
fn forget_blocks_over(key: &mut KeyState, series: usize, tile: Block, levels: u8, is_kept: bool) {
    let mut block = tile;
    for _ in 0..levels {
        block = block.parent();
        if key.series[series].remove(block) && is_kept {
            key.changed.insert((series, block));
        }
    }
}

/// Whether an event takes the place of the newest one so far, each with its event time and offset.
pub(crate) fn is_newest(kept: Option<(Timestamp, u64)>, event: (Timestamp, u64)) -> bool {
    kept.is_none_or(|kept| kept <= event)
}

/// What is said of a feature of one lookup.
pub(crate) fn status(expired: bool, failed: bool, is_valid: bool) -> Status {
    match () {
        () if expired => Status::Expired,
        () if failed => Status::Failed,
        () if is_valid => Status::Present,
        () => Status::Missing,
    }
}

/// Whether the newest event of an entity happened too long ago.
pub(crate) fn is_expired(ttl: Option<TimeSpan>, newest: Option<Timestamp>, time: Timestamp) -> bool {
    match (ttl, newest) {
        (Some(ttl), Some(newest)) => newest < time.saturating_sub(ttl),
        _ => false,
    }
}
