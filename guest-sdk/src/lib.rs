//! Write transforms and aggregates for Oast, and compile them to WebAssembly components.
