//! The plugin `{{name}}`.

use oast_sdk::{Outcome, Params, Row, transform};

/// The columns that come in.
#[derive(Row)]
pub struct Input {
    /// Minutes, or null when nobody knows.
    pub delay: Option<f64>,
}

/// The columns that come out.
#[derive(Row)]
pub struct Output {
    /// Minutes beyond the tolerance.
    pub excess: f64,
}

/// The parameters that a definition gives.
#[derive(Params)]
pub struct Settings {
    /// Minutes that do not count.
    #[param(default = 15.0)]
    pub tolerance: f64,
}

/// Keeps the rows whose delay exceeds the tolerance.
#[transform]
pub fn {{ident}}(row: Input, settings: &Settings) -> Outcome<Output> {
    match row.delay {
        Some(delay) if delay > settings.tolerance => Outcome::Keep(Output { excess: delay - settings.tolerance }),
        Some(_) => Outcome::Drop,
        None => Outcome::reject("no_delay", "a row has a delay"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        oast_sdk::testing::check_transform::<{{ident}}>(include_str!("../golden.json"));
    }

    #[test]
    fn the_plugin_is_an_ordinary_function() {
        let outcome = {{ident}}(Input { delay: Some(20.0) }, &Settings { tolerance: 15.0 });
        assert!(matches!(outcome, Outcome::Keep(Output { excess: 5.0 })));
    }
}
