//! The golden vectors, and what scikit-learn, the definition of geohash and the library of H3 compute.

use oast_sdk::testing::check_transform;

use super::Geo;

#[test]
fn golden() {
    check_transform::<Geo>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_transform::<Geo>(include_str!("../oracle.json"));
}
