//! The daemon: the runtime's calls over HTTP/1.1 and HTTP/2, and nothing decided here but who may call when.

mod catalog;
mod connections;
mod deadline;
mod definitions;
mod error;
mod events;
mod explain;
mod health;
mod limits;
mod lookup;
mod metrics;
mod observe;
mod quarantine;
mod receipts;
mod request;
mod startup;
mod traffic;
mod workers;

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Router, middleware,
    routing::{get, post},
};
use oast_runtime::{Runtime, RuntimeError};
use tokio::{net::TcpListener, sync::watch, time::timeout};
use tracing::{error, info, warn};

pub(crate) use events::{ARROW_STREAM, JSON_LINES};
pub(crate) use limits::{
    BODY_BYTES_MAX, CONNECTIONS_MAX, HEADER_BYTES_MAX, HEADER_BYTES_MAX_LEAST, HEADER_SECONDS_MAX, Limits, ROWS_MAX,
};

use error::HttpError;
use metrics::Metrics;
use startup::Startup;
use workers::Workers;

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
    /// Explaining reads the log, which may take minutes.
    explanations: Workers,
    /// Checking and compiling what is published takes seconds, one after the other.
    publications: Workers,
    metrics: Arc<Metrics>,
    limits: Limits,
    startup: Arc<Startup>,
    draining: watch::Receiver<bool>,
}

impl App {
    fn new(runtime: Arc<Runtime>, limits: Limits, draining: watch::Receiver<bool>) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            runtime,
            lookups: Workers::new(cores, 1024),
            appends: Workers::new(32, 32),
            reads: Workers::new(2, 64),
            explanations: Workers::new(1, 16),
            publications: Workers::new(1, 16),
            metrics: Arc::default(),
            limits,
            startup: Arc::new(Startup::new(draining.clone())),
            draining,
        }
    }

    fn queues(&self) -> [(&'static str, &Workers); 5] {
        let Self { lookups, appends, reads, explanations, publications, .. } = self;
        [
            ("lookups", lookups),
            ("appends", appends),
            ("reads", reads),
            ("explanations", explanations),
            ("publications", publications),
        ]
    }

    fn router(self) -> Router {
        let started = middleware::from_fn_with_state(self.clone(), startup::gate);
        let serving = Router::new()
            .route("/v1/lookup", post(lookup::lookup))
            .route("/v1/events/{source}", post(events::append))
            .route("/v1/definitions", post(definitions::apply))
            .route("/v1/quarantine/{source}/retry", post(quarantine::retry))
            .route_layer(started);
        Router::new()
            .merge(serving)
            .route("/v1/catalog", get(catalog::list))
            .route("/v1/catalog/{name}", get(catalog::show))
            .route("/v1/catalog/{name}/history", get(catalog::history))
            .route("/v1/components", post(definitions::component))
            .route("/v1/quarantine", get(quarantine::list))
            .route("/v1/quarantine/{source}", get(quarantine::events))
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

/// Catches the views up while it answers whether it is ready, calls `started` when it is, and serves until `stop` completes.
/// Then it finishes what is under way and writes the online state.
pub(crate) async fn serve(
    listener: TcpListener,
    runtime: Arc<Runtime>,
    limits: Limits,
    started: impl FnOnce() -> anyhow::Result<()>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (draining, mut is_draining) = watch::channel(false);
    let app = App::new(runtime, limits, is_draining.clone());
    let router = app.clone().router();
    let mut server = tokio::spawn(connections::serve(listener, router, limits, is_draining.clone()));
    tokio::spawn(async move {
        stop.await;
        info!("draining");
        draining.send_replace(true);
    });
    if !start(&app).await? {
        drain(server).await?;
        return finish(app).await;
    }
    started()?;
    let checkpoints = tokio::spawn(checkpoint_regularly(app.clone()));
    tokio::select! {
        ended = &mut server => ended?,
        _ = is_draining.wait_for(|draining| *draining) => drain(server).await?,
    }
    checkpoints.abort();
    finish(app).await
}

/// Catches the views up; false if the daemon was told to stop on the way.
async fn start(app: &App) -> anyhow::Result<bool> {
    let (runtime, startup) = (Arc::clone(&app.runtime), Arc::clone(&app.startup));
    let caught_up = move || {
        let caught_up = runtime.start(&*startup);
        startup.finish();
        caught_up
    };
    match tokio::task::spawn_blocking(caught_up).await? {
        Ok(()) => Ok(true),
        Err(RuntimeError::Stopped) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn drain(server: tokio::task::JoinHandle<()>) -> anyhow::Result<()> {
    let abort = server.abort_handle();
    match timeout(DRAIN, server).await {
        Ok(ended) => Ok(ended?),
        Err(_) => {
            warn!(seconds = DRAIN.as_secs(), "some connections did not end in time");
            abort.abort();
            Ok(())
        }
    }
}

/// Waits for calls that outlive their connections and change something, then writes the online state and seals the log.
async fn finish(app: App) -> anyhow::Result<()> {
    for workers in [&app.lookups, &app.appends, &app.publications] {
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
