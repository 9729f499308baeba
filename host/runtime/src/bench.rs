//! What benches and the demo's speed lines need of the layers below, and nothing else uses.

use oast_core::{Batch, Limits, Schema};
use oast_engine::{Engine, Plugin};

use crate::RuntimeError;

/// A transform outside any view, to be timed.
pub struct TransformRun {
    plugin: Plugin,
}

impl TransformRun {
    /// Loads and configures a component; all offered columns are handed to it, in order.
    pub fn new(component: &[u8], params: &str, offered: &Schema) -> Result<Self, RuntimeError> {
        let plugin = Engine::shared()?.load(component)?.configure(params, offered, Limits::default())?;
        Ok(Self { plugin })
    }

    /// Runs one batch as a replay does: in an instance that takes several, within the budget, with its output checked.
    pub fn apply(&self, rows: &Batch) -> Result<Batch, RuntimeError> {
        let transform = self.plugin.transform().ok_or_else(|| {
            RuntimeError::request("the component is an aggregate", "time a component of the world `row-transform`")
        })?;
        Ok(transform.lasting().apply(rows)?.rows)
    }
}
