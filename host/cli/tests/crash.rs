//! An acknowledged event survives `kill -9`, once.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    sync::{
        Mutex,
        mpsc::{Sender, channel},
    },
};

use serde_json::{Value, json};
use ureq::Agent;

use crate::setup::{Folder, told};

const DEFINITION: &str = r#"
[source.clicks]
keys = { user = "utf8" }
event_time = "at"
idempotency_key = "id"
fields = { id = "int64", amount = "float64" }

[view.spend]
source = "clicks"
entity = ["user"]

[[view.spend.aggregate]]
plugin = "moments"
input = ["amount"]
outputs = ["count", "sum"]
windows = ["lifetime"]

[service.model]
features = ["spend:*"]
"#;

const USERS: u64 = 5;
const ROUNDS: u64 = 10;
const SENDERS: u64 = 3;

/// The daemon of one round.
struct Daemon {
    process: Child,
    url: String,
}

impl Daemon {
    fn start(folder: &Folder) -> Self {
        let mut command = folder.command(&["serve", "--listen", "127.0.0.1:0"]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the daemon starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("it is piped"));
        stdout.read_line(&mut line).expect("the daemon says where it is");
        let url = line.trim().strip_prefix("oast serves at ").expect("its address").to_owned();
        Self { process, url }
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    fn kill(mut self) {
        self.process.kill().expect("the daemon runs");
        self.process.wait().expect("the daemon ends");
    }
}

fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).build().into()
}

/// Posts and reads the answer; nothing if the daemon died first.
fn post(url: &str, media_type: &str, body: &str) -> Option<Value> {
    let mut response = agent().post(url).header("content-type", media_type).send(body).ok()?;
    response.body_mut().read_json().ok()
}

fn click(id: u64) -> String {
    json!({"user": format!("u{}", id % USERS), "at": "2020-01-01T00:00:00Z", "id": id, "amount": id as f64}).to_string()
}

/// A generator of numbers that are the same on every run (Steele, Lea and Flood, SplitMix64).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Sends batches until the daemon is gone, and reports each that was acknowledged.
fn send(url: &str, sender: u64, round: u64, sent: &Mutex<BTreeSet<u64>>, acknowledged: &Sender<Vec<u64>>) {
    for batch in 0..10_000 {
        let first = (round * SENDERS + sender) * 1_000_000 + batch * 7;
        let ids: Vec<u64> = (first..first + 7).collect();
        sent.lock().expect("no sender panics").extend(&ids);
        let body: Vec<String> = ids.iter().map(|id| click(*id)).collect();
        match post(&format!("{url}/v1/events/clicks"), "application/x-ndjson", &body.join("\n")) {
            Some(report) if report["accepted"] == 7 => acknowledged.send(ids).expect("the round listens"),
            Some(report) => panic!("every event is new and sound: {report}"),
            None => return,
        }
    }
}

/// Runs a daemon under load and kills it after some acknowledgements; returns those events.
fn round(folder: &Folder, round: u64, kill_after: u64, sent: &Mutex<BTreeSet<u64>>) -> BTreeSet<u64> {
    let daemon = Daemon::start(folder);
    let url = daemon.url.clone();
    std::thread::scope(|scope| {
        let (acknowledged, heard) = channel();
        for sender in 0..SENDERS {
            let (acknowledged, url) = (acknowledged.clone(), &url);
            scope.spawn(move || send(url, sender, round, sent, &acknowledged));
        }
        drop(acknowledged);
        let mut ids: BTreeSet<u64> = heard.iter().take(kill_after as usize).flatten().collect();
        daemon.kill();
        ids.extend(heard.iter().flatten());
        ids
    })
}

#[test]
fn acknowledged_events_survive_being_killed_and_are_there_once() {
    let folder = Folder::new();
    fs::write(folder.path("oast.toml"), DEFINITION).expect("the definition is written");
    let (status, _, stderr) = told(folder.oast(&["apply"]));
    assert_eq!(status, Some(0), "{stderr}");
    let (mut seed, sent, mut acknowledged) = (7, Mutex::new(BTreeSet::new()), BTreeSet::new());
    for number in 0..ROUNDS {
        acknowledged.extend(round(&folder, number, 1 + split_mix(&mut seed) % 40, &sent));
    }
    let sent = sent.into_inner().expect("no sender panics");
    let daemon = Daemon::start(&folder);
    let events = format!("{}/v1/events/clicks", daemon.url);
    let lines = |ids: &BTreeSet<u64>| ids.iter().map(|id| click(*id)).collect::<Vec<_>>().join("\n");

    let again = post(&events, "application/x-ndjson", &lines(&acknowledged)).expect("a report");
    assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &json!(acknowledged.len())), "all are there");
    let rest = post(&events, "application/x-ndjson", &lines(&sent)).expect("a report");
    let (accepted, duplicates) = (rest["accepted"].as_u64(), rest["duplicates"].as_u64());
    assert_eq!(accepted.zip(duplicates).map(|(new, old)| new + old), Some(sent.len() as u64), "{rest}");

    let entities: Vec<Value> = (0..USERS).map(|user| json!({"user": format!("u{user}")})).collect();
    let request = json!({"service": "model", "entities": entities}).to_string();
    let answer = post(&format!("{}/v1/lookup", daemon.url), "application/json", &request).expect("an answer");
    for user in 0..USERS {
        let mine: Vec<u64> = sent.iter().copied().filter(|id| id % USERS == user).collect();
        let expected = json!([mine.len(), mine.iter().sum::<u64>() as f64]);
        assert_eq!(answer["rows"][user as usize]["values"], expected, "every event of u{user} counts once");
    }
    daemon.kill();
}
