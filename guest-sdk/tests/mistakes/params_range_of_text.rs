//! A text has no range.

use oast_sdk::Params;

#[derive(Params)]
struct Settings {
    #[param(range = 1..=3)]
    name: String,
}

fn main() {}
