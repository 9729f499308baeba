use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use ureq::Agent;

use crate::setup::{Folder, told};

pub(crate) const JSON: &str = "application/json";
pub(crate) const LINES: &str = "application/x-ndjson";

/// A daemon over an applied definition.
pub(crate) struct Daemon {
    process: Child,
    url: String,
    agent: Agent,
}

impl Daemon {
    pub(crate) fn start(folder: &Folder, args: &[&str]) -> Self {
        let args = [&["serve", "--simulate", "--listen", "127.0.0.1:0"], args].concat();
        let mut command = folder.command(&args);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the daemon starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("it is piped"));
        stdout.read_line(&mut line).expect("the daemon says where it is");
        let url = line.trim().strip_prefix("oast serves at ").expect("its address").to_owned();
        // A connection whose request was refused unread is closed, which a pool may learn too late.
        let agent = Agent::config_builder().http_status_as_error(false).max_idle_connections(0).build().into();
        Self { process, url, agent }
    }

    pub(crate) fn post(&self, path: &str, media_type: &str, body: &str) -> (u16, Value) {
        let request = self.agent.post(format!("{}{path}", self.url)).header("content-type", media_type);
        read(request.send(body))
    }

    pub(crate) fn post_bytes(&self, path: &str, media_type: &str, body: &[u8]) -> (u16, Value) {
        read(self.agent.post(format!("{}{path}", self.url)).header("content-type", media_type).send(body))
    }

    /// The bytes of the answer in the media type that was asked for.
    pub(crate) fn post_for(&self, path: &str, media_type: &str, body: &[u8], accept: &str) -> Vec<u8> {
        let request = self.agent.post(format!("{}{path}", self.url)).header("content-type", media_type);
        let mut response = request.header("accept", accept).send(body).expect("an answer");
        let bytes = response.body_mut().read_to_vec().expect("a body");
        let told = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        assert_eq!((response.status().as_u16(), told), (200, Some(accept)), "{}", String::from_utf8_lossy(&bytes));
        bytes
    }

    /// With a deadline in milliseconds.
    pub(crate) fn post_within(&self, deadline: &str, path: &str, media_type: &str, body: &str) -> (u16, Value) {
        let request = self.agent.post(format!("{}{path}", self.url)).header("content-type", media_type);
        read(request.header("x-oast-deadline-ms", deadline).send(body))
    }

    /// The address that it listens on.
    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("http://").expect("its URL begins so")
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        read(self.agent.get(format!("{}{path}", self.url)).call())
    }

    pub(crate) fn text(&self, path: &str) -> String {
        let mut response = self.agent.get(format!("{}{path}", self.url)).call().expect("an answer");
        response.body_mut().read_to_string().expect("text")
    }

    /// Asks it to stop, and gives its exit status.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let pid = self.process.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status().expect("`kill` runs");
        assert!(killed.success(), "the daemon was there");
        self.process.wait().expect("the daemon ends").code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Only a failed test finds it running still.
        drop(self.process.kill());
    }
}

fn read(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, Value) {
    let mut response = response.expect("an answer");
    (response.status().as_u16(), response.body_mut().read_json().expect("JSON"))
}

pub(crate) fn applied() -> Folder {
    let folder = Folder::new();
    let (status, _, stderr) = told(folder.oast(&["apply"]));
    assert_eq!(status, Some(0), "{stderr}");
    folder
}

