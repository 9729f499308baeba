use crate::Canonical;

/// An amount of wasmtime fuel: roughly, WebAssembly instructions executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Fuel(pub u64);

/// What one row may cost. Limits decide outcomes, so they are part of the transform hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// The fuel budget of one row (for an aggregate, of one state), given after `configure`; `configure` has as much again.
    pub budget_fuel: Fuel,
    /// The most bytes that one linear memory may have.
    pub memory_bytes: u32,
    /// The most bytes of WebAssembly stack.
    pub stack_bytes: u32,
    /// The most bytes that one row (for an aggregate, one state) may come back as.
    pub output_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { budget_fuel: Fuel(100_000_000), memory_bytes: 64 << 20, stack_bytes: 512 << 10, output_bytes: 1 << 20 }
    }
}

impl Limits {
    /// Adds the limits to a canonical encoding.
    pub fn encode(&self, canonical: &mut Canonical) {
        canonical.u64(self.budget_fuel.0).u32(self.memory_bytes).u32(self.stack_bytes).u32(self.output_bytes);
    }
}
