//! The golden vectors, what NumPy computes, and the laws of merging.

use oast_oracle::laws;
use oast_sdk::testing::{check_aggregate, json};

use super::Histogram;

#[test]
fn golden() {
    check_aggregate::<Histogram>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_aggregate::<Histogram>(include_str!("../oracle.json"));
}

#[test]
fn the_laws_hold() {
    let mut random = laws::Random(6);
    let rows = (0..80).map(|_| json!([random.below(100)])).collect();
    let params = json!({ "edges": [10, 40.5, 80], "shares": true });
    laws::check::<Histogram>(laws::Trial { params, offered: "x: int64", rows });
}
