use std::{fmt, ops::Range};

use crate::{TimeSpan, Timestamp};

/// A stretch of event time over which an aggregate is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    /// A sawtooth window: from `floor(T - length, hop)`, inclusive, to T, exclusive.
    Sawtooth {
        /// The length W.
        length: TimeSpan,
        /// The resolution of the window's tail, and the width of its tiles.
        hop: TimeSpan,
    },
    /// Everything before T.
    Lifetime,
    /// The newest events before T, by event time and then by offset, however old they are.
    Last {
        /// How many; at least 1, and at most [`Window::LAST_MAX`].
        events: u32,
    },
    /// The session of the newest event before T, if that event is no older than the gap; else nothing. A session is a
    /// maximal run of events of which none happened later than the gap after the one before.
    Session {
        /// The longest pause within a session.
        gap: TimeSpan,
    },
}

/// A run of `4^level` tiles that begins at a multiple of its own length; a tile is a block of level 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// How many times tiles were grouped by four.
    pub level: u8,
    /// The block's place among those of its level: it covers the tiles from `index * 4^level`.
    pub index: i64,
}

impl Block {
    /// How many children a block has: tiles for the blocks of level 1, blocks of the level below for the others.
    const FAN_OUT: i64 = 4;

    /// The block of level 0 that is one tile.
    pub const fn tile(index: i64) -> Self {
        Self { level: 0, index }
    }

    /// The block one level up that covers this one.
    pub const fn parent(self) -> Self {
        Self { level: self.level + 1, index: self.index.div_euclid(Self::FAN_OUT) }
    }

    /// The four blocks one level down, from left to right; a tile has none.
    pub fn children(self) -> impl Iterator<Item = Self> {
        let first = self.index * Self::FAN_OUT;
        let count = if self.level == 0 { 0 } else { Self::FAN_OUT };
        (first..first + count).map(move |index| Self { level: self.level - 1, index })
    }

    /// The tiles the block covers.
    pub fn tiles(self) -> Range<i64> {
        let width = Self::FAN_OUT.pow(u32::from(self.level));
        self.index * width..(self.index + 1) * width
    }

    /// The block that a tile of a range belongs to among those that [`Self::covering`] the range has: the largest one that has the
    /// tile and lies within the range.
    pub fn maximal(tile: i64, within: &Range<i64>) -> Self {
        let mut block = Self::tile(tile);
        loop {
            let parent = block.parent();
            let tiles = parent.tiles();
            if tiles.start < within.start || tiles.end > within.end {
                return block;
            }
            block = parent;
        }
    }

    /// The maximal aligned blocks that cover exactly the given tiles, from left to right.
    pub fn covering(tiles: Range<i64>) -> Vec<Self> {
        let mut blocks = Vec::new();
        let mut start = tiles.start;
        while start < tiles.end {
            let mut block = Self::tile(start);
            while block.parent().tiles().start == start && block.parent().tiles().end <= tiles.end {
                block = block.parent();
            }
            start = block.tiles().end;
            blocks.push(block);
        }
        blocks
    }
}

impl Window {
    /// The most events that a window of the last events can have. Each has a state of its own, and a lookup merges them all.
    pub const LAST_MAX: u32 = 1_000;

    /// A sawtooth window with the default hop for its length: 5 minutes below 12 hours, 1 hour below 12 days, else 1 day
    /// (as in Chronon).
    pub fn sawtooth(length: TimeSpan) -> Self {
        let hop = if length < TimeSpan::from_hours(12) {
            TimeSpan::from_minutes(5)
        } else if length < TimeSpan::from_days(12) {
            TimeSpan::from_hours(1)
        } else {
            TimeSpan::from_days(1)
        };
        Self::Sawtooth { length, hop }
    }

    /// The width of the window's tiles; a lifetime is one tile without bounds, and last events and sessions have no tiles.
    pub fn hop(self) -> Option<TimeSpan> {
        match self {
            Self::Sawtooth { hop, .. } => Some(hop),
            Self::Lifetime | Self::Last { .. } | Self::Session { .. } => None,
        }
    }

    /// The tile that an event time belongs to, for tiles of this width.
    pub fn tile_of(hop: Option<TimeSpan>, event_time: Timestamp) -> i64 {
        hop.map_or(0, |hop| event_time.as_micros().div_euclid(hop.as_micros()))
    }

