//! Deadlines of requests: work for which nobody waits any longer is not begun.

use std::{
    future::{Future, pending},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, StatusCode};

use super::HttpError;

/// How many milliseconds after its head arrived a request must have begun to be worked on.
pub(super) const HEADER: &str = "x-oast-deadline-ms";

/// When a request is no longer worth beginning, if its client says so.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, HttpError> {
        let Some(value) = headers.get(HEADER) else { return Ok(Self(None)) };
        let millis = value.to_str().ok().and_then(|text| text.parse::<u32>().ok());
        let Some(millis) = millis else {
            let message = format!("the header `{HEADER}` is no whole number of milliseconds");
            return Err(HttpError::new(
                StatusCode::BAD_REQUEST,
                "bad_deadline",
                message,
                format!("write it like `{HEADER}: 50`, or leave it out"),
            ));
        };
        Ok(Self(Some(Instant::now() + Duration::from_millis(millis.into()))))
    }

    #[cfg(test)]
    pub(super) fn after(time: Duration) -> Self {
        Self(Some(Instant::now() + time))
    }

    /// An error once it has passed.
    pub(super) fn check(self) -> Result<(), HttpError> {
        match self.0 {
            Some(at) if at <= Instant::now() => Err(passed()),
            _ => Ok(()),
        }
    }

    /// What the future gives, unless the deadline passes first.
    pub(super) async fn cut<T>(self, future: impl Future<Output = T>) -> Result<T, HttpError> {
        self.check()?;
        let passes = async {
            match self.0 {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            value = future => Ok(value),
            () = passes => Err(passed()),
        }
    }
}

fn passed() -> HttpError {
    HttpError::new(
        StatusCode::GATEWAY_TIMEOUT,
        "deadline_exceeded",
        "the request's deadline passed before it was begun; nothing was done",
        format!("send it again with a later `{HEADER}`; `oast_http_queue_requests` in /metrics shows what waits"),
    )
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn deadline(text: &'static str) -> Result<Deadline, HttpError> {
        Deadline::of(&HeaderMap::from_iter([(
            axum::http::HeaderName::from_static(HEADER),
            HeaderValue::from_static(text),
        )]))
    }

    #[tokio::test]
    async fn a_deadline_that_has_passed_refuses_even_what_is_ready() {
        let passed = deadline("0").map_err(|error| error.code).expect("a number");
        assert_eq!(passed.cut(async { 1 }).await.map_err(|error| error.code), Err("deadline_exceeded"));
        let later = deadline("4000000000").map_err(|error| error.code).expect("a number");
        assert_eq!(later.cut(async { 1 }).await.map_err(|error| error.code), Ok(1));
        assert_eq!(Deadline::default().cut(async { 1 }).await.map_err(|error| error.code), Ok(1));
    }

    #[test]
    fn a_deadline_is_a_whole_number() {
        for text in ["", "soon", "-1", "1.5", "99999999999"] {
            assert_eq!(deadline(text).map_err(|error| error.code).err(), Some("bad_deadline"), "{text}");
        }
    }
}
