//! The golden vectors, and what pandas with the zone database computes.

use oast_sdk::testing::check_transform;

use super::TimeParts;

#[test]
fn golden() {
    check_transform::<TimeParts>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_transform::<TimeParts>(include_str!("../oracle.json"));
}
