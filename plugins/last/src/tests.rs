//! The golden vectors, what pandas computes, the laws of merging, and what bytes may not do.

use oast_oracle::laws;
use oast_sdk::testing::{Aggregation, check_aggregate, json};

use super::Last;

#[test]
fn golden() {
    check_aggregate::<Last>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_aggregate::<Last>(include_str!("../oracle.json"));
}

#[test]
fn the_laws_hold() {
    let mut random = laws::Random(1);
    let rows = (0..60).map(|row| json!([row, random.below(20) as i64 - 10])).collect();
    laws::check::<Last>(laws::Trial { params: json!({}), offered: "x: int64", rows });
}

#[test]
fn a_state_of_another_type_is_an_error() {
    let of_bools = Aggregation::<Last>::new(json!({}), "x: bool").expect("it configures");
    let state = of_bools.states(&json!([[true, 1]]), &[]).bytes;
    let of_floats = Aggregation::<Last>::new(json!({}), "x: float64").expect("it configures");
    let error = of_floats.try_finish(&state).expect_err("a byte is no float");
    assert_eq!(error.to_string(), "the state is corrupt: it ends too soon");
}
