//! Connections: how many at once, how large and how slow a request's head may be, and how they end.

use std::{
    convert::Infallible,
    io,
    mem::replace,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, response::Response};
use hyper::{Request, body::Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{Instant, interval_at, sleep},
};
use tower_service::Service;
use tracing::{debug, warn};

use super::{
    limits::Limits,
    traffic::{Traffic, Watched},
};

/// How long to wait when the process has no file handle left for a connection.
const OUT_OF_HANDLES: Duration = Duration::from_millis(100);

/// How long a connection without a request under way may stay once the daemon drains and nothing more leaves by it: for an
/// HTTP/2 client to hear that it must not ask again, and for a slow client to take more of its last answer. One that reads
/// nothing would else keep the daemon.
const FAREWELL: Duration = Duration::from_secs(1);

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
    let requests = Arc::new(Requests::default());
    let service = TowerToHyperService::new(Counted { router, requests: Arc::clone(&requests) });
    let traffic = Arc::new(Traffic::default());
    let stream = Watched::new(stream, Arc::clone(&traffic));
    let protocols = protocols(&limits);
    let mut served = pin!(protocols.serve_connection(TokioIo::new(stream), service));
    // Neither protocol's own timer runs before the first bytes have told which it is, and HTTP/2 has none between requests.
    let mut ticks = interval_at(Instant::now() + limits.header_time_max, limits.header_time_max);
    let mut begun_before = 0;
    loop {
        tokio::select! {
            ended = &mut served => return log_failure(ended),
            _ = ticks.tick() => {
                let begun = requests.begun.load(Ordering::Relaxed);
                if begun == 0 {
                    debug!("a connection sent no request in time");
                    return;
                }
                if replace(&mut begun_before, begun) == begun && requests.under_way() == 0 {
                    debug!("a connection sent no further request in time");
                    break;
                }
            }
            _ = draining.wait_for(|draining| *draining) => break,
        }
    }
    served.as_mut().graceful_shutdown();
    let mut sent_before = traffic.sent();
    loop {
        tokio::select! {
            ended = &mut served => return log_failure(ended),
            () = sleep(FAREWELL) => {
                let sent = traffic.sent();
                if replace(&mut sent_before, sent) == sent && requests.under_way() == 0 {
                    debug!("a connection without requests did not end");
                    return;
                }
            }
        }
    }
}

fn log_failure(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        debug!(error, "a connection failed");
    }
}

/// How many requests a connection has sent, and how many of them were answered.
#[derive(Debug, Default)]
struct Requests {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Requests {
    fn under_way(&self) -> u64 {
        // In this order a request that ends meanwhile counts as under way, never the other way round.
        let ended = self.ended.load(Ordering::Acquire);
        self.begun.load(Ordering::Acquire) - ended
    }
}

/// The router, and how many requests of this connection it works on.
#[derive(Clone)]
struct Counted {
    router: Router,
    requests: Arc<Requests>,
}

/// Counts a request as ended when it is dropped: answered, or given up by its client.
struct UnderWay(Arc<Requests>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Release);
    }
}

impl Service<Request<Incoming>> for Counted {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // A router is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        self.requests.begun.fetch_add(1, Ordering::Release);
        let under_way = UnderWay(Arc::clone(&self.requests));
        let answer = self.router.call(request);
        Box::pin(async move {
            let answer = answer.await;
            drop(under_way);
            answer
        })
    }
}
