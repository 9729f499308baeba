//! The golden vectors, and what scikit-learn computes.

use oast_sdk::testing::check_transform;

use super::OneHot;

#[test]
fn golden() {
    check_transform::<OneHot>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_transform::<OneHot>(include_str!("../oracle.json"));
}