#[test]
fn what_cannot_be_answered_is_refused_in_json() {
    let folder = applied();
    let daemon = Daemon::start(&folder, &["--body-bytes-max", "1000"]);
    let check = |(status, body): (u16, Value), expect: u16, code: &str| {
        assert_eq!((status, body["error"]["code"].as_str()), (expect, Some(code)), "{body}");
        assert!(body["error"]["message"].is_string(), "{body}");
    };
    check(daemon.get("/v2"), 404, "unknown_route");
    check(daemon.get("/v1/lookup"), 405, "method_not_allowed");
    check(daemon.get("/v1/catalog/nothing"), 404, "unknown_name");
    check(daemon.post("/v1/lookup", "text/plain", "{}"), 415, "unsupported_media_type");
    check(daemon.post("/v1/lookup", JSON, "{"), 400, "malformed_json");
    check(daemon.post("/v1/lookup", JSON, "{}"), 400, "bad_request");
    check(daemon.post("/v1/lookup", JSON, &" ".repeat(1001)), 413, "body_too_large");
    check(daemon.post("/v1/lookup", JSON, r#"{"service": "x", "entities": [{}]}"#), 404, "unknown_service");
    check(daemon.post("/v1/events/departures", JSON, "{}"), 415, "unsupported_media_type");
    check(daemon.post("/v1/events/nothing", LINES, "{}"), 404, "unknown_source");
    check(daemon.post("/v1/events/%ff", LINES, "{}"), 400, "bad_path");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn events_that_were_sent_are_seen_by_lookups_and_survive_a_restart() {
    let folder = applied();
    let daemon = Daemon::start(&folder, &[]);
    let event = |flight: &str, delay: Value| {
        let event = json!({
            "flight_id": flight, "carrier": "AA", "origin": "JFK", "dest": "BOS", "tailnum": null, "distance": 187.0,
            "dep_delay": delay, "sched_time": "2013-01-01T10:00:00Z", "dep_time": "2013-01-01T10:10:00Z",
        });
        format!("{event}\n")
    };
    let body =
        [event("1", json!(10)), event("1", json!(10)), event("2", json!(9999)), event("3", json!("late"))].concat();
    let (status, report) = daemon.post("/v1/events/departures", LINES, &body);
    let faults: Vec<_> = report["quarantined"].as_array().into_iter().flatten().collect();
    assert_eq!((status, &report["accepted"], &report["duplicates"]), (200, &json!(1), &json!(1)), "{report}");
    assert_eq!(faults.iter().map(|fault| &fault["row"]).collect::<Vec<_>>(), [&json!(3), &json!(4)], "{report}");

    let ask = |daemon: &Daemon, at: &str| {
        let entities = json!([{"carrier": "AA", "origin": "JFK"}, {"carrier": 7, "origin": "JFK"}]);
        let request = json!([{"distance": 187.0}, {"distance": 187.0}]);
        let body = json!({"service": "delay_model", "at": at, "entities": entities, "request": request});
        let (status, answer) = daemon.post("/v1/lookup", JSON, &body.to_string());
        assert_eq!(status, 200, "{answer}");
        let place = answer["features"].as_array().and_then(|names| names.iter().position(|name| name == MEAN));
        let place = place.expect("the feature is served");
        let cell =
            |row: usize| (answer["rows"][row]["values"][place].clone(), answer["rows"][row]["status"][place].clone());
        (cell(0), cell(1))
    };
    const MEAN: &str = "carrier_delay__dep_delay_mean_24h";
    let before = ask(&daemon, "2013-01-01T10:10:00Z");
    assert_eq!(before.0.0, Value::Null, "an event is not visible at the very moment it becomes known");
    let (good, bad) = ask(&daemon, "2013-01-01T10:11:00Z");
    assert_eq!(good, (json!(10.0), json!("present")));
    assert_eq!(bad, (Value::Null, json!("rejected")), "one bad entity fails alone");
    assert_eq!(daemon.stop(), Some(0));

    let daemon = Daemon::start(&folder, &[]);
    let (again, _) = ask(&daemon, "2013-01-01T10:12:00Z");
    assert_eq!(again, (json!(10.0), json!("present")));
    assert_eq!(daemon.get("/readyz"), (200, json!({"status": "ready"})));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_second_process_on_a_data_folder_is_turned_away() {
    let folder = applied();
    let daemon = Daemon::start(&folder, &[]);
    let (status, _, stderr) = told(folder.oast(&["serve", "--listen", "127.0.0.1:0"]));
    assert_eq!(status, Some(3), "{stderr}");
    assert!(stderr.contains("another oast process uses"), "{stderr}");
    let (status, listed, stderr) = told(folder.oast(&["--url", &daemon.url, "catalog", "list"]));
    assert_eq!(status, Some(0), "{stderr}");
    assert!(listed.contains("delay_model"), "{listed}");
    let (status, sent, stderr) =
        told(folder.oast(&["--url", &daemon.url, "ingest", "departures", "departures.parquet"]));
    assert_eq!(
        (status, sent.as_str()),
        (Some(0), "departures: 26,353 accepted, 0 duplicates, 0 quarantined; offset 26353\n"),
        "{stderr}"
    );
    assert_eq!(daemon.stop(), Some(0));
}

/// Definitions, corrections of refused events and receipts, all while the daemon runs and has the data folder to itself.
#[test]
fn definitions_quarantine_and_receipts_are_reached_through_a_daemon() {
    let folder = Folder::new();
    let daemon = Daemon::start(&folder, &["--receipts", "all"]);
    let asked = |args: &[&str]| told(folder.oast(&[&["--url", &daemon.url], args].concat()));
    let (status, stdout, stderr) = asked(&["apply"]);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stdout.contains("new     service  delay_model"), "{stdout}");
    let definition = std::fs::read_to_string(folder.path("oast.toml")).expect("the demo's definition");
    std::fs::write(folder.path("bad.toml"), definition.replace("\"moments\"", "\"momnts\"")).expect("it is written");
    let (status, _, stderr) = asked(&["apply", "-f", "bad.toml"]);
    assert_eq!(status, Some(2), "{stderr}");
    assert!(stderr.starts_with("error: bad.toml:") && stderr.contains("there is no plugin `momnts`"), "{stderr}");

    std::fs::write(folder.path("bad.jsonl"), "nonsense\n").expect("it is written");
    let (status, stdout, stderr) = asked(&["ingest", "departures", "bad.jsonl"]);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stdout.starts_with("departures: 0 accepted, 0 duplicates, 1 quarantined"), "{stdout}");
    let (_, stdout, _) = asked(&["quarantine", "list"]);
    assert!(stdout.contains("syntax ×1"), "{stdout}");
    let (status, stdout, _) = asked(&["quarantine", "retry", "departures"]);
    assert_eq!(
        (status, stdout.lines().next()),
        (Some(0), Some("departures: 0 accepted, 0 duplicates, 1 still in quarantine"))
    );
    let (status, _, stderr) = asked(&["quarantine", "drop", "departures"]);
    assert_eq!(status, Some(2), "{stderr}");
    let (status, stdout, _) = asked(&["quarantine", "drop", "departures", "--all"]);
    assert_eq!((status, &*stdout), (Some(0), "departures: 1 event dropped\n"));

    let lookup = json!({"service": "delay_model", "entities": [{"carrier": "AA", "origin": "JFK"}], "request": [{"distance": 1.0}], "at": "2013-01-05"});
    let (status, answer) = daemon.post("/v1/lookup", JSON, &lookup.to_string());
    assert_eq!(status, 200, "{answer}");
    let lookup = json!({"service": "delay_model", "entities": [{"carrier": "AA", "origin": "JFK"}], "request": [{"distance": 1.0}], "receipt": true, "at": "2013-01-06"});
    let (_, answer) = daemon.post("/v1/lookup", JSON, &lookup.to_string());
    let id = answer["receipt"]["id"].as_str().expect("the receipt that was asked for").to_owned();
    let (status, kept) = daemon.get(&format!("/v1/receipts/{id}"));
    assert_eq!((status, &kept["rows"], &kept["receipt"]), (200, &answer["rows"], &answer["receipt"]));
    assert_eq!(daemon.get("/v1/receipts/0").0, 404);
    assert_eq!(daemon.stop(), Some(0));
    let (status, stdout, stderr) = told(folder.oast(&["verify", "--receipts", "oast-data/receipts"]));
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stdout.starts_with("proved  2 of 2 receipts"), "{stdout}");
    let (status, stdout, _) = told(folder.oast(&["log", "verify"]));
    assert_eq!(status, Some(0), "{stdout}");
}
