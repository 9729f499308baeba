//! Standard plugin last.
