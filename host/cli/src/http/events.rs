use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use oast_runtime::{Arrival, Events, IngestReport};

use super::{
    App, HttpError,
    request::{Name, media_type, read_body, unsupported},
};

/// What the body holds.
#[derive(Clone, Copy)]
enum Encoding {
    JsonLines,
    ArrowStream,
}

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
    let place = app.appends.admit()?;
    let arrival = arrival(request.uri().query())?;
    let media = media_type(request.headers());
    let encoding = match media.as_deref() {
        Some(JSON_LINES) => Encoding::JsonLines,
        Some(ARROW_STREAM) => Encoding::ArrowStream,
        other => return Err(unsupported(other, &format!("{JSON_LINES}` or `{ARROW_STREAM}"))),
    };
    let body = read_body(request, app.body_bytes_max).await?;
    let runtime = app.runtime;
    let (source, report) = place
        .run(move || {
            let events = match encoding {
                Encoding::JsonLines => Events::JsonLines(&body),
                Encoding::ArrowStream => Events::ArrowStream(&body),
            };
            let report = runtime.ingest(&source, events, arrival);
            (source, report)
        })
        .await?;
    let report = report?;
    app.metrics.appended(&source, &report);
    Ok(Json(report))
}
