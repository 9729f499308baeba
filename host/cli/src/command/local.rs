use std::path::Path;

use oast_runtime::{ClockMode, Options, Runtime, RuntimeError, StandardPlugin};

/// Opens the runtime over a data folder that is there, with the standard plugins at hand.
pub(crate) fn open(data: &Path, clock: ClockMode) -> Result<Runtime, RuntimeError> {
    open_with(data, clock, false)
}

/// Opens the runtime over a data folder, which is made if it is not there.
pub(crate) fn create(data: &Path, clock: ClockMode) -> Result<Runtime, RuntimeError> {
    open_with(data, clock, true)
}

fn open_with(data: &Path, clock: ClockMode, create: bool) -> Result<Runtime, RuntimeError> {
    let standard = oast_plugins::standard().iter();
    let standard = standard.map(|plugin| StandardPlugin { name: plugin.name, component: plugin.component }).collect();
    Runtime::open(Options { data: data.to_owned(), create, standard, clock })
}
