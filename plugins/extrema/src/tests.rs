//! The golden vectors, what DuckDB computes, and the laws of merging.

use oast_oracle::laws;
use oast_sdk::testing::{check_aggregate, json};

use super::Extrema;

#[test]
fn golden() {
    check_aggregate::<Extrema>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_aggregate::<Extrema>(include_str!("../oracle.json"));
}

#[test]
fn the_laws_hold() {
    let mut random = laws::Random(3);
    let rows = (0..80).map(|_| json!([random.below(9) as f64 - 4.0, random.below(5), random.below(5)])).collect();
    laws::check::<Extrema>(laws::Trial { params: json!({}), offered: "x: float64, arg: int64", rows });
}
