//! The attribute does not write the aggregate.

use oast_sdk::aggregate;

/// Counts rows.
#[aggregate]
struct Count;

fn main() {}
