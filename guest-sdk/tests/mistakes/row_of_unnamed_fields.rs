//! Columns have names, so fields need them too.

use oast_sdk::Row;

#[derive(Row)]
struct Point(f64, f64);

fn main() {}
