use axum::{
    Json,
    extract::{Request, State},
};
use oast_runtime::{SentDefinition, SentReport};
use serde_json::{Value, json};

use super::{
    App, HttpError,
    request::{read_body, read_json},
};

/// The largest component that any daemon takes.
const COMPONENT_BYTES_MAX: usize = 64 << 20;

/// `POST /v1/components`: the bytes of a component, which are kept under their hash
pub(super) async fn component(State(app): State<App>, request: Request) -> Result<Json<Value>, HttpError> {
    let place = app.publications.admit()?;
    let body = read_body(request, COMPONENT_BYTES_MAX).await?;
    let runtime = app.runtime;
    let hash = place.run(move || runtime.take_component(&body)).await??;
    Ok(Json(json!({"hash": hash})))
}

/// `POST /v1/definitions`: what `oast apply` publishes. It is answered once the new versions serve.
pub(super) async fn apply(State(app): State<App>, request: Request) -> Result<Json<SentReport>, HttpError> {
    let place = app.publications.admit()?;
    let body = read_body(request, app.limits.body_bytes_max).await?;
    let sent: SentDefinition = read_json(&body)?;
    let runtime = app.runtime;
    Ok(Json(place.run(move || runtime.apply_sent(&sent, &())).await??))
}
