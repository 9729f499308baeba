//! Connections: how many at once, how large and how slow a request's head may be, and how they end.

use std::{
    convert::Infallible,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, response::Response, routing::future::RouteFuture};
use hyper::{Request, body::Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::sleep,
};
use tower_service::Service;
use tracing::{debug, warn};

use super::limits::Limits;

/// How long to wait when the process has no file handle left for a connection.
const OUT_OF_HANDLES: Duration = Duration::from_millis(100);

/// How often a silent HTTP/2 connection is asked whether anybody is there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Serves connections until the daemon drains and the last of them has ended.
pub(super) async fn serve(listener: TcpListener, router: Router, limits: Limits, draining: watch::Receiver<bool>) {
    let free = Arc::new(Semaphore::new(limits.connections_max as usize));
    let mut stop = draining.clone();
    loop {
        let accepted = async {
            let place = Arc::clone(&free).acquire_owned().await.expect("the semaphore is never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            _ = stop.wait_for(|draining| *draining) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(stream, router.clone(), limits, draining.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => wait_after(&error).await,
        }
    }
    drop(listener);
    let all = free.acquire_many(limits.connections_max).await;
    drop(all.expect("the semaphore is never closed"));
}

/// A connection that failed before it was accepted harms nobody else; with no file handle left, some must close first.
async fn wait_after(error: &io::Error) {
    let is_of_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    );
    if !is_of_connection {
        warn!(%error, "cannot accept a connection");
        sleep(OUT_OF_HANDLES).await;
    }
}

/// HTTP/1.1 or HTTP/2, as the client begins.
fn protocols(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time_max)
        .max_buf_size(limits.header_bytes_max as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(limits.header_bytes_max)
        .keep_alive_interval(KEEP_ALIVE);
    builder
}

async fn connection(stream: TcpStream, router: Router, limits: Limits, mut draining: watch::Receiver<bool>) {
    // A response is written at once; waiting to fill a packet would only cost latency.
    if let Err(error) = stream.set_nodelay(true) {
        warn!(%error, "cannot turn off Nagle's algorithm");
    }
    let begun = Arc::new(AtomicBool::new(false));
    let service = TowerToHyperService::new(Begun { router, begun: Arc::clone(&begun) });
    let protocols = protocols(&limits);
    let mut served = pin!(protocols.serve_connection(TokioIo::new(stream), service));
    // Neither protocol's own timer runs before the first bytes have told which it is.
    let mut too_slow = pin!(sleep(limits.header_time_max));
    let (mut is_waiting, mut is_draining) = (true, false);
    loop {
        tokio::select! {
            ended = &mut served => {
                if let Err(error) = ended {
                    debug!(error, "a connection failed");
                }
                break;
            }
            () = &mut too_slow, if is_waiting => {
                is_waiting = false;
                if !begun.load(Ordering::Relaxed) {
                    debug!("a connection sent no request in time");
                    break;
                }
            }
            _ = draining.wait_for(|draining| *draining), if !is_draining => {
                is_draining = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The router, and whether it has had a request of this connection.
#[derive(Clone)]
struct Begun {
    router: Router,
    begun: Arc<AtomicBool>,
}

impl Service<Request<Incoming>> for Begun {
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // A router is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        self.begun.store(true, Ordering::Relaxed);
        self.router.call(request)
    }
}
