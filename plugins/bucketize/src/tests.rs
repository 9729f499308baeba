//! The golden vectors, and what NumPy and pandas computes.

use oast_sdk::testing::check_transform;

use super::bucketize;

#[path = "../../oracle/oracle.rs"]
mod oracle;

#[test]
fn golden() {
    check_transform::<bucketize>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oracle::check_transform::<bucketize>(include_str!("../oracle.json"));
}
