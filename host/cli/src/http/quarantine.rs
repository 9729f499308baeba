use axum::{
    Json,
    extract::{Request, State},
};
use oast_runtime::{Correction, QuarantineEntry, QuarantinedEvent, RetryReport};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    App, HttpError,
    request::{Name, read_body, read_json},
};

/// What to drop; no ids mean all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dropping {
    #[serde(default)]
    ids: Vec<String>,
}

/// `GET /v1/quarantine`
pub(super) async fn list(State(app): State<App>) -> Result<Json<Vec<QuarantineEntry>>, HttpError> {
    let place = app.reads.admit()?;
    let runtime = app.runtime;
    Ok(Json(place.run(move || runtime.quarantine_list()).await??))
}

/// `GET /v1/quarantine/SOURCE`
pub(super) async fn events(
    State(app): State<App>,
    Name(source): Name,
) -> Result<Json<Vec<QuarantinedEvent>>, HttpError> {
    let place = app.reads.admit()?;
    let runtime = app.runtime;
    Ok(Json(place.run(move || runtime.quarantined(&source)).await??))
}

/// `POST /v1/quarantine/SOURCE/retry` with a list of corrections, which may be empty
pub(super) async fn retry(
    State(app): State<App>,
    Name(source): Name,
    request: Request,
) -> Result<Json<RetryReport>, HttpError> {
    let place = app.appends.admit()?;
    let body = read_body(request, app.limits.body_bytes_max).await?;
    let corrections: Vec<Correction> = if body.is_empty() { Vec::new() } else { read_json(&body)? };
    let runtime = app.runtime;
    Ok(Json(place.run(move || runtime.quarantine_retry(&source, corrections)).await??))
}

/// `POST /v1/quarantine/SOURCE/drop` with `{"ids": […]}`; all events of the source without ids
pub(super) async fn drop_events(
    State(app): State<App>,
    Name(source): Name,
    request: Request,
) -> Result<Json<Value>, HttpError> {
    let place = app.appends.admit()?;
    let body = read_body(request, app.limits.body_bytes_max).await?;
    let Dropping { ids } = read_json(&body)?;
    let runtime = app.runtime;
    let dropped = place.run(move || runtime.quarantine_drop(&source, &ids)).await??;
    Ok(Json(json!({"dropped": dropped})))
}
