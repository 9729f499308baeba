//! The golden vectors, and what pandas computes.

use oast_sdk::testing::check_transform;

use super::Filter;

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_transform::<Filter>(include_str!("../oracle.json"));
}

#[test]
fn golden() {
    check_transform::<Filter>(include_str!("../golden.json"));
}
