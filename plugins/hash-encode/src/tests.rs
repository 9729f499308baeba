//! The golden vectors, and what scikit-learn computes.

use oast_sdk::testing::check_transform;

use super::HashEncode;

#[test]
fn golden() {
    check_transform::<HashEncode>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_transform::<HashEncode>(include_str!("../oracle.json"));
}
