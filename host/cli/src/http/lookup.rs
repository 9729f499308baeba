use std::{sync::Arc, time::Instant};

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use oast_runtime::{LookupAnswer, LookupRequest, Runtime};

use super::{
    ARROW_STREAM, App, HttpError,
    deadline::Deadline,
    request::{media_type, read_body, read_json, unsupported},
};

const JSON: &str = "application/json";

/// A body up to this size is read in passing.
const BYTES_AT_ONCE: usize = 16 << 10;

/// `POST /v1/lookup`, in JSON or Arrow either way
///
/// A lookup that takes no longer than handing it to another thread would is made here; others are handed over.
pub(super) async fn lookup(State(app): State<App>, request: Request) -> Result<Response, HttpError> {
    let begun = Instant::now();
    let place = app.lookups.admit_until(Deadline::of(request.headers())?)?;
    let (question, form) = (Question::of(&request)?, Form::of(request.headers()));
    let body = place.cut(read_body(request, app.limits.body_bytes_max)).await??;
    let (runtime, metrics, rows_max) = (app.runtime, app.metrics, app.limits.rows_max);
    let write = move |answer: &LookupAnswer| {
        let body = form.write(answer)?;
        metrics.looked_up(answer, begun.elapsed());
        Ok::<_, HttpError>(([(header::CONTENT_TYPE, form.media_type())], body).into_response())
    };
    let asked = if body.len() <= BYTES_AT_ONCE {
        let at_once = || {
            let request = question.read(&runtime, body, rows_max)?;
            let answer = runtime.answer_lookup_at_once(&request)?;
            Ok::<_, HttpError>((request, answer.map(|answer| write(&answer)).transpose()?))
        };
        match place.run_at_once(at_once)?? {
            (_, Some(response)) => return Ok(response),
            (request, None) => Asked::Read(request),
        }
    } else {
        Asked::Unread(question, body)
    };
    let work = move || {
        let request = asked.read(&runtime, rows_max)?;
        write(&runtime.answer_lookup(&request)?)
    };
    place.run(work).await?
}

/// A request, read or not.
enum Asked {
    Read(LookupRequest),
    Unread(Question, Bytes),
}

impl Asked {
    fn read(self, runtime: &Arc<Runtime>, rows_max: usize) -> Result<LookupRequest, HttpError> {
        match self {
            Self::Read(request) => Ok(request),
            Self::Unread(question, body) => question.read(runtime, body, rows_max),
        }
    }
}

/// How a request says what it asks for.
enum Question {
    /// In its body.
    Json,
    /// Its body is a table of entities; what holds for all of them is in the query.
    Arrow(Box<LookupRequest>),
}

impl Question {
    fn of(request: &Request) -> Result<Self, HttpError> {
        match media_type(request.headers()).as_deref() {
            None | Some(JSON) => Ok(Self::Json),
            Some(ARROW_STREAM) => Ok(Self::Arrow(Box::new(read_query(request.uri().query())?))),
            other => Err(unsupported(other, &format!("{JSON}` or `{ARROW_STREAM}"))),
        }
    }

    fn read(self, runtime: &Arc<Runtime>, body: Bytes, rows_max: usize) -> Result<LookupRequest, HttpError> {
        let request = match self {
            Self::Json => read_json(&body)?,
            Self::Arrow(mut request) => {
                runtime.read_lookup_rows(&mut request, body.into())?;
                *request
            }
        };
        check_rows(request.entities.len(), rows_max)?;
        Ok(request)
    }
}

/// What the query of a request with a table says: `service`, and if wanted `receipt=true` and `at`.
fn read_query(query: Option<&str>) -> Result<LookupRequest, HttpError> {
    let refuse = |message: String| {
        let hint = "write `?service=NAME`, and if wanted `&receipt=true` and `&at=TIME`";
        HttpError::new(StatusCode::BAD_REQUEST, "bad_query", message, hint)
    };
    let mut request = LookupRequest::default();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match (&*name, &*value) {
            ("service", service) => request.service = service.to_owned(),
            ("receipt", "true") => request.receipt = true,
            ("receipt", "false") => request.receipt = false,
            ("at", at) => request.at = Some(at.into()),
            (name, value) => return Err(refuse(format!("`{name}={value}` means nothing here"))),
        }
    }
    if request.service.is_empty() {
        return Err(refuse("the query does not name a service".to_owned()));
    }
    Ok(request)
}

/// How the answer is written.
#[derive(Clone, Copy)]
enum Form {
    Json,
    Arrow,
}

impl Form {
    /// Arrow for whoever accepts it by name, JSON for everybody else.
    fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut types = accepted.flat_map(|value| value.split(',')).filter_map(|range| range.split(';').next());
        if types.any(|media| media.trim().eq_ignore_ascii_case(ARROW_STREAM)) { Self::Arrow } else { Self::Json }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Arrow => ARROW_STREAM,
        }
    }

    fn write(self, answer: &LookupAnswer) -> Result<Vec<u8>, HttpError> {
        match self {
            Self::Json => Ok(serde_json::to_vec(&answer.response()).expect("a response is JSON")),
            Self::Arrow => Ok(answer.arrow_stream()?),
        }
    }
}

pub(super) fn check_rows(rows: usize, rows_max: usize) -> Result<(), HttpError> {
    if rows <= rows_max {
        return Ok(());
    }
    let message = format!("the lookup has {rows} entities, and at most {rows_max} are answered at once");
    let hint = "send several smaller requests, or start the daemon with a larger `--rows-max`";
    Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_rows", message, hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_a_table_says_the_service() {
        let read = |query: &str| read_query(Some(query)).map_err(|error| error.message);
        let request = read("service=a%20b&receipt=true&at=2013-01-01T00%3A00%3A00Z").expect("it is well-formed");
        assert_eq!((request.service.as_str(), request.receipt), ("a b", true));
        assert_eq!(request.at, Some("2013-01-01T00:00:00Z".into()));
        assert_eq!(read("receipt=true"), Err("the query does not name a service".to_owned()));
        assert_eq!(read("service=a&receipt=perhaps"), Err("`receipt=perhaps` means nothing here".to_owned()));
        assert_eq!(read("servce=a"), Err("`servce=a` means nothing here".to_owned()));
    }

    #[test]
    fn arrow_is_sent_to_whoever_names_it() {
        let check = |accept: &'static str, expect: &str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, header::HeaderValue::from_static(accept))]);
            assert_eq!(Form::of(&headers).media_type(), expect, "{accept}");
        };
        check("*/*", JSON);
        check("application/json", JSON);
        check("application/json;q=0.5, application/vnd.apache.arrow.stream", ARROW_STREAM);
        check("Application/Vnd.Apache.Arrow.Stream;q=1", ARROW_STREAM);
    }
}
