//! What is the last number that is accepted?

use oast_sdk::Params;

#[derive(Params)]
struct Settings {
    #[param(range = 1..3)]
    count: u32,
}

fn main() {}
