use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use oast_runtime::{ClockMode, Manifest, Progress, ReplayOptions, RuntimeError, manifest_path};

use tokio::signal::unix::{SignalKind, signal};

use super::{lineage::LineageRun, open};
use crate::{
    args::{self, Global},
    output::{self, style, thousands},
    progress::Bar,
    report::Exit,
};

/// `oast replay`
pub(crate) fn replay(global: &Global, args: args::Replay) -> anyhow::Result<()> {
    let runtime = open(&global.data, ClockMode::Wall)?;
    let options = ReplayOptions {
        service: args.service,
        spine: args.spine,
        out: args.out.clone(),
        events: args.events.into_iter().map(|(source, file)| (source, PathBuf::from(file))).collect(),
        map: args.map,
        spine_time: args.spine_time,
        resources: args.resources.into(),
        metadata: args.meta.into_iter().collect(),
    };
    let lineage = args.openlineage.map(|sink| LineageRun::start(sink, &options, &global.data)).transpose()?;
    let manifest = tell(lineage.as_ref(), runtime.replay(&options, &Stoppable::begin()?))?;
    if global.json {
        return output::json(&manifest);
    }
    print(&manifest, &args.out)?;
    Ok(output::line(format_args!("manifest  {}", manifest_path(&args.out).display()))?)
}

/// A bar, and whether someone pressed Ctrl-C.
struct Stoppable {
    bar: Bar,
    stopped: Arc<AtomicBool>,
}

impl Stoppable {
    /// Catches the first Ctrl-C, so that what is done can be kept; the second ends the process.
    fn begin() -> anyhow::Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopped);
        let signals = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut interrupt = {
            let _entered = signals.enter();
            signal(SignalKind::interrupt())?
        };
        std::thread::spawn(move || {
            signals.block_on(async {
                interrupt.recv().await;
                seen.store(true, Ordering::Relaxed);
                interrupt.recv().await;
                std::process::exit(Exit::Environment as i32)
            })
        });
        Ok(Self { bar: Bar::new(), stopped })
    }
}

impl Progress for Stoppable {
    fn phase(&self, name: &str, total: Option<u64>) {
        self.bar.phase(name, total);
    }

    fn advance(&self, amount: u64) {
        self.bar.advance(amount);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Tells a lineage service how a replay ended. One that failed ends in its own error, whatever becomes of the telling.
fn tell(lineage: Option<&LineageRun>, replayed: Result<Manifest, RuntimeError>) -> anyhow::Result<Manifest> {
    let replayed = replayed.map_err(anyhow::Error::from);
    let Some(lineage) = lineage else { return replayed };
    match replayed {
        Ok(manifest) => {
            lineage.complete(&manifest)?;
            Ok(manifest)
        }
        Err(error) => {
            if let Err(unsent) = lineage.fail(&error) {
                tracing::warn!("{unsent:#}");
            }
            Err(error)
        }
    }
}

fn print(manifest: &Manifest, file: &Path) -> Result<(), output::StdoutError> {
    let bold = style::BOLD;
    let dataset = &manifest.dataset;
    let took = Duration::from_micros(manifest.duration_us());
    output::line(format_args!("dataset   {}", file.display()))?;
    output::line(format_args!(
        "rows      {} in {:.1} s, {} columns",
        thousands(dataset.rows),
        took.as_secs_f64(),
        dataset.schema.len()
    ))?;
    output::line(format_args!("service   {} {}", manifest.service.name, manifest.service.version))?;
    output::line(format_args!("hash      {bold}{}{bold:#}", dataset.hash))
}
