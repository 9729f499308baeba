//! Writing plugins: `oast plugin new`, `build` and `test`, with nothing at hand but this binary and a language's toolchain.

mod build;
mod javascript;
mod new;
mod project;
mod provenance;
mod python;
mod rust;
mod sdk;
mod sources;
mod test;
mod tool;

pub(crate) use build::build;
pub(crate) use new::new;
pub(crate) use sources::{built_before, require_built};
pub(crate) use test::test;
