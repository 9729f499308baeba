//! The golden vectors, what pandas computes, and the laws of merging.

use oast_oracle::laws;
use oast_sdk::testing::{check_aggregate, json};

use super::Rate;

#[test]
fn golden() {
    check_aggregate::<Rate>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_aggregate::<Rate>(include_str!("../oracle.json"));
}

#[test]
fn the_laws_hold() {
    let mut random = laws::Random(5);
    let rows = (0..80).map(|_| json!([random.below(2) == 0, random.below(100_000_000)])).collect();
    laws::check::<Rate>(laws::Trial { params: json!({}), offered: "x: bool", rows });
}
