//! End-to-end tests: the runtime over real components, real files and real flights.

mod at_once;
mod checks;
mod definitions;
mod engine;
mod explain;
mod flights;
mod golden;
mod hostile;
mod log;
mod manifests;
mod memory;
mod packages;
mod publishing;
mod quarantine;
mod receipts;
mod reload;
mod replay;
mod retention;
mod skew;
mod support;
mod together;
mod windows;
