//! `renamed` is not `rename`.

use oast_sdk::Row;

#[derive(Row)]
struct Flight {
    #[row(renamed = "dep delay")]
    delay: f64,
}

fn main() {}
