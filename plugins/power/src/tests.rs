//! The golden vectors, and what scikit-learn and SciPy computes.

use oast_sdk::testing::check_transform;

use super::power;

#[test]
fn golden() {
    check_transform::<power>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_transform::<power>(include_str!("../oracle.json"));
}
