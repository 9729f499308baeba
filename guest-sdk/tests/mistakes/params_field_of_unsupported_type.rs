//! A parameter cannot be a duration.

use oast_sdk::Params;

#[derive(Params)]
struct Settings {
    within: std::time::Duration,
}

fn main() {}
