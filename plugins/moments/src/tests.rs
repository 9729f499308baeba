//! The golden vectors, what pandas computes, the laws of merging, and what bytes may not do.

use oast_oracle::laws;
use oast_sdk::Fold;
use oast_sdk::testing::{Aggregation, check_aggregate, json};

use super::Moments;

#[test]
fn golden() {
    check_aggregate::<Fold<Moments>>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_aggregate::<Fold<Moments>>(include_str!("../oracle.json"));
}

#[test]
fn the_laws_hold() {
    let mut random = laws::Random(1);
    let rows = (0..80).map(|_| json!([random.below(1000) as f64 / 7.0 - 20.0])).collect();
    laws::check::<Fold<Moments>>(laws::Trial { params: json!({}), offered: "x: float64", rows });
}

#[test]
fn a_cut_state_is_an_error() {
    let plugin = Aggregation::<Fold<Moments>>::new(json!({}), "x: float64").expect("it configures");
    let state = plugin.states(&json!([[1.0], [2.0]]), &[]).bytes;
    assert_eq!(state.len(), 72);
    for length in 1..state.len() {
        let error = plugin.try_finish(&state[..length]).expect_err("the state is cut");
        assert_eq!(error.to_string(), "the state is corrupt: it ends too soon");
    }
}

#[test]
fn merging_agrees_with_folding_for_shifted_values() {
    // Far from 0 the naive formula for the variance loses every digit.
    let plugin = Aggregation::<Fold<Moments>>::new(json!({}), "x: float64").expect("it configures");
    let rows = json!([[1e9 + 4.0], [1e9 + 7.0], [1e9 + 13.0], [1e9 + 16.0]]);
    for splits in [&[][..], &[2], &[1, 2, 3]] {
        let row = plugin.fold(rows.clone(), splits);
        let stddev = row[5].as_f64().expect("there are two values");
        assert!((stddev - 30.0_f64.sqrt()).abs() < 1e-6, "{stddev}");
    }
}
