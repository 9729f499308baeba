//! The golden vectors, and what pandas computes.

use oast_sdk::testing::check_transform;

use super::Fill;

#[path = "../../oracle/oracle.rs"]
mod oracle;

#[test]
fn the_oracle_agrees() {
    oracle::check_transform::<Fill>(include_str!("../oracle.json"));
}

#[test]
fn golden() {
    check_transform::<Fill>(include_str!("../golden.json"));
}
