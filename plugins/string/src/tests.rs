//! The golden vectors, and what Python computes.

use oast_sdk::testing::check_transform;

use super::Text;

#[test]
fn golden() {
    check_transform::<Text>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_transform::<Text>(include_str!("../oracle.json"));
}
