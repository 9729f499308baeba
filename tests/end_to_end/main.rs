//! End-to-end tests: the runtime over real components, real files and real flights.

mod checks;
mod definitions;
mod engine;
mod flights;
mod golden;
mod hostile;
mod packages;
mod publishing;
mod receipts;
mod skew;
mod support;
