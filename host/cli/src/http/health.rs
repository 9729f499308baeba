use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{App, HttpError, startup::catching_up};

/// `GET /healthz`: the process answers.
pub(super) async fn alive() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// `GET /readyz`: lookups and events are welcome.
pub(super) async fn ready(State(app): State<App>) -> Result<Json<Value>, HttpError> {
    let refuse = |message| {
        HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message, "send requests elsewhere, or wait")
    };
    if *app.draining.borrow() {
        return Err(refuse("the daemon is stopping"));
    }
    if !app.runtime.ready() {
        return Err(catching_up(&app));
    }
    let unservable = app.runtime.unservable();
    if unservable.is_empty() {
        return Ok(Json(json!({"status": "ready"})));
    }
    // The other services serve, so that requests are welcome all the same.
    Ok(Json(json!({"status": "ready", "unservable": unservable})))
}

/// `GET /metrics`, in the text format of OpenMetrics that Prometheus scrapes.
pub(super) async fn metrics(State(app): State<App>) -> Result<Response, HttpError> {
    let place = app.reads.admit()?;
    let text = place.run(move || app.metrics.text(&app.runtime.status(), &app.queues())).await?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}
