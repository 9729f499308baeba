use axum::{
    Json,
    extract::{Request, State},
};
use oast_runtime::{Events, IngestReport};

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

/// `POST /v1/events/{source}`
pub(super) async fn append(
    State(app): State<App>,
    Name(source): Name,
    request: Request,
) -> Result<Json<IngestReport>, HttpError> {
    let place = app.appends.admit()?;
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
            let report = runtime.ingest(&source, events);
            (source, report)
        })
        .await?;
    let report = report?;
    app.metrics.appended(&source, &report);
    Ok(Json(report))
}
