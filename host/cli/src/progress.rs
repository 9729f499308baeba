//! Progress on standard error, for people at a terminal only.

use std::{fmt::Write, sync::Mutex, time::Duration};

use indicatif::{HumanCount, ProgressBar, ProgressState, ProgressStyle};
use oast_runtime::Progress;

/// Shows a bar, or a spinner where no total is known, for the phase at hand. Nothing shows where standard error is no
/// terminal.
pub(crate) struct Bar {
    bar: Mutex<ProgressBar>,
}

impl Bar {
    pub(crate) fn new() -> Self {
        Self { bar: Mutex::new(ProgressBar::hidden()) }
    }

    /// Takes the bar off the screen until the next phase.
    pub(crate) fn clear(&self) {
        self.bar().finish_and_clear();
    }

    fn bar(&self) -> std::sync::MutexGuard<'_, ProgressBar> {
        self.bar.lock().expect("no thread panics while it draws")
    }
}

impl Progress for Bar {
    fn phase(&self, name: &str, total: Option<u64>) {
        let next = match total {
            Some(total) => ProgressBar::new(total).with_style(bar_style()),
            None => ProgressBar::new_spinner().with_style(spinner_style()),
        };
        next.set_message(name.to_owned());
        next.enable_steady_tick(Duration::from_millis(100));
        std::mem::replace(&mut *self.bar(), next).finish_and_clear();
    }

    fn advance(&self, amount: u64) {
        self.bar().inc(amount);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("  {msg:<24} {bar:32} {human_pos}/{human_len}  {rate}  {eta} left")
        .expect("the template is sound")
        .with_key("rate", rate)
        .progress_chars("━╸ ")
}

fn spinner_style() -> ProgressStyle {
    let so_far = |state: &ProgressState, line: &mut dyn Write| {
        if state.pos() > 0 {
            // A line that cannot be drawn is no loss.
            _ = write!(line, "  {}  ", HumanCount(state.pos()));
            rate(state, line);
        }
    };
    let style = ProgressStyle::with_template("  {spinner} {msg}{so_far}  {elapsed}").expect("the template is sound");
    style.with_key("so_far", so_far)
}

fn rate(state: &ProgressState, line: &mut dyn Write) {
    _ = write!(line, "{}/s", HumanCount(state.per_sec() as u64));
}
