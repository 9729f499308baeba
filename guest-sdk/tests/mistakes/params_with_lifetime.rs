//! Parameters own what they hold.

use oast_sdk::Params;

#[derive(Params)]
struct Settings<'a> {
    name: &'a str,
}

fn main() {}
