//! The golden vectors, and what NumPy and pandas computes.

use oast_sdk::testing::check_transform;

use super::bucketize;

#[test]
fn golden() {
    check_transform::<bucketize>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_transform::<bucketize>(include_str!("../oracle.json"));
}
