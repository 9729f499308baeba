//! Parameters are an object, which an enum is not.

use oast_sdk::Params;

#[derive(Params)]
enum Settings {
    Fast,
}

fn main() {}
