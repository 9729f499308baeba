//! The golden vectors.

use oast_sdk::testing::check_transform;

use super::Fill;

#[test]
fn golden() {
    check_transform::<Fill>(include_str!("../golden.json"));
}
