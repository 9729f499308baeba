//! The daemon's HTTP interface, from the other side.

use std::time::Duration;

use oast_runtime::{
    Arrival, Correction, Explanation, IngestReport, LookupResponse, QuarantineEntry, QuarantinedEvent, RetryReport,
    SentDefinition, SentReport,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::{Agent, http::Response};

use crate::report::{Exit, Failure};

/// Talks to one daemon and keeps its connection open.
pub(crate) struct Client {
    agent: Agent,
    url: String,
}

/// The largest response that is read.
const RESPONSE_BYTES_MAX: u64 = 1 << 30;

impl Client {
    pub(crate) fn new(url: &str) -> Result<Self, Failure> {
        let url = url.trim_end_matches('/');
        if !url.starts_with("http://") {
            let message = format!("`{url}` is not the address of a daemon");
            return Err(Failure::input(message, "write it like `http://127.0.0.1:6566`"));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_global(Some(Duration::from_secs(300)))
            .build();
        Ok(Self { agent: config.into(), url: url.to_owned() })
    }

    /// `POST /v1/lookup`
    pub(crate) fn lookup(&self, request: &Value) -> anyhow::Result<LookupResponse> {
        let body = serde_json::to_vec(request)?;
        self.post("/v1/lookup", "application/json", &body)
    }

    /// `POST /v1/explain`
    pub(crate) fn explain(&self, request: &Value) -> anyhow::Result<Explanation> {
        self.post("/v1/explain", "application/json", &serde_json::to_vec(request)?)
    }

    /// `POST /v1/events/SOURCE`, with `?history=true` for events that became known when they happened
    pub(crate) fn append(
        &self,
        source: &str,
        arrival: Arrival,
        media_type: &str,
        body: &[u8],
    ) -> anyhow::Result<IngestReport> {
        let query = if arrival == Arrival::History { "?history=true" } else { "" };
        self.post(&format!("/v1/events/{}{query}", escaped(source)), media_type, body)
    }

    /// `GET /v1/catalog`
    pub(crate) fn catalog_list(&self) -> anyhow::Result<Value> {
        self.get("/v1/catalog")
    }

    /// `GET /v1/catalog/NAME`, where the name may be followed by `@` and the first digits of a hash
    pub(crate) fn catalog_show(&self, name: &str) -> anyhow::Result<Value> {
        self.get(&format!("/v1/catalog/{}", escaped(name)))
    }

    /// `GET /v1/catalog/NAME/history`
    pub(crate) fn catalog_history(&self, name: &str) -> anyhow::Result<Value> {
        self.get(&format!("/v1/catalog/{}/history", escaped(name)))
    }

    /// `POST /v1/components`
    pub(crate) fn component(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.post::<Value>("/v1/components", "application/wasm", bytes).map(drop)
    }

    /// `POST /v1/definitions`
    pub(crate) fn apply(&self, sent: &SentDefinition) -> anyhow::Result<SentReport> {
        self.post("/v1/definitions", "application/json", &serde_json::to_vec(sent)?)
    }

    /// `GET /v1/quarantine`
    pub(crate) fn quarantine_list(&self) -> anyhow::Result<Vec<QuarantineEntry>> {
        self.get("/v1/quarantine")
    }

    /// `GET /v1/quarantine/SOURCE`
    pub(crate) fn quarantined(&self, source: &str) -> anyhow::Result<Vec<QuarantinedEvent>> {
        self.get(&format!("/v1/quarantine/{}", escaped(source)))
    }

    /// `POST /v1/quarantine/SOURCE/retry`
    pub(crate) fn quarantine_retry(&self, source: &str, corrections: &[Correction]) -> anyhow::Result<RetryReport> {
        let path = format!("/v1/quarantine/{}/retry", escaped(source));
        self.post(&path, "application/json", &serde_json::to_vec(corrections)?)
    }

    /// `POST /v1/quarantine/SOURCE/drop`
    pub(crate) fn quarantine_drop(&self, source: &str, ids: &[String]) -> anyhow::Result<u64> {
        let path = format!("/v1/quarantine/{}/drop", escaped(source));
        let dropped: Value = self.post(&path, "application/json", &serde_json::to_vec(&json!({"ids": ids}))?)?;
        Ok(dropped["dropped"].as_u64().unwrap_or_default())
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let response = self.agent.get(format!("{}{path}", self.url)).call();
        self.read(response)
    }

    fn post<T: DeserializeOwned>(&self, path: &str, media_type: &str, body: &[u8]) -> anyhow::Result<T> {
        let request = self.agent.post(format!("{}{path}", self.url)).header("content-type", media_type);
        self.read(request.send(body))
    }

    fn read<T: DeserializeOwned>(&self, response: Result<Response<ureq::Body>, ureq::Error>) -> anyhow::Result<T> {
        let mut response = response.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(RESPONSE_BYTES_MAX).read_to_vec();
        let body = body.map_err(|error| self.unreachable(error))?;
        if !status.is_success() {
            return Err(refusal(status.as_u16(), &body).into());
        }
        serde_json::from_slice(&body).map_err(|error| {
            let message = format!("`{}` answered with something that no oast daemon says: {error}", self.url);
            Failure::environment(message, "is another program listening there?").into()
        })
    }

    fn unreachable(&self, error: ureq::Error) -> anyhow::Error {
        let message = format!("cannot reach a daemon at `{}`", self.url);
        let failure =
            Failure::environment(message, "start one with `oast serve`, or leave out --url to open the data folder");
        anyhow::Error::from(error).context(failure)
    }
}

/// The daemon's own words for a refusal.
fn refusal(status: u16, body: &[u8]) -> Failure {
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let text = |name: &str| body["error"][name].as_str().map(str::to_owned);
    let exit = if (400..500).contains(&status) { Exit::Input } else { Exit::Environment };
    let message = text("message").unwrap_or_else(|| format!("the daemon answered with status {status}"));
    Failure { exit, message, hint: text("hint") }
}

/// `name@hash` in its two parts.
pub(crate) fn split_version(name: &str) -> (&str, Option<&str>) {
    match name.split_once('@') {
        Some((name, hash)) => (name, Some(hash)),
        None => (name, None),
    }
}

/// A name as a segment of a path.
fn escaped(name: &str) -> String {
    let escape = |byte: u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'.' | b'~' | b'@' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    name.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_travel_in_paths() {
        assert_eq!(escaped("delay_model@0a1b"), "delay_model@0a1b");
        assert_eq!(escaped("a/b é"), "a%2Fb%20%C3%A9");
    }

    #[test]
    fn a_refusal_keeps_the_daemons_words() {
        let body = br#"{"error": {"code": "unknown_service", "message": "there is no service `x`", "hint": "see"}}"#;
        let failure = refusal(404, body);
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Input, "there is no service `x`"));
        assert_eq!(failure.hint.as_deref(), Some("see"));
        assert_eq!(refusal(502, b"<html>").message, "the daemon answered with status 502");
    }
}
