//! End-to-end tests: the runtime over real components, real files and real flights.

mod flights;
mod support;
