//! A column has no type of two numbers.

use oast_sdk::Row;

#[derive(Row)]
struct Point {
    position: (f64, f64),
}

fn main() {}
