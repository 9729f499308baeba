//! The golden vectors, and what Python's standard library computes.

use oast_sdk::testing::check_transform;

use super::HashPii;

#[test]
fn golden() {
    check_transform::<HashPii>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_transform::<HashPii>(include_str!("../oracle.json"));
}
