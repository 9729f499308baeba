//! A transform takes a row and returns one, not the value of one column.

use oast_sdk::transform;

/// Doubles a delay.
#[transform]
fn double(delay: f64) -> f64 {
    delay * 2.0
}

fn main() {}
