//! The golden vectors, and what NumPy computes.

use oast_sdk::testing::check_transform;

use super::Arith;

#[test]
fn golden() {
    check_transform::<Arith>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_transform::<Arith>(include_str!("../oracle.json"));
}
