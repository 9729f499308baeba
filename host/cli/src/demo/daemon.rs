use std::{
    path::Path,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use anyhow::{Context, anyhow};
use oast_runtime::ClockMode;
use tokio::{net::TcpListener, sync::oneshot};

use crate::{client::Client, command, http};

/// A daemon on threads of this process, and otherwise the one that `oast serve --simulate` starts.
pub(super) struct Daemon {
    pub(super) url: String,
    pub(super) client: Client,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Daemon {
    /// Starts it on a free port and waits until it is ready.
    pub(super) fn start(data: &Path) -> anyhow::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let data = data.to_owned();
        let thread = std::thread::Builder::new()
            .name("daemon".to_owned())
            .spawn(move || run(&data, &tell, stopped))
            .context("cannot start a thread")?;
        match told.recv() {
            Ok(url) => Ok(Self { client: Client::new(&url)?, url, stop, thread }),
            Err(mpsc::RecvError) => Err(join(thread).err().unwrap_or_else(|| anyhow!("the daemon ended at once"))),
        }
    }

    /// Stops it gracefully.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        drop(self.client);
        // When nobody hears, the daemon is gone already, and joining it tells why.
        if self.stop.send(()).is_err() {
            tracing::debug!("the daemon ended before it was told to");
        }
        join(self.thread)
    }
}

fn join(thread: JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    thread.join().map_err(|_| anyhow!("the daemon panicked"))?
}

fn run(data: &Path, tell: &mpsc::Sender<String>, stopped: oneshot::Receiver<()>) -> anyhow::Result<()> {
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    threads.context("cannot start the daemon's threads")?.block_on(async {
        let runtime = command::open(data, ClockMode::Simulated)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen on a free port")?;
        let address = listener.local_addr().context("the listener has no address")?;
        let started = || tell.send(format!("http://{address}")).context("nobody waits for the daemon");
        let stopped = async move { drop(stopped.await) };
        http::serve(listener, Arc::new(runtime), http::Limits::default(), started, stopped).await
    })
}
