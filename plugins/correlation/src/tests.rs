//! The golden vectors, what NumPy and SciPy computes, and the laws of merging.

use oast_oracle::laws;
use oast_sdk::Fold;
use oast_sdk::testing::{check_aggregate, json};

use super::Correlation;

#[test]
fn golden() {
    check_aggregate::<Fold<Correlation>>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_aggregate::<Fold<Correlation>>(include_str!("../oracle.json"));
}

#[test]
fn the_laws_hold() {
    let mut random = laws::Random(9);
    let rows =
        (0..80).map(|_| json!([random.below(1000) as f64 / 7.0, random.below(1000) as f64 / 3.0 + 1e3])).collect();
    laws::check::<Fold<Correlation>>(laws::Trial { params: json!({}), offered: "x: float64, y: float64", rows });
}
