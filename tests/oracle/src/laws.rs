//! The laws that every aggregate keeps, tried on given rows cut at many places.

use oast_sdk::testing::Aggregation;
use oast_sdk::{BatchAggregate, Blobs, Json, MergeLaw};

/// Rows to try an aggregate on.
pub struct Trial<'a> {
    /// The plugin's parameters, an object.
    pub params: Json,
    /// The columns at hand, as in the `new` of [`Aggregation`].
    pub offered: &'a str,
    /// In the order of the input schema, the event time last if it is asked for.
    pub rows: Vec<Json>,
}

/// Checks that
///
/// - folding row by row through the returned state gives the bytes of folding at once,
/// - a state that no row has touched changes nothing,
/// - states of any split agree with one state, and merging agrees with itself however it is bracketed, to the extent of
///   the plugin's merge law,
/// - rows in any order agree likewise, unless the plugin says that it is sensitive to order.
pub fn check<A: BatchAggregate>(trial: Trial<'_>) {
    assert!(A::MERGE_LAW != MergeLaw::Approximate, "say what its features may be");
    check_within::<A>(trial, |_| false);
}

/// The same for an approximate aggregate: the features of all rows, however they are split, are `within` its stated
/// error.
pub fn check_within<A: BatchAggregate>(trial: Trial<'_>, within: impl Fn(&Json) -> bool) {
    let plugin = Aggregation::<A>::new(trial.params, trial.offered).expect("the plugin configures");
    let lawful = |found: &Json, expect: &Json, what: &str| {
        let holds = match A::MERGE_LAW {
            MergeLaw::Exact => has_the_bits_of(found, expect),
            MergeLaw::Rounded => same_but_for_rounding(found, expect),
            MergeLaw::Approximate => within(found),
        };
        assert!(holds, "{what}: found {found}, expected {expect}");
    };
    let rows = Json::Array(trial.rows.clone());
    let count = trial.rows.len();
    let whole = plugin.fold(rows.clone(), &[]);
    check_stepwise(&plugin, &trial.rows);
    check_nothing(&plugin, &rows);
    let mut random = Random(count as u64);
    for _ in 0..20 {
        let splits = random.splits(count);
        lawful(&plugin.fold(rows.clone(), &splits), &whole, &format!("split at {splits:?}"));
        let states = plugin.states(&rows, &splits);
        let bracketed = right_to_left(&plugin, &states);
        lawful(&plugin.finish(&bracketed), &plugin.finish(&states), &format!("bracketed, split at {splits:?}"));
        if !A::ORDER_SENSITIVE {
            let mut shuffled = trial.rows.clone();
            random.shuffle(&mut shuffled);
            lawful(&plugin.fold(Json::Array(shuffled), &splits), &whole, "in another order");
        }
    }
}

fn check_stepwise<A: BatchAggregate>(plugin: &Aggregation<A>, rows: &[Json]) {
    let at_once = plugin.update(b"", &Json::Array(rows.to_vec())).expect("the rows fold");
    let mut state = Vec::new();
    for row in rows {
        state = plugin.update(&state, &Json::Array(vec![row.clone()])).expect("the row folds");
    }
    assert!(state == at_once, "row by row, the state has other bytes");
    assert!(state.len() <= 1 << 16, "the state takes {} bytes", state.len());
}

fn check_nothing<A: BatchAggregate>(plugin: &Aggregation<A>, rows: &Json) {
    let state = plugin.states(rows, &[]).bytes;
    let merged = plugin.merge(&blobs(&[b"", &state, b""])).expect("the states merge");
    assert!(merged == state, "merging with no rows changes the state");
}

/// Merges as `a + (b + (c + d))`, where the plugin itself merges as `((a + b) + c) + d`.
fn right_to_left<A: BatchAggregate>(plugin: &Aggregation<A>, states: &Blobs) -> Blobs {
    let mut merged = Vec::new();
    for index in (0..states.len()).rev() {
        merged = plugin.merge(&blobs(&[states.get(index), &merged])).expect("the states merge");
    }
    blobs(&[&merged])
}

fn blobs(strings: &[&[u8]]) -> Blobs {
    let mut blobs = Blobs::default();
    strings.iter().for_each(|string| blobs.push(string));
    blobs
}

/// Compares as text, which tells 0 from -0.
fn has_the_bits_of(found: &Json, expect: &Json) -> bool {
    let (found, expect) = (found.to_string(), expect.to_string());
    found == expect
}

/// Numbers agree up to 1e-9, relative to the larger of 1 and the expected one; everything else is equal.
pub fn same_but_for_rounding(found: &Json, expect: &Json) -> bool {
    match (found, expect) {
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same_but_for_rounding(left, right))
        }
        (Json::Number(left), Json::Number(right)) if left.is_f64() => {
            let (left, right) = (left.as_f64().expect("a double"), right.as_f64().expect("a double"));
            (left - right).abs() <= 1e-9 * right.abs().max(1.0)
        }
        _ => found == expect,
    }
}

/// Numbers that look random and are the same every time: Steele, Lea and Flood's SplitMix64 (2014).
pub struct Random(pub u64);

impl Random {
    /// The next number, any of 2^64.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a limit.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.draw() % limit as u64) as usize
    }

    /// Up to four places to cut, ascending; a run between two of them may be empty.
    fn splits(&mut self, count: usize) -> Vec<usize> {
        let mut splits: Vec<usize> = (0..self.below(5)).map(|_| self.below(count + 1)).collect();
        splits.sort_unstable();
        splits
    }

    fn shuffle(&mut self, rows: &mut [Json]) {
        for last in (1..rows.len()).rev() {
            rows.swap(last, self.below(last + 1));
        }
    }
}
