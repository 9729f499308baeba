//! The golden vectors, what NumPy computes, and the function as a function.

use oast_sdk::testing::check_transform;

use super::{Input, Zero, ratio};

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_transform::<ratio>(include_str!("../oracle.json"));
}

#[test]
fn golden() {
    check_transform::<ratio>(include_str!("../golden.json"));
}

#[test]
fn the_plugin_is_an_ordinary_function() {
    let row = Input { numerator: Some(1.0), denominator: Some(8.0) };
    assert_eq!(ratio(row, &Zero { zero: None }).ratio, Some(0.125));
}
