use std::{error::Error, io};

use axum::{
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use oast_runtime::{ErrorKind, RuntimeError};
use serde::Serialize;

/// What went wrong with a request, as `{"error": {"code", "message", "hint"}}`.
#[derive(Debug)]
pub(super) struct HttpError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

/// How long a client that was turned away should wait, in seconds.
const RETRY_AFTER: &str = "1";

impl HttpError {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { status, code, message: message.into(), hint: Some(hint.into()) }
    }

    pub(super) fn busy() -> Self {
        let message = "too many requests are waiting";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message, "send the request again after a moment")
    }

    pub(super) fn panicked() -> Self {
        let hint = "the daemon goes on; its log says what happened";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request could not be finished", hint)
    }

    pub(super) async fn no_route(uri: Uri) -> Self {
        let hint = "see POST /v1/lookup, POST /v1/events/SOURCE, GET /v1/catalog, GET /v1/receipts/ID, GET /v1/quarantine, /healthz, /readyz and /metrics";
        Self::new(StatusCode::NOT_FOUND, "unknown_route", format!("there is nothing at `{}`", uri.path()), hint)
    }

    pub(super) async fn wrong_method(method: Method, uri: Uri) -> Self {
        let message = format!("`{}` does not take {method}", uri.path());
        let hint = "the `Allow` header of this response says what it takes";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message, hint)
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() && self.code != "busy" {
            tracing::error!(code = self.code, error = self.message, "request failed");
        }
        let detail = Detail { code: self.code, message: &self.message, hint: self.hint.as_deref() };
        let mut response = (self.status, axum::Json(Body { error: detail })).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }
}

impl From<RuntimeError> for HttpError {
    fn from(error: RuntimeError) -> Self {
        let status = match error.kind() {
            ErrorKind::Input => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Check | ErrorKind::Environment if is_full(&error) => StatusCode::INSUFFICIENT_STORAGE,
            ErrorKind::Check | ErrorKind::Environment => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, code: error.code(), message: chain(&error), hint: error.hint() }
    }
}

/// An error and its causes on one line.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let texts: Vec<_> = causes(error).map(ToString::to_string).collect();
    texts.join(": ")
}

/// An error, its cause, the cause of that, and so on.
pub(super) fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// Whether the disk had no room.
fn is_full(error: &(dyn Error + 'static)) -> bool {
    causes(error)
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}
