//! Reading requests: media types, bodies of bounded size in bounded time, and JSON.

use std::{
    future::poll_fn,
    pin::Pin,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{FromRequestParts, Path, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use hyper::body::Frame;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::time::timeout;

use super::{App, HttpError};

/// How long a client may take to send a body.
#[derive(Clone, Copy)]
struct Patience {
    whole: Duration,
    /// How long it may send nothing of it: its place in the queue is wanted by others.
    part: Duration,
}

const PATIENCE: Patience = Patience { whole: Duration::from_secs(30), part: Duration::from_secs(5) };

/// The name in the path of a request.
pub(super) struct Name(pub(super) String);

impl FromRequestParts<App> for Name {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, HttpError> {
        let Path(name) = Path::from_request_parts(parts, app).await.map_err(|_| {
            let hint = "write a letter outside of ASCII as the percent-encoded bytes of its UTF-8";
            HttpError::new(StatusCode::BAD_REQUEST, "bad_path", "the name in the path is not UTF-8", hint)
        })?;
        Ok(Self(name))
    }
}

/// The media type in lower case without its parameters, or nothing if the client did not say.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase())
}

/// The error for a media type that the route does not read.
pub(super) fn unsupported(found: Option<&str>, supported: &str) -> HttpError {
    let message = match found {
        Some(found) => format!("a body of type `{found}` cannot be read here"),
        None => "the request does not say what type its body has".to_owned(),
    };
    let hint = format!("send the header `Content-Type: {supported}`");
    HttpError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message, hint)
}

/// The whole body, if it is not larger than allowed.
pub(super) async fn read_body(request: Request, bytes_max: usize) -> Result<Bytes, HttpError> {
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(too_large(bytes_max));
    }
    let expected = Vec::with_capacity(announced.unwrap_or(0) as usize);
    collect(request.into_body(), expected, bytes_max, PATIENCE).await
}

async fn collect(mut body: Body, mut read: Vec<u8>, bytes_max: usize, patience: Patience) -> Result<Bytes, HttpError> {
    let ends = Instant::now() + patience.whole;
    loop {
        let left = ends.saturating_duration_since(Instant::now());
        let part = timeout(left.min(patience.part), next_part(&mut body)).await;
        match part.map_err(|_| too_slow(left, patience))? {
            None => return Ok(read.into()),
            Some(Ok(part)) if read.len() + part.len() > bytes_max => return Err(too_large(bytes_max)),
            Some(Ok(part)) => read.extend_from_slice(&part),
            Some(Err(error)) => {
                let message = format!("the body could not be read: {error}");
                let hint = "send the request again";
                return Err(HttpError::new(StatusCode::BAD_REQUEST, "body_incomplete", message, hint));
            }
        }
    }
}

fn too_large(bytes_max: usize) -> HttpError {
    let message = format!("the body has more than {bytes_max} bytes");
    let hint = "send several smaller requests, or start the daemon with a larger `--body-bytes-max`";
    HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message, hint)
}

/// The refusal of a client that had this much time left for its body when its silence began.
fn too_slow(left: Duration, patience: Patience) -> HttpError {
    let message = if left < patience.part {
        format!("the body did not arrive within {} seconds", patience.whole.as_secs_f64())
    } else {
        format!("nothing more of the body arrived for {} seconds", patience.part.as_secs_f64())
    };
    HttpError::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", message, "send the request again")
}

/// The next bytes of a body; none at its end.
async fn next_part(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    loop {
        let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => return Some(Ok(data)),
            // Trailers say nothing that matters here.
            Ok(Err(_)) => {}
            Err(error) => return Some(Err(error)),
        }
    }
}

/// Reads a JSON body. An error says the line and the column.
pub(super) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, HttpError> {
    serde_json::from_slice(body).map_err(|error| {
        let (code, hint) = match error.classify() {
            Category::Syntax | Category::Eof | Category::Io => ("malformed_json", "send one JSON object"),
            Category::Data => ("bad_request", "see the README for the request's fields and their types"),
        };
        HttpError::new(StatusCode::BAD_REQUEST, code, error.to_string(), hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        #[expect(dead_code, reason = "only its type matters here")]
        service: String,
    }

    fn refused(body: &str) -> HttpError {
        read_json::<Asked>(body.as_bytes()).expect_err("the body is malformed")
    }

    #[test]
    fn malformed_json_is_located() {
        let check = |body: &str, code: &str, part: &str| {
            let error = refused(body);
            assert_eq!((error.status, error.code), (StatusCode::BAD_REQUEST, code), "{body}");
            assert!(error.message.contains(part), "{}", error.message);
        };
        check("{\"service\": }", "malformed_json", "line 1 column 13");
        check("{\n\"service\"", "malformed_json", "line 2 column 9");
        check("{\"service\": 1}", "bad_request", "line 1 column 13");
        check("{\"servce\": \"x\"}", "bad_request", "unknown field `servce`");
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_is_cut_off_at_the_limit() {
        let check = |bytes: usize| async move {
            let request = Request::new(Body::from(vec![b'x'; bytes]));
            read_body(request, 100).await.map(|body| body.len()).map_err(|error| error.status)
        };
        assert_eq!(check(100).await, Ok(100));
        assert_eq!(check(101).await, Err(StatusCode::PAYLOAD_TOO_LARGE));
    }

    /// A body of which nothing ever comes.
    struct Silent;

    impl HttpBody for Silent {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_client_that_sends_nothing_is_not_waited_for() {
        let check = |whole: u64, part: u64| async move {
            let patience = Patience { whole: Duration::from_millis(whole), part: Duration::from_millis(part) };
            let refused = collect(Body::new(Silent), Vec::new(), 100, patience).await;
            refused.map_err(|error| (error.status, error.message))
        };
        let slow = |message: &str| Err((StatusCode::REQUEST_TIMEOUT, message.to_owned()));
        assert_eq!(check(60_000, 1).await, slow("nothing more of the body arrived for 0.001 seconds"));
        assert_eq!(check(1, 60_000).await, slow("the body did not arrive within 0.001 seconds"));
    }
}
