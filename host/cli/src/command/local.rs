use std::path::Path;

use oast_runtime::{ClockMode, Options, Runtime, RuntimeError, StandardPlugin};

/// Opens the runtime over a data folder, with the standard plugins at hand.
pub(crate) fn open(data: &Path, clock: ClockMode) -> Result<Runtime, RuntimeError> {
    let standard = oast_plugins::standard().iter();
    let standard = standard.map(|plugin| StandardPlugin { name: plugin.name, component: plugin.component }).collect();
    Runtime::open(Options { data: data.to_owned(), standard, clock })
}
