//! Standard plugin fill.
