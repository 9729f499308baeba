//! The golden vectors, what pandas computes, and the laws of merging.

use oast_oracle::laws;
use oast_sdk::testing::{check_aggregate, json};

use super::LastN;

#[test]
fn golden() {
    check_aggregate::<LastN>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_aggregate::<LastN>(include_str!("../oracle.json"));
}

#[test]
fn the_laws_hold() {
    let mut random = laws::Random(2);
    let rows = (0..60).map(|row| json!([format!("{row}"), random.below(20) as i64 - 10])).collect();
    laws::check::<LastN>(laws::Trial { params: json!({ "n": 5 }), offered: "x: utf8", rows });
}
