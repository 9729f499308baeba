//! Standard plugin ratio.