    /// The highest level of which a whole block fits into the window; 0 for a window that has no blocks.
    pub fn levels(self) -> u8 {
        let Self::Sawtooth { length, hop } = self else { return 0 };
        let tiles = length.as_micros() / hop.as_micros() + 2;
        (1..).take_while(|level| Block::FAN_OUT.checked_pow(*level).is_some_and(|width| width <= tiles)).count() as u8
    }

    /// The tiles that the window covers at `time`: those from `floor(T - W, hop)` to the one that ends at or after T.
    /// None for a window that has no tiles.
    pub fn tiles_at(self, time: Timestamp) -> Range<i64> {
        match self {
            Self::Lifetime => 0..1,
            Self::Last { .. } | Self::Session { .. } => 0..0,
            Self::Sawtooth { length, hop } => {
                let last_moment = time.saturating_sub(TimeSpan::from_micros(1));
                Self::tile_of(Some(hop), time.saturating_sub(length))..Self::tile_of(Some(hop), last_moment) + 1
            }
        }
    }
}

impl fmt::Display for Window {
    /// The window as definitions write it, without the hop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sawtooth { length, .. } => length.fmt(f),
            Self::Lifetime => f.write_str("lifetime"),
            Self::Last { events } => write!(f, "last_{events}"),
            Self::Session { gap } => write!(f, "session_{gap}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(text: &str) -> TimeSpan {
        text.parse().expect(text)
    }

    #[test]
    fn hops_default_by_length() {
        let check = |length, hop| assert_eq!(Window::sawtooth(span(length)).hop(), Some(span(hop)), "{length}");
        check("1h", "5m");
        check("719m", "5m");
        check("12h", "1h");
        check("7d", "1h");
        check("12d", "1d");
        check("365d", "1d");
    }

    #[test]
    fn the_head_is_exact_and_the_tail_moves_in_hops() {
        let window = Window::sawtooth(span("1h"));
        let check = |time: &str, tiles| assert_eq!(window.tiles_at(time.parse().expect(time)), tiles, "{time}");
        check("1970-01-01T02:00:00Z", 12..24);
        check("1970-01-01T02:00:00.000001Z", 12..25);
        check("1970-01-01T02:04:59.999999Z", 12..25);
        check("1970-01-01T02:05:00Z", 13..25);
        check("1970-01-01T00:00:00Z", -12..0);
        assert_eq!(Window::Lifetime.tiles_at(Timestamp::MIN), 0..1);
    }

    proptest! {
        #[test]
        fn no_block_of_a_window_is_above_its_levels(
            hours in 1_u32..20_000,
            minutes in prop::sample::select(vec![5, 60, 1440]),
            time in -1_000_000_000_000_000_i64..1_000_000_000_000_000,
        ) {
            let window = Window::Sawtooth { length: TimeSpan::from_hours(hours), hop: TimeSpan::from_minutes(minutes) };
            let blocks = Block::covering(window.tiles_at(Timestamp::from_micros(time)));
            prop_assert!(blocks.iter().all(|block| block.level <= window.levels()), "{blocks:?}");
        }

        #[test]
        fn blocks_cover_their_tiles_once_and_are_maximal(start in -100_000_i64..100_000, length in 1_i64..100_000) {
            let blocks = Block::covering(start..start + length);
            let mut at = start;
            for block in &blocks {
                prop_assert_eq!(block.tiles().start, at);
                let covered = block.tiles();
                prop_assert_eq!(Block::maximal(covered.start, &(start..start + length)), *block);
                prop_assert_eq!(Block::maximal(covered.end - 1, &(start..start + length)), *block);
                at = block.tiles().end;
                let parent = block.parent().tiles();
                prop_assert!(parent.start < start || parent.end > start + length);
            }
            prop_assert_eq!(at, start + length);
        }

        #[test]
        fn children_make_up_their_block(level in 1_u8..10, index in -1000_i64..1000) {
            let block = Block { level, index };
            let children: Vec<_> = block.children().collect();
            prop_assert_eq!(children.len(), 4);
            prop_assert!(children.iter().all(|child| child.parent() == block));
            prop_assert_eq!(children[0].tiles().start, block.tiles().start);
            prop_assert_eq!(children[3].tiles().end, block.tiles().end);
        }
    }
}
