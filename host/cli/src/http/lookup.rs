use axum::{
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use oast_runtime::LookupRequest;

use super::{
    App, HttpError,
    request::{media_type, read_body, read_json, unsupported},
};

/// `POST /v1/lookup`
pub(super) async fn lookup(State(app): State<App>, request: Request) -> Result<Response, HttpError> {
    let place = app.lookups.admit()?;
    let media = media_type(request.headers());
    if !matches!(media.as_deref(), None | Some("application/json")) {
        return Err(unsupported(media.as_deref(), "application/json"));
    }
    let body = read_body(request, app.body_bytes_max).await?;
    let metrics = app.metrics;
    let runtime = app.runtime;
    let json = place.run(move || {
        let request: LookupRequest = read_json(&body)?;
        let response = runtime.lookup(&request)?;
        metrics.looked_up(response.rows.len());
        Ok::<_, HttpError>(serde_json::to_vec(&response).expect("a response is JSON"))
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], json.await??).into_response())
}
