//! What a window was made of at the time of a lookup.

use oast_core::{Blobs, Block, Timestamp, Window};
use oast_engine::Groups;

use super::{ExplainedBlock, ExplainedValue, ExplainedWindow, Seen, explained_events, nothing};
use crate::{
    RuntimeError,
    fold::{KeyState, State},
    view::{Series, SeriesShapes, SessionsShape, TilesShape, ViewAggregate, ViewWindow},
};

/// What a window is made of, from left to right.
struct Parts<'s> {
    from: Option<String>,
    blocks: Vec<ExplainedBlock>,
    states: Vec<&'s State>,
    /// In fold order.
    events: Vec<u32>,
}

impl Seen<'_> {
    /// Where the features of a window come from.
    pub(super) fn window(
        &self,
        aggregate: &ViewAggregate,
        window: &ViewWindow,
        shapes: &SeriesShapes,
    ) -> Result<ExplainedValue, RuntimeError> {
        let parts = match window.series {
            Series::Tiles(series) => self.tiles(window.window, series, &shapes.tiles[series]),
            Series::Recent(series) => self.recent(window.window, series),
            Series::Sessions(series) => self.session(series, &shapes.sessions[series]),
        };
        let merged: Result<Blobs, String> = parts.states.iter().map(|state| bytes(state)).collect();
        let (fuel, failure) = match merged {
            Err(failure) => (None, Some(failure)),
            Ok(states) => {
                let finished = aggregate.bound.aggregate(false).finish(Groups::new(&states, &[states.len() as u32]))?;
                let failure = finished.failures.first().and_then(|failure| failure.as_ref().map(ToString::to_string));
                (Some(finished.consumed), failure)
            }
        };
        let offsets = parts.events.iter().map(|event| self.events.offset(*event)).collect();
        Ok(ExplainedValue {
            window: Some(ExplainedWindow {
                length: window.window.to_string(),
                from: parts.from,
                to: self.time.to_string(),
                blocks: parts.blocks,
            }),
            events: Some(explained_events(offsets)),
            fuel,
            failure,
            ..nothing()
        })
    }

    fn tiles(&self, window: Window, series: usize, shape: &TilesShape) -> Parts<'_> {
        let tiles = window.tiles_at(self.time);
        let begins = |tile: i64| shape.hop.map(|hop| Timestamp::from_micros(tile * hop.as_micros()).to_string());
        let within = |tiles: &std::ops::Range<i64>| {
            self.events_where(|event| tiles.contains(&Window::tile_of(shape.hop, self.events.time(event))))
        };
        let (mut blocks, mut states) = (Vec::new(), Vec::new());
        for block in Block::covering(tiles.clone()) {
            let Some(state) = state_of(&self.key, series, block) else { continue };
            let covered = block.tiles();
            blocks.push(ExplainedBlock {
                from: begins(covered.start),
                tiles: (covered.end - covered.start) as u64,
                events: within(&covered).len() as u64,
                state_bytes: state_bytes(state),
            });
            states.push(state);
        }
        Parts { from: begins(tiles.start), blocks, states, events: within(&tiles) }
    }

    fn recent(&self, window: Window, series: usize) -> Parts<'_> {
        let recent: Vec<_> = self.key.recent[series].of(window).collect();
        let block = |((time, _), state): &(&(Timestamp, u64), &State)| block_without_tiles(*time, 1, state);
        let oldest = recent.first().map(|(order, _)| **order);
        let events = self.events_where(|event| {
            oldest.is_some_and(|oldest| (self.events.time(event), self.events.offset(event)) >= oldest)
        });
        Parts {
            from: oldest.map(|(time, _)| time.to_string()),
            blocks: recent.iter().map(block).collect(),
            states: recent.iter().map(|(_, state)| *state).collect(),
            events,
        }
    }

    fn session(&self, series: usize, shape: &SessionsShape) -> Parts<'_> {
        let Some((first, session)) = self.key.sessions[series].at(self.time, shape) else {
            return Parts {
                from: Some(self.time.to_string()),
                blocks: Vec::new(),
                states: Vec::new(),
                events: Vec::new(),
            };
        };
        let events = self.events_where(|event| self.events.time(event) >= first);
        Parts {
            from: Some(first.to_string()),
            blocks: vec![block_without_tiles(first, events.len() as u64, &session.state)],
            states: vec![&session.state],
            events,
        }
    }

    fn events_where(&self, is_wanted: impl Fn(u32) -> bool) -> Vec<u32> {
        self.visible.iter().copied().filter(|event| is_wanted(*event)).collect()
    }
}

fn block_without_tiles(from: Timestamp, events: u64, state: &State) -> ExplainedBlock {
    ExplainedBlock { from: Some(from.to_string()), tiles: 0, events, state_bytes: state_bytes(state) }
}

/// The state of a block as a lookup left it; one with a single child that has events is that child.
fn state_of(key: &KeyState, series: usize, block: Block) -> Option<&State> {
    match key.series[series].get(block) {
        Some(state) => Some(state),
        None => block.children().find_map(|child| state_of(key, series, child)),
    }
}

fn state_bytes(state: &State) -> u64 {
    bytes(state).map_or(0, |bytes| bytes.len() as u64)
}

/// The bytes of a settled state, or why there are none.
fn bytes(state: &State) -> Result<&[u8], String> {
    match state {
        State::Known(bytes) => Ok(bytes),
        State::Failed(failure) => Err(failure.to_string()),
        State::Pending(_) => unreachable!("the state was settled after its lookup"),
    }
}
