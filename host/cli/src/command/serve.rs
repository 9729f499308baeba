use std::{sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};
use tracing::info;

use super::serve_from;
use crate::{
    args::{self, Global},
    http::{self, Limits},
    output,
    report::Failure,
};

/// `oast serve`
pub(crate) fn serve(global: &Global, args: &args::Serve) -> anyhow::Result<()> {
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let threads = threads.context("cannot start the daemon's threads")?;
    let served = threads.block_on(run(global, args));
    // What only reads, and whose client has gone, is not waited for.
    threads.shutdown_background();
    served
}

async fn run(global: &Global, args: &args::Serve) -> anyhow::Result<()> {
    // Signals are caught before the log is opened, so that none cuts the recovery short.
    let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        let message = format!("cannot listen on `{}`", args.listen);
        anyhow::Error::from(error).context(Failure::environment(message, "choose another address with --listen"))
    })?;
    let address = listener.local_addr().context("the listener has no address")?;
    let (data, args_of_open) = (global.data.clone(), args.clone());
    let runtime = tokio::task::spawn_blocking(move || serve_from(&data, &args_of_open)).await??;
    let recovery = serde_json::to_string(runtime.recovery())?;
    info!(data = %global.data.display(), recovery, "opened");
    info!(%address, "listening");
    let started = || Ok(output::line(format_args!("oast serves at http://{address}"))?);
    http::serve(listener, Arc::new(runtime), limits(args), started, stopped(terminate, interrupt)).await
}

fn limits(args: &args::Serve) -> Limits {
    Limits {
        body_bytes_max: args.body_bytes_max,
        rows_max: args.rows_max,
        header_bytes_max: args.header_bytes_max,
        header_time_max: Duration::from_secs(args.header_seconds_max),
        connections_max: args.connections_max,
    }
}

/// Completes when the operator asks the daemon to stop.
async fn stopped(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM"),
        _ = interrupt.recv() => info!("SIGINT"),
    }
}
