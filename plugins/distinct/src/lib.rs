//! Standard plugin distinct.
