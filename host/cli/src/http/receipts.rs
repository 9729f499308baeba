use axum::{Json, extract::State};
use oast_runtime::LookupResponse;

use super::{App, HttpError, request::Name};

/// `GET /v1/receipts/ID`: what a lookup answered, with its receipt, if it was kept
pub(super) async fn show(State(app): State<App>, Name(id): Name) -> Result<Json<LookupResponse>, HttpError> {
    let place = app.reads.admit()?;
    let runtime = app.runtime;
    Ok(Json(place.run(move || runtime.kept_receipt(&id)).await??))
}
