use axum::{Json, extract::State};
use oast_runtime::CatalogEntry;
use serde_json::Value;

use super::{App, HttpError, request::Name};

/// `GET /v1/catalog`
pub(super) async fn list(State(app): State<App>) -> Result<Json<Vec<CatalogEntry>>, HttpError> {
    let place = app.reads.admit()?;
    let runtime = app.runtime;
    Ok(Json(place.run(move || runtime.catalog_list()).await??))
}

/// `GET /v1/catalog/{name}`, where a name may be followed by `@` and the first digits of a hash
pub(super) async fn show(State(app): State<App>, Name(name): Name) -> Result<Json<Value>, HttpError> {
    let place = app.reads.admit()?;
    let runtime = app.runtime;
    let show = move || {
        let (name, hash) = crate::client::split_version(&name);
        runtime.catalog_show(name, hash)
    };
    Ok(Json(place.run(show).await??))
}

/// `GET /v1/catalog/{name}/history`
pub(super) async fn history(State(app): State<App>, Name(name): Name) -> Result<Json<Vec<CatalogEntry>>, HttpError> {
    let place = app.reads.admit()?;
    let runtime = app.runtime;
    Ok(Json(place.run(move || runtime.catalog_history(&name)).await??))
}
