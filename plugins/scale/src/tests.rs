//! The golden vectors, and what scikit-learn computes.

use oast_sdk::testing::check_transform;

use super::scale;

#[test]
fn golden() {
    check_transform::<scale>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_transform::<scale>(include_str!("../oracle.json"));
}
