use std::path::Path;

use crate::args;
use oast_runtime::{ClockMode, Options, ReceiptPolicy, Runtime, RuntimeError, StandardPlugin};

/// Opens the runtime over a data folder that is there, with the standard plugins at hand.
pub(crate) fn open(data: &Path, clock: ClockMode) -> Result<Runtime, RuntimeError> {
    Runtime::open(options(data, clock))
}

/// Opens the runtime over a data folder, which is made if it is not there.
pub(crate) fn create(data: &Path, clock: ClockMode) -> Result<Runtime, RuntimeError> {
    Runtime::open(Options { create: true, ..options(data, clock) })
}

/// Opens the runtime of a daemon, which keeps receipts.
pub(crate) fn serve_from(data: &Path, args: &args::Serve) -> Result<Runtime, RuntimeError> {
    let clock = if args.simulate { ClockMode::Simulated } else { ClockMode::Wall };
    let (receipts, receipts_kept) = (args.receipts, args.receipts_keep);
    Runtime::open(Options { create: true, receipts, receipts_kept, ..options(data, clock) })
}

fn options(data: &Path, clock: ClockMode) -> Options {
    let standard = oast_plugins::standard().iter();
    let standard = standard.map(|plugin| StandardPlugin { name: plugin.name, component: plugin.component }).collect();
    Options {
        data: data.to_owned(),
        create: false,
        standard,
        clock,
        receipts: ReceiptPolicy::default(),
        receipts_kept: None,
    }
}
