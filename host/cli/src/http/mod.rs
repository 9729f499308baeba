//! The daemon: the runtime's calls over HTTP/1.1 and HTTP/2, and nothing decided here but who may call when.

mod catalog;
mod definitions;
mod error;
mod events;
mod explain;
mod health;
mod lookup;
mod metrics;
mod observe;
mod quarantine;
mod receipts;
mod request;
mod workers;

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Router, middleware,
    routing::{get, post},
    serve::ListenerExt,
};
use oast_runtime::Runtime;
use tokio::{net::TcpListener, sync::watch, time::timeout};
use tracing::{error, info, warn};

pub(crate) use events::{ARROW_STREAM, JSON_LINES};

use error::HttpError;
use metrics::Metrics;
use workers::Workers;

/// The largest request body unless the operator says otherwise.
pub(crate) const BODY_BYTES_MAX: usize = 32 << 20;

/// How long requests under way may take to finish once the daemon is told to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// How often the online state is written, so that a restart has little of the log to apply.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

/// What every request needs.
#[derive(Clone)]
struct App {
    runtime: Arc<Runtime>,
    lookups: Workers,
    /// Appends wait for the disk and share its syncs, so many of them run at once.
    appends: Workers,
    reads: Workers,
    /// Checking and compiling what is published takes seconds, one after the other.
    publications: Workers,
    metrics: Arc<Metrics>,
    body_bytes_max: usize,
    draining: watch::Receiver<bool>,
}

impl App {
    fn new(runtime: Arc<Runtime>, body_bytes_max: usize, draining: watch::Receiver<bool>) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            runtime,
            lookups: Workers::new(cores, 1024),
            appends: Workers::new(32, 32),
            reads: Workers::new(2, 64),
            publications: Workers::new(1, 16),
            metrics: Arc::default(),
            body_bytes_max,
            draining,
        }
    }

    fn router(self) -> Router {
        Router::new()
            .route("/v1/lookup", post(lookup::lookup))
            .route("/v1/events/{source}", post(events::append))
            .route("/v1/catalog", get(catalog::list))
            .route("/v1/catalog/{name}", get(catalog::show))
            .route("/v1/catalog/{name}/history", get(catalog::history))
            .route("/v1/components", post(definitions::component))
            .route("/v1/definitions", post(definitions::apply))
            .route("/v1/quarantine", get(quarantine::list))
            .route("/v1/quarantine/{source}", get(quarantine::events))
            .route("/v1/quarantine/{source}/retry", post(quarantine::retry))
            .route("/v1/quarantine/{source}/drop", post(quarantine::drop_events))
            .route("/v1/explain", post(explain::explain))
            .route("/v1/receipts/{id}", get(receipts::show))
            .route("/healthz", get(health::alive))
            .route("/readyz", get(health::ready))
            .route("/metrics", get(health::metrics))
            .fallback(HttpError::no_route)
            .method_not_allowed_fallback(HttpError::wrong_method)
            .layer(middleware::from_fn_with_state(self.clone(), observe::observe))
            .with_state(self)
    }
}

/// Serves until `stop` completes, then finishes what is under way and writes the online state.
pub(crate) async fn serve(
    listener: TcpListener,
    runtime: Arc<Runtime>,
    body_bytes_max: usize,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (draining, is_draining) = watch::channel(false);
    let app = App::new(runtime, body_bytes_max, is_draining.clone());
    let checkpoints = tokio::spawn(checkpoint_regularly(app.clone()));
    let listener = listener.tap_io(|connection| {
        // A response is written at once; waiting to fill a packet would only cost latency.
        if let Err(error) = connection.set_nodelay(true) {
            warn!(%error, "cannot turn off Nagle's algorithm");
        }
    });
    let mut signal = is_draining;
    let server = axum::serve(listener, app.clone().router()).with_graceful_shutdown(async move {
        stop.await;
        info!("draining");
        draining.send_replace(true);
    });
    let mut server = tokio::spawn(server.into_future());
    tokio::select! {
        ended = &mut server => ended??,
        _ = signal.wait_for(|draining| *draining) => drain(server).await?,
    }
    checkpoints.abort();
    finish(app).await
}

async fn drain(server: tokio::task::JoinHandle<std::io::Result<()>>) -> anyhow::Result<()> {
    let abort = server.abort_handle();
    match timeout(DRAIN, server).await {
        Ok(ended) => Ok(ended??),
        Err(_) => {
            warn!(seconds = DRAIN.as_secs(), "some connections did not end in time");
            abort.abort();
            Ok(())
        }
    }
}

/// Waits for calls that outlive their connections, then writes the online state and seals the log.
async fn finish(app: App) -> anyhow::Result<()> {
    for workers in [&app.lookups, &app.appends, &app.reads, &app.publications] {
        workers.idle().await;
    }
    let runtime = app.runtime;
    tokio::task::spawn_blocking(move || runtime.close()).await??;
    info!("stopped");
    Ok(())
}

async fn checkpoint_regularly(app: App) {
    let mut ticks = tokio::time::interval(CHECKPOINT_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let runtime = Arc::clone(&app.runtime);
        match tokio::task::spawn_blocking(move || runtime.maintain()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(error = error::chain(&error), "cannot write the online state"),
            Err(error) => error!(%error, "writing the online state panicked"),
        }
    }
}
