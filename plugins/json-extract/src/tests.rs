//! The golden vectors, and what Python computes.

use oast_sdk::testing::check_transform;

use super::JsonExtract;

#[test]
fn golden() {
    check_transform::<JsonExtract>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_transform::<JsonExtract>(include_str!("../oracle.json"));
}
