//! The golden vectors, what pandas computes, and the laws of merging.

use oast_oracle::laws;
use oast_sdk::testing::{check_aggregate, json};

use super::First;

#[test]
fn golden() {
    check_aggregate::<First>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_aggregate::<First>(include_str!("../oracle.json"));
}

#[test]
fn the_laws_hold() {
    let mut random = laws::Random(1);
    let rows = (0..60).map(|row| json!([row, random.below(20) as i64 - 10])).collect();
    laws::check::<First>(laws::Trial { params: json!({}), offered: "x: int64", rows });
}
