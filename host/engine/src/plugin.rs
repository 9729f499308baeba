use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use oast_core::{Canonical, DataType, Descriptor, Failure, Fuel, Limits, Schema, SchemaError, TransformHash};
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Lift, Lower};

use crate::{
    Aggregate, Component, Engine, EngineError, Package, Transform,
    component::Exports,
    invoke::{Called, FreshInstance, Invocation, Returned},
    lasting::{Instances, Lasting, Place, Waiting},
    ready::Ready,
    wire::{
        BatchArg, BlobsArg, UnreadDescriptor, UnreadDescriptorV0_1, WireBatch, WireBlobs, WireDescriptor,
        WireDescriptorV0_1, WireField, WireOutput, wire_fields,
    },
};

/// The most rows, or states, that go into one call.
const ROWS_MAX: usize = 4096;

/// A plugin of which this many rows go into a call takes a tenth of a millisecond for a row at most.
const ROWS_IF_LIGHT: usize = 512;

/// A component with its parameters, schemas and limits: everything that decides what it makes of a row.
#[derive(Clone)]
pub struct Plugin(Arc<Configured>);

pub(crate) struct Configured {
    component: Component,
    params: String,
    columns: Schema,
    offered: Vec<WireField>,
    limits: Limits,
    pub(crate) descriptor: Descriptor,
    hash: TransformHash,
    /// How many rows the next call takes. It follows the cost of past rows and never decides a result.
    rows_next: AtomicUsize,
    pub(crate) ready: Ready,
    waiting: Waiting,
}

impl Configured {
    /// A fresh instance that was given the parameters.
    pub(crate) fn fresh_instance(&self) -> Result<FreshInstance, EngineError> {
        let (component, limits) = (&self.component, &self.limits);
        Ok(match component.package() {
            Package::V0_1 => {
                FreshInstance::configured::<UnreadDescriptorV0_1>(component, &self.params, &self.offered, limits)?.0
            }
            Package::V0_2 => {
                FreshInstance::configured::<UnreadDescriptor>(component, &self.params, &self.offered, limits)?.0
            }
        })
    }
}

impl Plugin {
    pub(crate) fn configure(
        component: Component,
        params: &str,
        offered: &Schema,
        limits: Limits,
    ) -> Result<Self, EngineError> {
        let wire_offered = wire_fields(offered);
        let (mut instance, descriptor) = first_instance(&component, params, &wire_offered, &limits)?;
        check_types(&mut instance, &component.compiled().exports)?;
        check_vectors(&descriptor, &limits)?;
        let hash = transform_hash(&component, params, offered, &descriptor, &limits);
        let params = params.to_owned();
        let rows_next = AtomicUsize::new(ROWS_MAX);
        Ok(Self(Arc::new(Configured {
            component,
            params,
            columns: offered.clone(),
            offered: wire_offered,
            limits,
            descriptor,
            hash,
            rows_next,
            ready: Ready::default(),
            waiting: Waiting::default(),
        })))
    }

    /// Keeps this many instances ready for calls to come, as far as the process has places for them, so that a call need not
    /// wait until one is made and configured.
    pub fn keep_ready(&self, instances: u64) {
        self.0.ready.want(instances);
        self.engine().refiller().refill(&self.0);
    }

    #[cfg(test)]
    pub(crate) fn configured(&self) -> &Arc<Configured> {
        &self.0
    }

    fn engine(&self) -> &Engine {
        self.0.component.engine()
    }

    /// What the plugin says of itself.
    pub fn descriptor(&self) -> &Descriptor {
        &self.0.descriptor
    }

    /// The component that runs.
    pub fn component(&self) -> &Component {
        &self.0.component
    }

    /// The parameters, as canonical JSON.
    pub fn params(&self) -> &str {
        &self.0.params
    }

    /// The columns that were at hand when it was configured.
    pub fn offered(&self) -> &Schema {
        &self.0.columns
    }

    /// What one row may cost.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The hash of everything that decides results, but for the engine.
    pub fn hash(&self) -> TransformHash {
        self.0.hash
    }

