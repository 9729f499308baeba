use std::sync::Arc;

use anyhow::Context;
use oast_runtime::RuntimeError;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};
use tracing::info;

use super::serve_from;
use crate::{
    args::{self, Global},
    http, output,
    progress::Bar,
    report::Failure,
};

/// `oast serve`
pub(crate) fn serve(global: &Global, args: &args::Serve) -> anyhow::Result<()> {
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    threads.context("cannot start the daemon's threads")?.block_on(run(global, args))
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
    let opened = move || {
        let runtime = serve_from(&data, &args_of_open)?;
        runtime.start(&Bar::new())?;
        Ok::<_, RuntimeError>(runtime)
    };
    let runtime = tokio::task::spawn_blocking(opened).await??;
    let recovery = serde_json::to_string(runtime.recovery())?;
    info!(data = %global.data.display(), recovery, "opened");
    output::line(format_args!("oast serves at http://{address}"))?;
    http::serve(listener, Arc::new(runtime), args.body_bytes_max, stopped(terminate, interrupt)).await
}

/// Completes when the operator asks the daemon to stop.
async fn stopped(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM"),
        _ = interrupt.recv() => info!("SIGINT"),
    }
}
