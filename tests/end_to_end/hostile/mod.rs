//! Components that mean harm, or might as well. Each ends in the outcome that `host/ARCHITECTURE.md` documents, and costs the
//! host no more than its limits say.

mod bytes;
pub(crate) mod components;
mod generated;
mod guests;
mod rust;
mod seeds;

use oast_core::{Batch, DataType, Field, Fuel, Limits, Outcome, Schema, Value};
use oast_engine::{Applied, EngineError, Plugin};

use crate::golden::engine;

/// Enough for every guest that ends by itself, and little enough to wait for.
fn limits() -> Limits {
    Limits { budget_fuel: Fuel(20_000_000), ..Limits::default() }
}

/// A guest that is loaded and configured without parameters.
fn configured(component: &[u8]) -> Result<Plugin, EngineError> {
    engine().load(component)?.configure("{}", &Schema::default(), limits())
}

/// Rows of the one int64 `x`.
fn rows(values: &[i64]) -> Batch {
    let schema = Schema::new(vec![Field::new("x", DataType::Int64)]).expect("one name");
    let values: Vec<_> = values.iter().map(|value| vec![Some(Value::Int64(*value))]).collect();
    crate::engine::batch_of(&schema, &values)
}

fn applied(component: &[u8], values: &[i64]) -> Applied {
    let plugin = configured(component).expect("it configures");
    let transform = plugin.transform().expect("a transform");
    transform.apply(&rows(values)).expect("whatever a guest does, the host carries on")
}

/// How the one row of a guest ends, in words.
fn ended(component: &[u8]) -> String {
    let plugin = match configured(component) {
        Ok(plugin) => plugin,
        Err(error) => return format!("refused: {:#}", anyhow::Error::new(error)),
    };
    let applied = plugin.transform().expect("a transform").apply(&rows(&[7])).expect("the host carries on");
    match &applied.outcomes[0] {
        Outcome::Keep => "kept".to_owned(),
        Outcome::Drop => "dropped".to_owned(),
        Outcome::Reject(rejection) => {
            format!("rejected: {} ({} bytes)", rejection.code, rejection.message.len())
        }
        Outcome::Fail(failure) => failure.to_string(),
    }
}
