//! The golden vectors, and what NumPy and Python's datetime computes.

use oast_sdk::testing::check_transform;

use super::Cast;

#[path = "../../oracle/oracle.rs"]
mod oracle;

#[test]
fn golden() {
    check_transform::<Cast>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oracle::check_transform::<Cast>(include_str!("../oracle.json"));
}
