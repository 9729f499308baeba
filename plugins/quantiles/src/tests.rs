//! The golden vectors, what NumPy computes where the sketch is exact, its error elsewhere, and the laws of merging.

use oast_oracle::laws;
use oast_sdk::Json;
use oast_sdk::testing::{Aggregation, check_aggregate, json};

use super::{Kll, Quantiles};

const COUNT: usize = 3000;

/// What the documentation says for `k` = 200.
const RANK_ERROR: f64 = 0.017;

#[test]
fn golden() {
    check_aggregate::<Quantiles>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_aggregate::<Quantiles>(include_str!("../oracle.json"));
}

/// The numbers from 0 up in an order that looks random, so that every value is its rank.
fn shuffled() -> Vec<usize> {
    let mut random = laws::Random(1);
    let mut values: Vec<(u64, usize)> = (0..COUNT).map(|value| (random.draw(), value)).collect();
    values.sort_unstable();
    values.into_iter().map(|(_, value)| value).collect()
}

fn is_within(found: &Json, percentiles: &[f64]) -> bool {
    percentiles.iter().enumerate().all(|(at, percentile)| {
        let rank = found[at].as_f64().expect("there are values");
        (rank / COUNT as f64 - percentile / 100.0).abs() <= RANK_ERROR
    })
}

#[test]
fn the_laws_hold() {
    let percentiles = [1.0, 25.0, 50.0, 90.0, 99.0];
    let rows = shuffled().into_iter().map(|value| json!([value])).collect();
    let trial = laws::Trial { params: json!({ "percentiles": percentiles }), offered: "x: int64", rows };
    laws::check_within::<Quantiles>(trial, |found| is_within(found, &percentiles));
}

#[test]
fn the_error_holds_in_any_order() {
    let plugin =
        Aggregation::<Quantiles>::new(json!({ "percentiles": [5, 50, 95] }), "x: int64").expect("it configures");
    let sawtooth = (0..COUNT).map(|row| row % 2 * (COUNT - 1) + row / 2 - row % 2 * (row / 2) * 2);
    let orders: [Vec<usize>; 4] = [(0..COUNT).collect(), (0..COUNT).rev().collect(), sawtooth.collect(), shuffled()];
    for (order, values) in orders.into_iter().enumerate() {
        let rows: Json = values.into_iter().map(|value| json!([value])).collect();
        let found = plugin.fold(rows, &[]);
        assert!(is_within(&found, &[5.0, 50.0, 95.0]), "order {order}: {found}");
    }
}

#[test]
fn the_largest_sketch_fits_its_room() {
    let mut sketch = Kll::default();
    let mut random = laws::Random(2);
    for _ in 0..200_000 {
        sketch.insert(random.draw() as f64, 2000);
    }
    let bytes = oast_sdk::state::to_bytes(&sketch);
    assert!((40_000..50_000).contains(&bytes.len()), "{}", bytes.len());
    assert_eq!(oast_sdk::state::from_bytes(&bytes), Ok(sketch));
}

#[test]
fn broken_states_are_errors() {
    let plugin = Aggregation::<Quantiles>::new(json!({ "percentiles": [50] }), "x: float64").expect("it configures");
    let check = |levels: Vec<Vec<f64>>, expect: &str| {
        let bytes = oast_sdk::state::to_bytes(&((0.0, 1.0), levels));
        let error = plugin.try_finish(&bytes).expect_err(expect);
        assert_eq!(error.to_string(), format!("the state is corrupt: {expect}"));
    };
    check(vec![vec![]; 61], "a sketch has too many levels, or a value that is none");
    check(vec![vec![f64::NAN]], "a sketch has too many levels, or a value that is none");
}
