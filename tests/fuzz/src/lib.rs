//! What the fuzz targets do with their input. Each target is a program of its own, see `src/bin/`.

#[path = "../../end_to_end/hostile/components.rs"]
#[expect(dead_code, reason = "the end-to-end tests use the rest")]
mod components;
mod generated;
mod nans;
mod returned;
mod run;

pub use generated::generated_code;
pub use nans::nan_rule;
pub use returned::returned_values;
pub use run::component_bytes;
