use std::ops::Range;

use oast_core::Block;

use super::State;

/// The tiles and blocks of one key in one series: for each level, what there is in order of place. Events come nearly in
/// order of time, so most is added at the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tiles {
    levels: Vec<Vec<(i64, State)>>,
}

impl Tiles {
    /// The state of a tile or block.
    pub(crate) fn get(&self, block: Block) -> Option<&State> {
        let level = self.levels.get(usize::from(block.level))?;
        find(level, block.index).ok().map(|at| &level[at].1)
    }

    pub(crate) fn get_mut(&mut self, block: Block) -> Option<&mut State> {
        let level = self.levels.get_mut(usize::from(block.level))?;
        find(level, block.index).ok().map(|at| &mut level[at].1)
    }

    /// Puts a state in the place of what was there.
    pub(crate) fn insert(&mut self, block: Block, state: State) {
        let number = usize::from(block.level);
        if self.levels.len() <= number {
            self.levels.resize_with(number + 1, Vec::new);
        }
        let level = &mut self.levels[number];
        match find(level, block.index) {
            Ok(at) => level[at].1 = state,
            Err(at) => level.insert(at, (block.index, state)),
        }
    }

    /// Takes a tile or block out; says whether it was there.
    pub(crate) fn remove(&mut self, block: Block) -> bool {
        let Some(level) = self.levels.get_mut(usize::from(block.level)) else { return false };
        let found = find(level, block.index);
        found.map(|at| level.remove(at)).is_ok()
    }

    /// Keeps only some tiles and blocks.
    pub(crate) fn retain(&mut self, mut wanted: impl FnMut(Block) -> bool) {
        for (number, level) in (0..).zip(&mut self.levels) {
            level.retain(|(index, _)| wanted(Block { level: number, index: *index }));
        }
    }

    /// All tiles in order.
    pub(crate) fn tiles(&self) -> &[(i64, State)] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }

    /// Where the tiles of a range stand among [`Self::tiles`].
    pub(crate) fn places(&self, tiles: Range<i64>) -> Range<usize> {
        let all = self.tiles();
        let start = find(all, tiles.start).unwrap_or_else(|place| place);
        let end = start + find(&all[start..], tiles.end).unwrap_or_else(|place| place);
        start..end
    }

    /// Where the first tile after a block stands, if the first one in it stands at the beginning of these places.
    pub(crate) fn place_after(&self, places: Range<usize>, block: Block) -> usize {
        let tiles = block.tiles();
        let most = usize::try_from(tiles.end - tiles.start).unwrap_or(usize::MAX);
        let end = places.end.min(places.start.saturating_add(most));
        places.start + find(&self.tiles()[places.start..end], tiles.end).unwrap_or_else(|place| place)
    }
}

/// Where a tile or block stands, or where it would.
fn find(level: &[(i64, State)], index: i64) -> Result<usize, usize> {
    match level.last() {
        None => Err(0),
        Some((last, _)) if *last < index => Err(level.len()),
        Some((last, _)) if *last == index => Ok(level.len() - 1),
        Some(_) => level.binary_search_by_key(&index, |(index, _)| *index),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;

    fn number(state: Option<&State>) -> Option<usize> {
        match state {
            Some(State::Pending(number)) => Some(*number),
            _ => None,
        }
    }

    /// Blocks are put in, taken out and forgotten in an order that is nearly that of time, as in a replay, and here and there is not.
    #[test]
    fn a_series_is_an_ordered_map() {
        let (mut series, mut map) = (Tiles::default(), BTreeMap::new());
        let mut random: u64 = 1;
        for step in 0..4_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let drawn = random >> 33;
            let block = Block { level: (drawn % 3) as u8, index: i64::from(step / 8) - (drawn % 7) as i64 * 3 };
            match drawn % 11 {
                0 => assert_eq!(series.remove(block), map.remove(&block).is_some(), "{step}"),
                1 if drawn.is_multiple_of(5) => {
                    series.retain(|kept| kept.index % 4 != 0);
                    map.retain(|kept: &Block, _| kept.index % 4 != 0);
                }
                2 => {
                    if let Some(state) = series.get_mut(block) {
                        *state = State::Pending(step as usize);
                    }
                    map.entry(block).and_modify(|state| *state = step as usize);
                }
                _ => {
                    series.insert(block, State::Pending(step as usize));
                    map.insert(block, step as usize);
                }
            }
            assert_eq!(number(series.get(block)), map.get(&block).copied(), "{step}");
            let tiles = block.tiles();
            let found = series.tiles()[series.places(tiles.clone())].iter().map(|(index, state)| (*index, state));
            let found: Vec<_> = found.map(|(index, state)| (index, number(Some(state)))).collect();
            let expected = map.range(Block::tile(tiles.start)..Block::tile(tiles.end));
            let expected: Vec<_> = expected.map(|(tile, number)| (tile.index, Some(*number))).collect();
            assert_eq!(found, expected, "{step}");
            let places = series.places(tiles.start..i64::MAX);
            assert_eq!(series.place_after(places, block), series.places(tiles).end, "{step}");
        }
    }

    #[test]
    fn an_empty_series_has_nothing() {
        let mut series = Tiles::default();
        assert!(series.get(Block::tile(0)).is_none() && series.get_mut(Block { level: 3, index: 0 }).is_none());
        assert!(!series.remove(Block::tile(0)));
        assert_eq!(series.places(-5..5), 0..0);
        series.insert(Block::tile(2), State::Known(Arc::from([1])));
        assert_eq!(series.places(-5..2), 0..0);
        assert_eq!(series.places(2..3), 0..1);
        assert_eq!(series.places(3..9), 1..1);
    }
}
