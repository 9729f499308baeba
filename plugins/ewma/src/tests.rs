//! The golden vectors, what pandas computes, and the laws of merging.

use oast_oracle::laws;
use oast_sdk::Fold;
use oast_sdk::testing::{check_aggregate, json};

use super::Ewma;

#[test]
fn golden() {
    check_aggregate::<Fold<Ewma>>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_aggregate::<Fold<Ewma>>(include_str!("../oracle.json"));
}

#[test]
fn the_laws_hold() {
    let mut random = laws::Random(4);
    let rows = (0..80).map(|_| json!([random.below(1000) as f64 / 8.0, random.below(100_000_000)])).collect();
    laws::check::<Fold<Ewma>>(laws::Trial { params: json!({ "half_life_seconds": 10 }), offered: "x: float64", rows });
}
