//! The time between listening and being ready, in which views catch up with the log.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use oast_runtime::Progress;
use tokio::sync::watch;

use super::{App, HttpError};
use crate::progress::Bar;

/// How far the daemon has come, for whoever asks `/readyz` and for people at a terminal.
pub(super) struct Startup {
    phase: Mutex<(String, Option<u64>)>,
    done: AtomicU64,
    bar: Bar,
    draining: watch::Receiver<bool>,
}

impl Startup {
    pub(super) fn new(draining: watch::Receiver<bool>) -> Self {
        Self {
            draining,
            phase: Mutex::new(("reading the definitions".to_owned(), None)),
            done: AtomicU64::new(0),
            bar: Bar::new(),
        }
    }

    /// Takes the bar off the screen.
    pub(super) fn finish(&self) {
        self.bar.clear();
    }

    /// What is being done, and how much of it is.
    pub(super) fn text(&self) -> String {
        let phase = self.phase.lock().expect("no thread panics while it has the phase");
        match &*phase {
            (name, Some(total)) => format!("{name}: {} of {total} events", self.done.load(Ordering::Relaxed)),
            (name, None) => name.clone(),
        }
    }
}

impl Progress for Startup {
    fn phase(&self, name: &str, total: Option<u64>) {
        *self.phase.lock().expect("no thread panics while it has the phase") = (name.to_owned(), total);
        self.done.store(0, Ordering::Relaxed);
        self.bar.phase(name, total);
    }

    fn advance(&self, amount: u64) {
        self.done.fetch_add(amount, Ordering::Relaxed);
        self.bar.advance(amount);
    }

    fn is_stopped(&self) -> bool {
        *self.draining.borrow()
    }
}

/// Lets requests through that need the definitions once they serve, and refuses them at once before.
pub(super) async fn gate(State(app): State<App>, request: Request, next: Next) -> Result<Response, HttpError> {
    if !app.runtime.ready() {
        return Err(catching_up(&app));
    }
    Ok(next.run(request).await)
}

/// The refusal of a daemon whose views catch up.
pub(super) fn catching_up(app: &App) -> HttpError {
    let message = format!("the views are still catching up with the log; {}", app.startup.text());
    HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message, "send requests elsewhere, or wait")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_names_the_view_and_counts_its_events() {
        let startup = Startup::new(watch::channel(false).1);
        assert_eq!(startup.text(), "reading the definitions");
        startup.phase("catching up carrier_delay", Some(10));
        startup.advance(3);
        startup.advance(4);
        assert_eq!(startup.text(), "catching up carrier_delay: 7 of 10 events");
        startup.phase("catching up origin_delay", Some(5));
        assert_eq!(startup.text(), "catching up origin_delay: 0 of 5 events");
    }
}
