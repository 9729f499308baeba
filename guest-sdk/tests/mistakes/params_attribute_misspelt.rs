//! `defaults` is not `default`.

use oast_sdk::Params;

#[derive(Params)]
struct Settings {
    #[param(defaults = 1.0)]
    factor: f64,
}

fn main() {}
