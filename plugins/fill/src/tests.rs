//! The golden vectors, and what pandas computes.

use oast_sdk::testing::check_transform;

use super::Fill;

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_transform::<Fill>(include_str!("../oracle.json"));
}

#[test]
fn golden() {
    check_transform::<Fill>(include_str!("../golden.json"));
}
