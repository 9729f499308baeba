use axum::{
    Json,
    extract::{Request, State},
};
use oast_runtime::{Explanation, LookupRequest};

use super::{
    App, HttpError,
    lookup::check_rows,
    request::{read_body, read_json},
};

/// `POST /v1/explain`: a lookup, and where each of its values comes from. It reads the log, so it is no path for a model.
pub(super) async fn explain(State(app): State<App>, request: Request) -> Result<Json<Explanation>, HttpError> {
    let place = app.explanations.admit()?;
    let body = read_body(request, app.limits.body_bytes_max).await?;
    let request: LookupRequest = read_json(&body)?;
    check_rows(request.entities.len(), app.limits.rows_max)?;
    let runtime = app.runtime;
    Ok(Json(place.run(move || runtime.explain(&request)).await??))
}