    /// The plugin as a transform of rows, if that is what it is.
    pub fn transform(&self) -> Option<Transform<'_>> {
        match &self.0.component.compiled().exports {
            Exports::RowTransform { apply } => Some(Transform::new(self, apply)),
            Exports::Aggregation { .. } => None,
        }
    }

    /// The plugin as an aggregate, if that is what it is.
    pub fn aggregate(&self) -> Option<Aggregate<'_>> {
        match &self.0.component.compiled().exports {
            Exports::Aggregation { update, merge, finish } => Some(Aggregate::new(self, update, merge, finish)),
            Exports::RowTransform { .. } => None,
        }
    }

    /// The descriptor that a fresh instance gives for the same parameters and columns, and the fuel of `configure`.
    pub(crate) fn configured_again(&self) -> Result<(Descriptor, Fuel), EngineError> {
        let Configured { component, params, offered, limits, .. } = &*self.0;
        let (instance, descriptor) = first_instance(component, params, offered, limits)?;
        Ok((descriptor, Fuel(limits.budget_fuel.0 - instance.fuel_left()?.0)))
    }

    /// A fresh, configured instance, made for the caller.
    pub(crate) fn fresh_instance(&self) -> Result<FreshInstance, EngineError> {
        self.0.fresh_instance()
    }

    /// One call within this budget, and what comes of it once `read` has checked it against the contract.
    pub(crate) fn call<P, R, T>(
        &self,
        instances: Instances,
        function: &ComponentExportIndex,
        params: P,
        budget: Fuel,
        read: impl Fn(Returned<R>) -> Result<T, Failure>,
    ) -> Result<Called<T>, EngineError>
    where
        P: ComponentNamedList + Lower + Clone,
        R: Lift + 'static,
    {
        if instances == Instances::Lasting
            && let Some(called) = self.call_lasting(function, params.clone(), budget, &read)?
        {
            return Ok(called);
        }
        Ok(self.invoke(function, params, budget)?.read(read))
    }

    /// The call on an instance that lasts. None if there is no place for one, or if one that has taken calls before gives an answer
    /// that cannot be accepted: then it is as if there had been no call.
    fn call_lasting<P, R, T>(
        &self,
        function: &ComponentExportIndex,
        params: P,
        budget: Fuel,
        read: impl Fn(Returned<R>) -> Result<T, Failure>,
    ) -> Result<Option<Called<T>>, EngineError>
    where
        P: ComponentNamedList + Lower,
        R: Lift + 'static,
    {
        let used = self.0.waiting.take(budget);
        let is_fresh = used.is_none();
        let mut lasting = match used {
            Some(used) => used,
            None => {
                let Some(place) = Place::take() else { return Ok(None) };
                Lasting::new(self.0.fresh_instance()?, place)
            }
        };
        let invocation = lasting.instance.call(function, params, lasting.left_of(budget))?;
        let has_returned = matches!(invocation.returned, Ok(Ok(_)));
        let called = invocation.read(read);
        if has_returned && called.accepted.is_ok() {
            self.0.waiting.put(lasting.after(&called), self.limits().budget_fuel);
            return Ok(Some(called));
        }
        Ok(is_fresh.then_some(called))
    }

    /// One call on a fresh, configured instance with this budget.
    fn invoke<P, R>(
        &self,
        function: &ComponentExportIndex,
        params: P,
        budget: Fuel,
    ) -> Result<Invocation<R>, EngineError>
    where
        P: ComponentNamedList + Lower,
        R: Lift + 'static,
    {
        let refiller = self.engine().refiller();
        match refiller.take(&self.0) {
            Some(mut standing) => {
                let invocation = standing.instance.call(function, params, budget);
                refiller.replace(standing, &self.0);
                invocation
            }
            None => {
                let invocation = self.0.fresh_instance()?.call(function, params, budget);
                refiller.refill(&self.0);
                invocation
            }
        }
    }

    /// How many rows to put into the next call, so that it is likely to stay within one row's budget.
    pub(crate) fn rows_next(&self) -> usize {
        self.0.rows_next.load(Ordering::Relaxed).clamp(1, ROWS_MAX)
    }

    /// Whether its last call was cheap for its rows. Who calls may ask this to choose a thread; it decides no result.
    pub fn is_light(&self) -> bool {
        self.rows_next() >= ROWS_IF_LIGHT
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
        self.0.rows_next.store(next.clamp(1, ROWS_MAX), Ordering::Relaxed);
    }
}

/// An instance with the descriptor that it gave for these parameters and columns.
fn first_instance(
    component: &Component,
    params: &str,
    offered: &[WireField],
    limits: &Limits,
) -> Result<(FreshInstance, Descriptor), EngineError> {
    let (instance, descriptor) = match component.package() {
        Package::V0_1 => {
            let (instance, wire) = FreshInstance::configured::<WireDescriptorV0_1>(component, params, offered, limits)?;
            (instance, wire.try_into())
        }
        Package::V0_2 => {
            let (instance, wire) = FreshInstance::configured::<WireDescriptor>(component, params, offered, limits)?;
            (instance, wire.try_into())
        }
    };
    let malformed = |error: SchemaError| EngineError::Descriptor(error.to_string());
    Ok((instance, descriptor.map_err(malformed)?))
}

/// Checks the types of the functions that are yet to be called, so that a published plugin cannot fail by them.
fn check_types(instance: &mut FreshInstance, exports: &Exports) -> Result<(), EngineError> {
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
    canonical.bytes(component.hash().as_bytes()).text(component.package().name()).text(params).schema(offered);
    canonical.schema(&descriptor.input).schema(&descriptor.output);
    limits.encode(&mut canonical);
    TransformHash::of(canonical.as_bytes())
}
