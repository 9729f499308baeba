//! Standard plugin filter.
