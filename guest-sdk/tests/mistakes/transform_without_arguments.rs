//! A transform without a row has nothing to transform.

use oast_sdk::{Row, transform};

#[derive(Row)]
struct Constant {
    value: f64,
}

#[transform]
fn constant() -> Constant {
    Constant { value: 1.0 }
}

fn main() {}
