use std::{sync::Mutex, time::Instant};

use oast_runtime::Progress;

use crate::{
    output::{self, style},
    progress::Bar,
};

/// The running account of the demo: a line for each step done, and a bar for the one under way.
pub(super) struct Steps {
    bar: Bar,
    begun: Mutex<Instant>,
    /// Whether a person reads along; a program gets JSON at the end.
    told: bool,
}

impl Steps {
    pub(super) fn new(told: bool) -> Self {
        Self { bar: Bar::new(), begun: Mutex::new(Instant::now()), told }
    }

    /// Ticks off a step, with the time since the one before.
    pub(super) fn done(&self, name: &str, what: &str) -> anyhow::Result<()> {
        let mut begun = self.begun.lock().expect("no thread panics while it tells the time");
        let seconds = begun.elapsed().as_secs_f64();
        *begun = Instant::now();
        let (green, dim) = (style::GREEN, style::DIM);
        self.say(&format!("  {green}✓{green:#} {name:<8} {what:<76} {dim}{seconds:>5.1} s{dim:#}"))
    }

    /// Prints a line above the bar.
    pub(super) fn say(&self, line: &str) -> anyhow::Result<()> {
        self.bar.clear();
        if self.told {
            output::line(line)?;
        }
        Ok(())
    }
}

impl Progress for Steps {
    fn phase(&self, name: &str, total: Option<u64>) {
        self.bar.phase(name, total);
    }

    fn advance(&self, amount: u64) {
        self.bar.advance(amount);
    }
}
