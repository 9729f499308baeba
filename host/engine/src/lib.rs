//! Runs transform components in wasmtime, deterministically and within exact limits.
