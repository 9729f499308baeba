//! A plugin tells what it does.

use oast_sdk::transform;

#[transform]
fn double(delay: f64) -> f64 {
    delay * 2.0
}

fn main() {}
