use std::sync::atomic::{AtomicUsize, Ordering};

use oast_core::{Canonical, Descriptor, Fuel, Limits, Schema, TransformHash};
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Lift, Lower};

use crate::{
    Aggregate, Component, EngineError, Transform,
    component::Exports,
    invoke::{FreshInstance, Invocation},
    wire::{WireField, wire_fields},
};

/// The version of the WIT package that this host speaks.
const PACKAGE: &str = "oast:transform@0.1.0";

/// The most rows, or states, that go into one call.
const ROWS_MAX: usize = 4096;

/// A component with its parameters, schemas and limits: everything that decides what it makes of a row.
pub struct Plugin {
    component: Component,
    params: String,
    offered: Vec<WireField>,
    limits: Limits,
    descriptor: Descriptor,
    hash: TransformHash,
    /// How many rows the next call takes. It follows the cost of past rows and never decides a result.
    rows_next: AtomicUsize,
}

impl Plugin {
    pub(crate) fn configure(
        component: Component,
        params: &str,
        offered: &Schema,
        limits: Limits,
    ) -> Result<Self, EngineError> {
        let wire_offered = wire_fields(offered);
        let (_, descriptor) = FreshInstance::configured(component.compiled(), params, &wire_offered, &limits)?;
        let descriptor =
            Descriptor::try_from(descriptor).map_err(|error| EngineError::Descriptor(error.to_string()))?;
        let hash = transform_hash(&component, params, offered, &descriptor, &limits);
        let params = params.to_owned();
        let rows_next = AtomicUsize::new(ROWS_MAX);
        Ok(Self { component, params, offered: wire_offered, limits, descriptor, hash, rows_next })
    }

    /// What the plugin says of itself.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The component that runs.
    pub fn component(&self) -> &Component {
        &self.component
    }

    /// What one row may cost.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The hash of everything that decides results, but for the engine.
    pub fn hash(&self) -> TransformHash {
        self.hash
    }

    /// The plugin as a transform of rows, if that is what it is.
    pub fn transform(&self) -> Option<Transform<'_>> {
        match &self.component.compiled().exports {
            Exports::RowTransform { apply } => Some(Transform::new(self, apply)),
            Exports::Aggregation { .. } => None,
        }
    }

    /// The plugin as an aggregate, if that is what it is.
    pub fn aggregate(&self) -> Option<Aggregate<'_>> {
        match &self.component.compiled().exports {
            Exports::Aggregation { update, merge, finish } => Some(Aggregate::new(self, update, merge, finish)),
            Exports::RowTransform { .. } => None,
        }
    }

    /// One call on a fresh, configured instance with a full budget.
    pub(crate) fn invoke<P, R>(&self, function: &ComponentExportIndex, params: P) -> Result<Invocation<R>, EngineError>
    where
        P: ComponentNamedList + Lower,
        R: Lift + 'static,
    {
        let compiled = self.component.compiled();
        let (instance, _) = FreshInstance::configured(compiled, &self.params, &self.offered, &self.limits)?;
        instance.call(function, params, &self.limits)
    }

    /// How many rows to put into the next call, so that it is likely to stay within one row's budget.
    pub(crate) fn rows_next(&self) -> usize {
        self.rows_next.load(Ordering::Relaxed).clamp(1, ROWS_MAX)
    }

    /// Learns from what a call of this many rows consumed; a call that was not accepted consumed too much.
    pub(crate) fn learn(&self, rows: usize, consumed: Fuel, accepted: bool) {
        let next = if accepted {
            let fuel_a_row = (consumed.0 / rows as u64).max(1);
            usize::try_from(self.limits.budget_fuel.0 / 2 / fuel_a_row).unwrap_or(ROWS_MAX)
        } else {
            rows / 2
        };
        self.rows_next.store(next.clamp(1, ROWS_MAX), Ordering::Relaxed);
    }
}

fn transform_hash(
    component: &Component,
    params: &str,
    offered: &Schema,
    descriptor: &Descriptor,
    limits: &Limits,
) -> TransformHash {
    let mut canonical = Canonical::new();
    canonical.bytes(component.hash().as_bytes()).text(PACKAGE).text(params).schema(offered);
    canonical.schema(&descriptor.input).schema(&descriptor.output);
    limits.encode(&mut canonical);
    TransformHash::of(canonical.as_bytes())
}
