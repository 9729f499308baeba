//! A choice is an enum.

use oast_sdk::Param;

#[derive(Param)]
struct Rounding {
    down: bool,
}

fn main() {}
