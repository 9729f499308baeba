use std::sync::atomic::{AtomicU64, Ordering};

use oast_core::{Failure, Fuel, Limits};
use wasmtime::{
    ResourceLimiter, Store, Trap,
    component::{ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, TypedFunc},
};

use crate::{
    Component, EngineError,
    component::Compiled,
    config::{MEMORY_BYTES, TABLE_ELEMENTS},
    wire::WireField,
};

/// The most bytes that one call may hand to the host, however many rows it has.
const LIFTED_BYTES: usize = 64 << 20;

/// The longest text of a guest, an error message say, that is kept.
const MESSAGE_BYTES: usize = 4 << 10;

/// What all calls of a process have come to. Nothing goes by these numbers; they are for whoever watches the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// How many calls were made.
    pub calls: u64,
    /// The fuel that they consumed.
    pub fuel: Fuel,
}

static CALLS: AtomicU64 = AtomicU64::new(0);
static FUEL: AtomicU64 = AtomicU64::new(0);

impl Work {
    pub(crate) fn so_far() -> Self {
        Self { calls: CALLS.load(Ordering::Relaxed), fuel: Fuel(FUEL.load(Ordering::Relaxed)) }
    }
}

/// Watches the memory of one instance, and remembers whether it asked for more than its limit, and whether the host could
/// not give what the limit allows.
pub(crate) struct Guard {
    memory_bytes: usize,
    /// The most bytes that one memory came to have.
    memory_peak: usize,
    denied: bool,
    host_failed: bool,
}

impl ResourceLimiter for Guard {
    fn memory_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed =
            desired <= self.memory_bytes.min(MEMORY_BYTES) && maximum.is_none_or(|maximum| desired <= maximum);
        self.denied |= !allowed;
        if allowed {
            self.memory_peak = self.memory_peak.max(desired);
        }
        Ok(allowed)
    }

    /// A guest that saw the host run out of memory would give another result than on the next host, so the run ends here.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.host_failed = true;
        Err(error)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}

/// What a guest returned, the error of its own included, or how it died.
pub(crate) type Returned<R> = Result<Result<R, String>, Failure>;

/// What one call came to: what the guest returned, or how it died; and the fuel it took.
///
/// A call that died may have used more fuel than is shown, since wasmtime adds fuel up at loop heads and calls only.
pub(crate) struct Invocation<R> {
    pub(crate) returned: Returned<R>,
    pub(crate) consumed: Fuel,
    pub(crate) memory_peak: usize,
}

impl<R> Invocation<R> {
    /// Checks what came back against the contract.
    pub(crate) fn read<T>(self, read: impl FnOnce(Returned<R>) -> Result<T, Failure>) -> Called<T> {
        let Self { returned, consumed, memory_peak } = self;
        Called { accepted: read(returned), consumed, memory_peak }
    }
}

/// What one call came to, once it was checked against the contract: the canonical outcome if the call was of one row, and
/// otherwise a proposal, which is taken only if nothing failed.
pub(crate) struct Called<T> {
    pub(crate) accepted: Result<T, Failure>,
    pub(crate) consumed: Fuel,
    /// The most bytes that one memory of the instance came to have.
    pub(crate) memory_peak: usize,
}

/// An instance that was made fresh and configured, with its first call ahead of it; but for checks and replays it is the only one.
pub(crate) struct FreshInstance {
    component: Component,
    store: Store<Guard>,
    instance: Instance,
}

impl FreshInstance {
    /// Makes the instance without configuring it.
    fn new(component: &Component, limits: &Limits) -> Result<Result<Self, Failure>, EngineError> {
        let owner = component.clone();
        let component = component.compiled();
        let guard =
            Guard { memory_bytes: limits.memory_bytes as usize, memory_peak: 0, denied: false, host_failed: false };
        let mut store = Store::new(component.pre.engine(), guard);
        store.limiter(|guard| guard);
        store.set_hostcall_fuel(LIFTED_BYTES);
        store.set_fuel(limits.budget_fuel.0).map_err(|source| infrastructure(component, source))?;
        match component.pre.instantiate(&mut store) {
            Ok(instance) => Ok(Ok(Self { component: owner, store, instance })),
            Err(error) if error.is::<Trap>() => Ok(Err(failure_of(&error, &store))),
            Err(_) if store.data().denied => Ok(Err(Failure::OutOfMemory)),
            Err(source) => Err(infrastructure(component, source)),
        }
    }

