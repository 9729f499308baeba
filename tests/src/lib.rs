//! End-to-end tests and benches of whole paths.
