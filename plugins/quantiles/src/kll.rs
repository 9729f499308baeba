//! The sketch of Karnin, Lang and Liberty.

use oast_sdk::state::{corrupt, to_bytes};
use oast_sdk::{Error, State, hash};

/// The fewest values of a level. Smaller levels would save little and cost precision.
const LEVEL_MIN: usize = 8;

/// Values at levels of doubling weight. More levels than this would stand for more values than can be counted.
const LEVELS_MAX: usize = 60;

/// A sketch of a set of numbers, none of which is NaN.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kll {
    /// The extremes of everything that was ever inserted.
    min: f64,
    max: f64,
    /// A value at level i stands for 2^i values.
    levels: Vec<Vec<f64>>,
}

impl Kll {
    /// Takes in a number.
    pub fn insert(&mut self, value: f64, k: usize) {
        self.bound(value, value);
        if self.levels.is_empty() {
            self.levels.push(Vec::new());
        }
        self.levels[0].push(value);
        self.compress(k);
    }

    /// Takes in another sketch.
    pub fn merge(&mut self, other: Self, k: usize) {
        if other.levels.is_empty() {
            return;
        }
        self.bound(other.min, other.max);
        for (level, values) in other.levels.into_iter().enumerate() {
            match self.levels.get_mut(level) {
                Some(kept) => kept.extend(values),
                None => self.levels.push(values),
            }
        }
        self.compress(k);
    }

    /// The percentiles, or nothing when there is no value.
    pub fn percentiles(&self, percentiles: &[f64]) -> Option<Vec<f64>> {
        let mut weighted: Vec<(f64, u64)> = Vec::new();
        for (level, values) in self.levels.iter().enumerate() {
            weighted.extend(values.iter().map(|value| (*value, 1 << level)));
        }
        weighted.sort_by(|left, right| left.0.total_cmp(&right.0));
        let count = weighted.iter().fold(0_u64, |sum, (_, weight)| sum.saturating_add(*weight));
        let percentile = |percentile: &f64| {
            if *percentile == 0.0 {
                return self.min;
            }
            // The rank counts from 1.
            let rank = percentile * count as f64 / 100.0;
            let mut below = 0_u64;
            let found = weighted.iter().find(|(_, weight)| {
                below = below.saturating_add(*weight);
                below as f64 >= rank
            });
            if *percentile == 100.0 { self.max } else { found.map_or(self.max, |(value, _)| *value) }
        };
        (count > 0).then(|| percentiles.iter().map(percentile).collect())
    }

    fn bound(&mut self, min: f64, max: f64) {
        if self.levels.is_empty() {
            (self.min, self.max) = (min, max);
            return;
        }
        self.min = if min.total_cmp(&self.min).is_lt() { min } else { self.min };
        self.max = if max.total_cmp(&self.max).is_gt() { max } else { self.max };
    }

    /// Halves levels, the lowest full one first, until everything fits.
    fn compress(&mut self, k: usize) {
        loop {
            let rooms = rooms(k, self.levels.len());
            let held: usize = self.levels.iter().map(Vec::len).sum();
            if held <= rooms.iter().sum() {
                return;
            }
            let full = self.levels.iter().zip(&rooms).position(|(values, room)| values.len() > *room);
            self.halve(full.unwrap_or(self.levels.len() - 1));
        }
    }

    /// Moves every other value of a level up to the next one. Of an odd number one stays behind, so that the weights
    /// add up to the count.
    fn halve(&mut self, level: usize) {
        let mut values = std::mem::take(&mut self.levels[level]);
        values.sort_by(f64::total_cmp);
        let coins = hash(&to_bytes(&values));
        if values.len() % 2 == 1 {
            let stays = if coins & 2 == 0 { 0 } else { values.len() - 1 };
            self.levels[level].push(values.remove(stays));
        }
        if level + 1 == self.levels.len() {
            self.levels.push(Vec::new());
        }
        let from = (coins & 1) as usize;
        self.levels[level + 1].extend(values.into_iter().skip(from).step_by(2));
    }
}

/// How many values each level has room for: k at the top, and two thirds of the one above below it.
fn rooms(k: usize, levels: usize) -> Vec<usize> {
    let mut room = k;
    let mut rooms = vec![0; levels];
    for slot in rooms.iter_mut().rev() {
        *slot = room.max(LEVEL_MIN);
        room = room * 2 / 3;
    }
    rooms
}

impl State for Kll {
    fn encode(&self, bytes: &mut Vec<u8>) {
        self.min.encode(bytes);
        self.max.encode(bytes);
        self.levels.encode(bytes);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, Error> {
        let (min, max) = (f64::decode(bytes)?, f64::decode(bytes)?);
        let levels: Vec<Vec<f64>> = Vec::decode(bytes)?;
        if levels.len() > LEVELS_MAX || levels.iter().flatten().any(|value| value.is_nan()) {
            return Err(corrupt("a sketch has too many levels, or a value that is none"));
        }
        Ok(Self { min, max, levels })
    }
}
