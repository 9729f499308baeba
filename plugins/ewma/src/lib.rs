//! The standard plugin `ewma`.

use oast_sdk::math::exp2;
use oast_sdk::{Aggregate, Json, MergeLaw, Param, Params, Row, State, Timestamp, aggregate};

/// The exponentially weighted moving average by event time: an event counts half as much for every half-life that it is
/// older than the latest.
///
/// `ewma = sum(w_i * x_i) / sum(w_i)` with `w_i = 2^(-(t - t_i) / half_life)`, where t is the latest event time, and
/// `weight = sum(w_i)`, which says how many fresh events the average is worth. Both sums are kept relative to t and
/// move along with it, so a late event gets the weight that it would have had in time, and the order of the rows
/// matters by no more than rounding: Cormode, Shkapenyuk, Srivastava and Xu, *Forward Decay: A Practical Time Decay
/// Model for Streaming Systems* (ICDE 2009). It is what pandas computes with `ewm(halflife=..., times=...).mean()`.
///
/// Nulls, NaN and infinities are skipped; without a value `ewma` is null and `weight` 0. Merging is exact but for
/// rounding. The state takes 24 bytes.
#[aggregate]
#[derive(Debug, Default, State)]
pub struct Ewma {
    /// The latest event time, in microseconds.
    time: i64,
    sum: f64,
    /// 0 before the first event, at least 1 ever after.
    weight: f64,
}

/// One event.
#[derive(Row)]
pub struct Input {
    /// The column; int64 is converted to the nearest double.
    pub value: Option<f64>,
    /// When it happened.
    pub event_time: Timestamp,
}

/// The features.
#[derive(Debug, Row)]
pub struct Features {
    /// The average.
    pub ewma: Option<f64>,
    /// The sum of the weights.
    pub weight: f64,
}

/// The parameters of [`Ewma`].
#[derive(Debug, Params)]
pub struct Decay {
    /// How long it takes until an event counts half.
    half_life_seconds: HalfLife,
}

/// A time in seconds, above 0.
#[derive(Debug, Clone, Copy)]
pub struct HalfLife(f64);

impl Param for HalfLife {
    const EXPECTED: &'static str = "a number of seconds above 0";
    const EXAMPLE: &'static str = "3600";

    fn from_json(json: &Json) -> Option<Self> {
        json.as_f64().filter(|seconds| *seconds > 0.0).map(Self)
    }
}

impl Aggregate for Ewma {
    type Input<'a> = Input;
    type Output = Features;
    type Params = Decay;
    const MERGE_LAW: MergeLaw = MergeLaw::Rounded;

    fn update(&mut self, row: Input, decay: &Decay) {
        if let Some(value) = row.value.filter(|value| value.is_finite()) {
            self.merge(Self { time: row.event_time.0, sum: value, weight: 1.0 }, decay);
        }
    }

    fn merge(&mut self, mut later: Self, decay: &Decay) {
        if self.weight == 0.0 {
            *self = later;
            return;
        }
        let (older, newer) = (self.time.min(later.time), self.time.max(later.time));
        if older != newer {
            let factor = decay.factor(newer.saturating_sub(older));
            (if self.time == older { &mut *self } else { &mut later }).fade(factor);
        }
        self.time = newer;
        self.sum += later.sum;
        self.weight += later.weight;
    }

    fn finish(&self, _: &Decay) -> Features {
        Features { ewma: (self.weight > 0.0).then(|| self.sum / self.weight), weight: self.weight }
    }
}

impl Ewma {
    fn fade(&mut self, factor: f64) {
        self.sum *= factor;
        self.weight *= factor;
    }
}

impl Decay {
    /// What is left of a weight after this many microseconds.
    fn factor(&self, age: i64) -> f64 {
        exp2(-(age as f64 / 1e6) / self.half_life_seconds.0)
    }
}

#[cfg(test)]
mod tests;
