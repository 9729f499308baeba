//! A state is stored, so a field that has no encoding is refused.

use oast_sdk::State;

#[derive(State)]
struct Seen {
    last: std::time::Instant,
}

fn main() {}
