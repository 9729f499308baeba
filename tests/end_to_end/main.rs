//! End-to-end tests: the runtime over real components, real files and real flights.

mod engine;
mod definitions;
mod flights;
mod golden;
mod skew;
mod support;
