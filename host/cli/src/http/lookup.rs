use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use oast_runtime::LookupRequest;

use super::{
    App, HttpError,
    deadline::Deadline,
    request::{media_type, read_body, read_json, unsupported},
};

/// `POST /v1/lookup`
pub(super) async fn lookup(State(app): State<App>, request: Request) -> Result<Response, HttpError> {
    let place = app.lookups.admit_until(Deadline::of(request.headers())?)?;
    let media = media_type(request.headers());
    if !matches!(media.as_deref(), None | Some("application/json")) {
        return Err(unsupported(media.as_deref(), "application/json"));
    }
    let body = place.cut(read_body(request, app.limits.body_bytes_max)).await??;
    let (metrics, rows_max) = (app.metrics, app.limits.rows_max);
    let runtime = app.runtime;
    let json = place.run(move || {
        let request: LookupRequest = read_json(&body)?;
        check_rows(request.entities.len(), rows_max)?;
        let response = runtime.lookup(&request)?;
        metrics.looked_up(response.rows.len());
        Ok::<_, HttpError>(serde_json::to_vec(&response).expect("a response is JSON"))
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], json.await??).into_response())
}

fn check_rows(rows: usize, rows_max: usize) -> Result<(), HttpError> {
    if rows <= rows_max {
        return Ok(());
    }
    let message = format!("the lookup has {rows} entities, and at most {rows_max} are answered at once");
    let hint = "send several smaller requests, or start the daemon with a larger `--rows-max`";
    Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_rows", message, hint))
}
