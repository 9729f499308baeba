//! Standard plugin moments.
