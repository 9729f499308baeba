use std::sync::atomic::{AtomicUsize, Ordering};

use oast_core::{Canonical, DataType, Descriptor, Fuel, Limits, Schema, TransformHash};
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Lift, Lower};

use crate::{
    Aggregate, Component, EngineError, Transform,
    component::Exports,
    invoke::{FreshInstance, Invocation},
    wire::{
        BatchArg, BlobsArg, UnreadDescriptor, WireBatch, WireBlobs, WireDescriptor, WireField, WireOutput, wire_fields,
    },
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
        let (mut instance, descriptor): (_, WireDescriptor) =
            FreshInstance::configured(component.compiled(), params, &wire_offered, &limits)?;
        check_types(&mut instance, &component.compiled().exports)?;
        let descriptor =
            Descriptor::try_from(descriptor).map_err(|error| EngineError::Descriptor(error.to_string()))?;
        check_vectors(&descriptor, &limits)?;
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
        self.invoke_within(function, params, self.limits.budget_fuel)
    }

    /// The descriptor that a fresh instance gives for the same parameters and columns, and the fuel of `configure`.
    pub(crate) fn configured_again(&self) -> Result<(Descriptor, Fuel), EngineError> {
        let compiled = self.component.compiled();
        let (instance, descriptor): (_, WireDescriptor) =
            FreshInstance::configured(compiled, &self.params, &self.offered, &self.limits)?;
        let fuel = Fuel(self.limits.budget_fuel.0 - instance.fuel_left()?.0);
        let descriptor =
            Descriptor::try_from(descriptor).map_err(|error| EngineError::Descriptor(error.to_string()))?;
        Ok((descriptor, fuel))
    }

    /// A fresh, configured instance.
    pub(crate) fn fresh_instance(&self) -> Result<FreshInstance<'_>, EngineError> {
        let compiled = self.component.compiled();
        let (instance, _): (_, UnreadDescriptor) =
            FreshInstance::configured(compiled, &self.params, &self.offered, &self.limits)?;
        Ok(instance)
    }

    /// One call on a fresh, configured instance with this budget.
    pub(crate) fn invoke_within<P, R>(
        &self,
        function: &ComponentExportIndex,
        params: P,
        budget: Fuel,
    ) -> Result<Invocation<R>, EngineError>
    where
        P: ComponentNamedList + Lower,
        R: Lift + 'static,
    {
        self.fresh_instance()?.call(function, params, budget)
    }

    /// How many rows to put into the next call, so that it is likely to stay within one row's budget.
    pub(crate) fn rows_next(&self) -> usize {
        self.rows_next.load(Ordering::Relaxed).clamp(1, ROWS_MAX)
    }

    /// Learns from what a call of this many rows consumed, and within which budget it was accepted; one that was not accepted
    /// consumed too much.
    pub(crate) fn learn(&self, rows: usize, consumed: Fuel, accepted_within: Option<Fuel>) {
        let next = match accepted_within {
            Some(budget) => {
                let fuel_a_row = (consumed.0 / rows as u64).max(1);
                usize::try_from(budget.0 / 2 / fuel_a_row).unwrap_or(ROWS_MAX)
            }
            None => rows / 2,
        };
        self.rows_next.store(next.clamp(1, ROWS_MAX), Ordering::Relaxed);
    }
}

/// Checks the types of the functions that are yet to be called, so that a published plugin cannot fail by them.
fn check_types(instance: &mut FreshInstance<'_>, exports: &Exports) -> Result<(), EngineError> {
    match exports {
        Exports::RowTransform { apply } => instance.typed::<(BatchArg<'_>,), WireOutput>(apply).map(drop),
        Exports::Aggregation { update, merge, finish } => {
            instance.typed::<(BlobsArg<'_>, &[u32], BatchArg<'_>), WireBlobs>(update)?;
            instance.typed::<(BlobsArg<'_>, &[u32]), WireBlobs>(merge)?;
            instance.typed::<(BlobsArg<'_>, &[u32]), WireBatch>(finish).map(drop)
        }
    }
}

/// Refuses vectors without values, and those that alone are more than a row may be: the host makes nulls of the latter.
fn check_vectors(descriptor: &Descriptor, limits: &Limits) -> Result<(), EngineError> {
    let refuse = |what: String| Err(EngineError::Descriptor(what));
    let (input, output) = (descriptor.input.fields(), descriptor.output.fields());
    if let Some(field) = input.iter().chain(output).find(|field| field.data_type == DataType::Vector(0)) {
        return refuse(format!("column `{}` is a vector without values", field.name));
    }
    let bytes = output.iter().map(|field| match field.data_type {
        DataType::Vector(width) => u64::from(width) * 4,
        _ => 0,
    });
    let (bytes, limit) = (bytes.sum::<u64>(), limits.output_bytes);
    if bytes > u64::from(limit) {
        return refuse(format!("a row has {bytes} bytes of vectors, more than the limit of {limit}"));
    }
    Ok(())
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
