//! The golden vectors.

use oast_sdk::testing::check_transform;

use super::Filter;

#[test]
fn golden() {
    check_transform::<Filter>(include_str!("../golden.json"));
}
