//! `title` is not `name`.

use oast_sdk::{Row, transform};

#[derive(Row)]
struct Delay {
    delay: f64,
}

#[transform(title = "late")]
fn late(row: Delay) -> Delay {
    row
}

fn main() {}
