//! Runs one component over rows or states, and nothing else. The engine does not know where rows come from, what time it is
//! or who asked: whatever a component may observe arrives through its arguments. An invocation is a pure function of
//! component bytes, arguments, limits and engine fingerprint.
//!
//! [`Engine`] holds the one wasmtime configuration. [`Engine::load`] turns bytes into a [`Component`], or refuses them;
//! [`Engine::load_cached`] does so once a machine. [`Component::configure`] gives a [`Plugin`], whose [`Transform`] or
//! [`Aggregate`] face runs batches so that every outcome is that of the canonical run: one row (or one state), a fresh
//! instance, exactly the budget.

mod aggregate;
mod artefacts;
mod check;
mod compile;
mod component;
mod config;
mod engine;
mod error;
mod invoke;
mod lasting;
mod measure;
mod nan;
mod outcomes;
mod package;
mod plugin;
mod ready;
mod transform;
mod wire;

pub use aggregate::{Aggregate, Finished, Groups, Merged, Updated};
pub use artefacts::Artefacts;
pub use check::{CHECKS_VERSION, Check, CheckReport, CheckedUse, Costs, Finding, OutcomeCounts, Shown};
pub use compile::{COMPILE_COMMAND, compile_in_this_process};
pub use component::{Component, World};
pub use engine::Engine;
pub use error::EngineError;
pub use invoke::Work;
pub use measure::{Measured, measure};
pub use nan::make_nans_canonical;
pub use outcomes::Outcomes;
pub use package::Package;
pub use plugin::Plugin;
pub use ready::ReadyStats;
pub use transform::{Applied, Transform};
