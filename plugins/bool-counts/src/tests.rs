//! The golden vectors, what DuckDB computes, and the laws of merging.

use oast_oracle::laws;
use oast_sdk::Fold;
use oast_sdk::testing::{check_aggregate, json};

use super::BoolCounts;

#[test]
fn golden() {
    check_aggregate::<Fold<BoolCounts>>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_aggregate::<Fold<BoolCounts>>(include_str!("../oracle.json"));
}

#[test]
fn the_laws_hold() {
    let mut random = laws::Random(7);
    let values = [Some(true), Some(false), None];
    let rows = (0..80).map(|_| json!([values[random.below(3)]])).collect();
    laws::check::<Fold<BoolCounts>>(laws::Trial { params: json!({}), offered: "x: bool?", rows });
}
