//! Reading requests: media types, bodies of bounded size in bounded time, and JSON.

use std::time::Duration;

use axum::{
    body::{self, Body, Bytes},
    extract::{FromRequestParts, Path, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::time::timeout;

use super::{App, HttpError, error::causes};

/// How long a client may take to send a body.
const BODY_TIME: Duration = Duration::from_secs(30);

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
    let too_large = || {
        let message = format!("the body has more than {bytes_max} bytes");
        let hint = "send several smaller requests, or start the daemon with a larger `--body-bytes-max`";
        HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message, hint)
    };
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(too_large());
    }
    match timeout(BODY_TIME, collect(request.into_body(), bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_over_limit(&error) => Err(too_large()),
        Ok(Err(error)) => {
            let message = format!("the body could not be read: {error}");
            Err(HttpError::new(StatusCode::BAD_REQUEST, "body_incomplete", message, "send the request again"))
        }
        Err(_) => {
            let message = format!("the body did not arrive within {} seconds", BODY_TIME.as_secs());
            Err(HttpError::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", message, "send the request again"))
        }
    }
}

async fn collect(body: Body, bytes_max: usize) -> Result<Bytes, axum::Error> {
    body::to_bytes(body, bytes_max).await
}

/// `to_bytes` gives its error no type of its own that axum re-exports; its text is the only mark.
fn is_over_limit(error: &axum::Error) -> bool {
    causes(error).any(|error| error.to_string().contains("length limit"))
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
}
