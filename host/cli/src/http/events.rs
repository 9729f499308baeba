use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use oast_runtime::{Arrival, Events, IngestReport};

use super::{
    App, HttpError,
    deadline::Deadline,
    request::{Name, media_type, read_body, unsupported},
};

/// What the body holds.
#[derive(Clone, Copy)]
enum Encoding {
    JsonLines,
    ArrowStream,
    Csv,
    Parquet,
}

impl Encoding {
    fn of_media_type(media: Option<&str>) -> Result<Self, HttpError> {
        match media {
            Some(JSON_LINES) => Ok(Self::JsonLines),
            Some(ARROW_STREAM) => Ok(Self::ArrowStream),
            Some(CSV) => Ok(Self::Csv),
            Some(PARQUET) => Ok(Self::Parquet),
            other => Err(unsupported(other, &format!("{JSON_LINES}`, `{ARROW_STREAM}`, `{CSV}` or `{PARQUET}"))),
        }
    }

    fn events(self, body: &[u8]) -> Events<'_> {
        match self {
            Self::JsonLines => Events::JsonLines(body),
            Self::ArrowStream => Events::ArrowStream(body),
            Self::Csv => Events::Csv(body),
            Self::Parquet => Events::Parquet(body),
        }
    }
}

const CSV: &str = "text/csv";
const PARQUET: &str = "application/vnd.apache.parquet";
pub(crate) const JSON_LINES: &str = "application/x-ndjson";
pub(crate) const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";

/// How the events come, by what follows the path: `?history=true` for events that became known when they happened, unless
/// their source says when.
fn arrival(query: Option<&str>) -> Result<Arrival, HttpError> {
    match query {
        None | Some("" | "history=false") => Ok(Arrival::Live),
        Some("history=true") => Ok(Arrival::History),
        Some(other) => {
            let message = format!("`?{other}` means nothing here");
            Err(HttpError::new(
                StatusCode::BAD_REQUEST,
                "bad_query",
                message,
                "write `?history=true`, or nothing for live events",
            ))
        }
    }
}

/// `POST /v1/events/{source}`
pub(super) async fn append(
    State(app): State<App>,
    Name(source): Name,
    request: Request,
) -> Result<Json<IngestReport>, HttpError> {
    let place = app.appends.admit_until(Deadline::of(request.headers())?)?;
    let arrival = arrival(request.uri().query())?;
    let encoding = Encoding::of_media_type(media_type(request.headers()).as_deref())?;
    let body = place.cut(read_body(request, app.limits.body_bytes_max)).await??;
    let (runtime, metrics) = (app.runtime, app.metrics);
    let work = move || {
        let report = runtime.ingest(&source, encoding.events(&body), arrival)?;
        // Counted here, whether or not the client is still there to hear of it.
        metrics.appended(&source, &report);
        Ok::<_, HttpError>(report)
    };
    Ok(Json(place.run(work).await??))
}
