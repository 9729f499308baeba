//! The standard plugin library, compiled to components and embedded.
