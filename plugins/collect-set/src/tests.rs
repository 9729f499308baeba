//! The golden vectors, what DuckDB computes, and the laws of merging.

use oast_oracle::laws;
use oast_sdk::testing::{check_aggregate, json};

use super::CollectSet;

#[test]
fn golden() {
    check_aggregate::<CollectSet>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_aggregate::<CollectSet>(include_str!("../oracle.json"));
}

#[test]
fn the_laws_hold() {
    let mut random = laws::Random(8);
    let rows: Vec<_> = (0..80).map(|_| json!([format!("{}", random.below(40))])).collect();
    for limit in [5, 300] {
        let params = json!({ "limit": limit });
        laws::check::<CollectSet>(laws::Trial { params, offered: "x: utf8", rows: rows.clone() });
    }
}
