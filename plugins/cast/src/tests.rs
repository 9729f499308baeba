//! The golden vectors, and what NumPy and Python's datetime computes.

use oast_sdk::testing::check_transform;

use super::Cast;

#[test]
fn golden() {
    check_transform::<Cast>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_transform::<Cast>(include_str!("../oracle.json"));
}