    /// Calls `configure` on a fresh instance, which has the budget of one row for it.
    pub(crate) fn configured<D>(
        component: &Component,
        params: &str,
        offered: &[WireField],
        limits: &Limits,
    ) -> Result<(Self, D), EngineError>
    where
        D: Lift + 'static,
    {
        let mut instance = Self::new(component, limits)?.map_err(EngineError::ConfigureFailed)?;
        let invocation = instance.call(&component.compiled().configure, (params, offered), limits.budget_fuel)?;
        let answer = invocation.returned.map_err(EngineError::ConfigureFailed)?;
        let descriptor = answer.map_err(EngineError::Configure)?;
        Ok((instance, descriptor))
    }

    /// The function with the types of the contract; a component that exports another type under its name is refused.
    pub(crate) fn typed<P, R>(
        &mut self,
        function: &ComponentExportIndex,
    ) -> Result<TypedFunc<P, (Result<R, String>,)>, EngineError>
    where
        P: ComponentNamedList + Lower,
        R: Lift + 'static,
    {
        self.instance.get_typed_func(&mut self.store, function).map_err(EngineError::Invalid)
    }

    /// The fuel that the last call left over.
    pub(crate) fn fuel_left(&self) -> Result<Fuel, EngineError> {
        self.store.get_fuel().map(Fuel).map_err(|source| infrastructure(self.component.compiled(), source))
    }

    /// Makes a call. What is looked up comes from instances that are called once; a check or a replay calls one again.
    pub(crate) fn call<P, R>(
        &mut self,
        function: &ComponentExportIndex,
        params: P,
        budget: Fuel,
    ) -> Result<Invocation<R>, EngineError>
    where
        P: ComponentNamedList + Lower,
        R: Lift + 'static,
    {
        let component = self.component.clone();
        let typed = self.typed::<P, R>(function)?;
        self.store.set_fuel(budget.0).map_err(|source| infrastructure(component.compiled(), source))?;
        let returned = match typed.call(&mut self.store, params) {
            Ok((Ok(value),)) => Ok(Ok(value)),
            Ok((Err(message),)) => Ok(Err(shortened(message))),
            Err(source) if self.store.data().host_failed => return Err(infrastructure(component.compiled(), source)),
            Err(error) => Err(failure_of(&error, &self.store)),
        };
        let left = self.store.get_fuel().map_err(|source| infrastructure(component.compiled(), source))?;
        let memory_peak = self.store.data().memory_peak;
        CALLS.fetch_add(1, Ordering::Relaxed);
        FUEL.fetch_add(budget.0 - left, Ordering::Relaxed);
        Ok(Invocation { returned, consumed: Fuel(budget.0 - left), memory_peak })
    }
}

fn infrastructure(component: &Compiled, source: wasmtime::Error) -> EngineError {
    EngineError::Invoke { component: component.hash, source }
}

/// How a guest died. Every error of a call is the guest's doing: the host passes well-formed arguments and serves no import.
fn failure_of(error: &wasmtime::Error, store: &Store<Guard>) -> Failure {
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Failure::OutOfFuel,
        Some(Trap::StackOverflow) => Failure::OutOfStack,
        Some(_) if store.data().denied => Failure::OutOfMemory,
        Some(trap) => Failure::Trap(trap.to_string().trim_start_matches("wasm trap: ").to_owned()),
        None => Failure::Malformed(shortened(error.root_cause().to_string())),
    }
}

/// Cuts a text of a guest to a length that nothing chokes on.
pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > MESSAGE_BYTES {
        let end = (0..=MESSAGE_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
