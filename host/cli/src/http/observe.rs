use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method},
    middleware::Next,
    response::Response,
};
use tracing::{Instrument, debug, info, info_span};

use super::App;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives each request an id, a span and its place in the metrics. The id comes back as `x-request-id`.
pub(super) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request_id(request.headers());
    let (route, method) = (route(request.uri().path()), method(request.method()));
    let span = info_span!("request", id = id.to_str().unwrap_or("?"), method, path = request.uri().path());
    let mut response = next.run(request).instrument(span.clone()).await;
    response.headers_mut().insert(REQUEST_ID, id);
    let (latency, status) = (begun.elapsed(), response.status().as_u16());
    app.metrics.answered(route, method, status, latency);
    let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    let _entered = span.enter();
    if status < 400 {
        debug!(status, latency_us, "answered");
    } else {
        info!(status, latency_us, "refused");
    }
    response
}

/// The client's id if it is short and visible, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sound = |id: &&HeaderValue| (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    match headers.get(REQUEST_ID).filter(sound) {
        Some(id) => id.clone(),
        None => HeaderValue::from_str(&new_id()).expect("hexadecimal digits are visible"),
    }
}

/// Unlike any other id of this process, and very likely of any other.
fn new_id() -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one("request ids"));
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{:016x}{:08x}", *PROCESS, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The route as a label: without the names in it.
fn route(path: &str) -> &'static str {
    match path {
        "/v1/lookup" => "/v1/lookup",
        "/v1/components" => "/v1/components",
        "/v1/definitions" => "/v1/definitions",
        "/v1/explain" => "/v1/explain",
        "/healthz" => "/healthz",
        "/readyz" => "/readyz",
        "/metrics" => "/metrics",
        _ if path.starts_with("/v1/events/") => "/v1/events",
        _ if path == "/v1/quarantine" || path.starts_with("/v1/quarantine/") => "/v1/quarantine",
        _ if path.starts_with("/v1/receipts/") => "/v1/receipts",
        _ if path == "/v1/catalog" || path.starts_with("/v1/catalog/") => "/v1/catalog",
        _ => "other",
    }
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_request_id_is_kept_if_it_is_sound() {
        let check = |id: &str, kept: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(id).expect("a header value"));
            assert_eq!(request_id(&headers) == id, kept, "{id}");
        };
        check("abc-123", true);
        check("", false);
        check("two words", false);
        check(&"x".repeat(129), false);
    }
}
