//! A text has no values that a variant could take.

use oast_sdk::Param;

#[derive(Param)]
enum Rounding {
    Nearest,
    Digits(u32),
}

fn main() {}
