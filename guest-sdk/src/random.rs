//! Random numbers that come out of a row.

use rand_pcg::{Pcg64, rand_core::Rng};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::math;

/// Random numbers that depend on a seed and a key alone: the same two give the same numbers on every machine, in every
/// batch and in every run, so a sample or a noise drawn online is the one that a replay draws.
///
/// The key is what makes one row another, as a column with an identity has it. The seed is a parameter, as a rule: another
/// one gives other numbers for the same rows.
///
/// ```
/// use oast_sdk::{Outcome, Params, Random, Row, transform};
///
/// #[derive(Row)]
/// struct Flight<'a> {
///     flight_id: &'a str,
///     dep_delay: f64,
/// }
///
/// #[derive(Row)]
/// struct Noisy {
///     dep_delay: f64,
/// }
///
/// #[derive(Params)]
/// struct Sample {
///     #[param(default = 0)]
///     seed: u32,
///     /// The share of the flights that is kept.
///     #[param(range = 0.0..=1.0, example = 0.1)]
///     share: f64,
/// }
///
/// /// Keeps a share of the flights, and adds normal noise to their delays.
/// #[transform]
/// fn sample(flight: Flight<'_>, sample: &Sample) -> Outcome<Noisy> {
///     let mut random = Random::new(sample.seed.into(), flight.flight_id);
///     if !random.chance(sample.share) {
///         return Outcome::Drop;
///     }
///     Outcome::Keep(Noisy { dep_delay: flight.dep_delay + random.normal() })
/// }
/// # fn main() {}
/// ```
///
/// The numbers are those of PCG XSL RR 128/64 (O'Neill, 2014), seeded by XXH3 of seed and key. They are good enough for
/// sampling, noise and random projections; they keep no secret.
#[derive(Debug, Clone)]
pub struct Random(Pcg64);

impl Random {
    /// The numbers that belong to the seed and the key: a text, bytes, or for an integer `id.to_le_bytes()`.
    pub fn new(seed: u64, key: impl AsRef<[u8]>) -> Self {
        let state = xxh3_128_with_seed(key.as_ref(), seed);
        // One stream is enough, since states are 128 bits apart.
        const STREAM: u128 = 0x6f61_7374;
        Self(Pcg64::new(state, STREAM))
    }

    /// Any of the 2^64 integers.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 up to and without 1, one of 2^53 at equal distances.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// True with this probability: never at 0 or below or for NaN, always at 1 and above.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// An integer below the bound, each as likely as any other; 0 if the bound is 0.
    ///
    /// Lemire, *Fast Random Integer Generation in an Interval* (2019).
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = |random: u64| u128::from(random) * u128::from(bound);
        let mut product = wide(self.next_u64());
        // As many of the products' lower halves as would make some results likelier than others are drawn again.
        let unfair = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
        while (product as u64) < unfair {
            product = wide(self.next_u64());
        }
        (product >> 64) as u64
    }

    /// A number from the normal distribution with mean 0 and variance 1: Box and Muller (1958).
    pub fn normal(&mut self) -> f64 {
        // The logarithm of 0 is none; 1 - u is above 0 and its logarithm at least -37.
        let radius = (-2.0 * math::ln(1.0 - self.uniform())).sqrt();
        radius * math::cos(std::f64::consts::TAU * self.uniform())
    }

    /// Puts the elements in a random order, each as likely as any other.
    pub fn shuffle<T>(&mut self, elements: &mut [T]) {
        for last in (1..elements.len()).rev() {
            let place = self.below(last as u64 + 1) as usize;
            elements.swap(last, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_numbers_never_change() {
        let mut random = Random::new(7, "N14228");
        let integers = [random.next_u64(), random.below(6), random.below(1_000_000_007)];
        // As NumPy's PCG64 gives them from the state that the Python package xxhash computes.
        assert_eq!(integers, [14_893_293_755_821_819_477, 5, 564_540_161]);
        let floats = [random.uniform(), random.normal()].map(f64::to_bits);
        assert_eq!(floats, [0x3fb2_bd36_200f_ecd8, 0x3fd7_8630_392b_3278]);
    }

    #[test]
    fn seed_and_key_make_a_difference() {
        let first = |seed, key: &str| Random::new(seed, key).next_u64();
        assert_eq!(first(1, "a"), first(1, "a"));
        assert_ne!(first(1, "a"), first(2, "a"));
        assert_ne!(first(1, "a"), first(1, "b"));
    }

    #[test]
    fn numbers_are_distributed_as_said() {
        let mut random = Random::new(0, "distribution");
        let count = 100_000;
        let mut dice = [0_u32; 6];
        let (mut uniform, mut normal, mut squares, mut heads) = (0.0, 0.0, 0.0, 0);
        for _ in 0..count {
            dice[random.below(6) as usize] += 1;
            uniform += random.uniform();
            let number = random.normal();
            normal += number;
            squares += number * number;
            heads += u32::from(random.chance(0.25));
        }
        let count = f64::from(count);
        let near = |value: f64, expect: f64, deviation: f64| {
            assert!((value - expect).abs() < 4.0 * deviation, "{value} is not near {expect}");
        };
        for face in dice {
            near(f64::from(face), count / 6.0, (count * 5.0 / 36.0).sqrt());
        }
        near(uniform / count, 0.5, (1.0 / 12.0 / count).sqrt());
        near(normal / count, 0.0, (1.0 / count).sqrt());
        near(squares / count, 1.0, (2.0 / count).sqrt());
        near(f64::from(heads), count * 0.25, (count * 0.1875).sqrt());
    }

    #[test]
    fn bounds_hold() {
        let mut random = Random::new(0, "bounds");
        assert_eq!((random.below(0), random.below(1)), (0, 0));
        assert!((0..1000).all(|_| random.below(3) < 3));
        assert!((0..1000).all(|_| !random.chance(0.0) && random.chance(1.0) && !random.chance(f64::NAN)));
        let mut cards: Vec<u32> = (0..52).collect();
        random.shuffle(&mut cards);
        assert_ne!(cards, (0..52).collect::<Vec<_>>());
        cards.sort_unstable();
        assert_eq!(cards, (0..52).collect::<Vec<_>>());
    }
}
