//! Many clients at once: whoever is acknowledged finds the event in the next lookup, and all that was served can be proved.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, ScopedJoinHandle},
};

use oast_runtime::{Arrival, ClockMode, Events, LookupRequest, LookupResponse, ReceiptRecord, Runtime};
use serde_json::{Value as Json, json};

use crate::support::{Setup, object};

const DEFINITION: &str = r#"
[source.clicks]
keys = { user = "utf8" }
event_time = "at"
idempotency_key = "id"
fields = { id = "int64", amount = "float64" }

[source.visits]
keys = { user = "utf8" }
event_time = "at"
fields = { pages = "int64" }

[view.spend]
source = "clicks"
entity = ["user"]

[[view.spend.aggregate]]
plugin = "moments"
input = ["amount"]
outputs = ["count", "sum"]
windows = ["lifetime", "1h", "last_3"]

[view.newest]
source = "clicks"
entity = ["user"]
latest = ["id"]

[view.visits]
source = "visits"
entity = ["user"]

[[view.visits.aggregate]]
plugin = "moments"
input = ["pages"]
outputs = ["count"]
windows = ["lifetime"]

[service.model]
features = ["spend:*", "newest:*", "visits:*"]
"#;

const SENDERS: u64 = 4;
/// How many events go into one request: some have a moment each, some many together.
const REQUESTS: [u64; 9] = [1, 2, 2500, 1, 1, 700, 1, 1030, 1];

fn user(sender: u64) -> String {
    format!("user-{sender}")
}

fn look(runtime: &Runtime, users: &[String]) -> anyhow::Result<LookupResponse> {
    Ok(runtime.lookup(&LookupRequest {
        service: "model".to_owned(),
        entities: users.iter().map(|user| object(json!({"user": user}))).collect(),
        receipt: true,
        ..LookupRequest::default()
    })?)
}

fn values(response: &LookupResponse, row: usize) -> BTreeMap<&str, &Json> {
    response.features.iter().map(String::as_str).zip(&response.rows[row].values).collect()
}

fn lines(event: impl Fn(u64) -> Json, ids: impl Iterator<Item = u64>) -> String {
    ids.map(|id| event(id).to_string()).collect::<Vec<_>>().join("\n")
}

/// Sends its events, some of them twice, and looks its user up after each acknowledgement.
fn send(runtime: &Runtime, sender: u64) -> anyhow::Result<Vec<LookupResponse>> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_micros() as u64;
    let click = |id: u64| json!({"user": user(sender), "at": now, "id": id * SENDERS + sender, "amount": 0.5});
    let visit = |pages: u64| json!({"user": user(sender), "at": now, "pages": pages});
    let (mut sent, mut answers) = (0, Vec::new());
    for (visits, events) in (1_u64..).zip(REQUESTS) {
        let again = sent.min(2);
        let clicks = lines(click, sent - again..sent + events);
        let report = runtime.ingest("clicks", Events::JsonLines(clicks.as_bytes()), Arrival::Live)?;
        assert_eq!((report.accepted, report.duplicates), (events, again));
        sent += events;
        runtime.ingest("visits", Events::JsonLines(lines(visit, 0..1).as_bytes()), Arrival::Live)?;
        let answer = look(runtime, &[user(sender)])?;
        let found = values(&answer, 0);
        assert_eq!(*found["spend__amount_count_lifetime"], json!(sent), "{found:?}");
        assert_eq!(*found["spend__amount_sum_1h"], json!(sent as f64 / 2.0));
        assert_eq!(*found["newest__id"], json!((sent - 1) * SENDERS + sender));
        assert_eq!(*found["visits__pages_count_lifetime"], json!(visits));
        answers.push(answer);
    }
    Ok(answers)
}

#[test]
fn whoever_is_acknowledged_finds_it_and_all_that_was_served_is_proved() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    let everybody: Vec<String> = (0..SENDERS).map(user).collect();
    let done = AtomicBool::new(false);
    let mut served = thread::scope(|scope| {
        let (runtime, everybody, done) = (&runtime, &everybody, &done);
        let senders: Vec<_> = (0..SENDERS).map(|sender| scope.spawn(move || send(runtime, sender))).collect();
        let watchers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(move || {
                    let mut answers = Vec::new();
                    while !done.load(Ordering::Relaxed) {
                        answers.push(look(runtime, everybody)?);
                        // Checkpoints and sweeps change nothing.
                        runtime.maintain()?;
                    }
                    anyhow::Ok(answers)
                })
            })
            .collect();
        let sent: Vec<_> = senders.into_iter().map(ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        let mut served = Vec::new();
        for answers in sent.into_iter().chain(watchers.into_iter().map(ScopedJoinHandle::join)) {
            served.extend(answers.expect("what was acknowledged is found")?);
        }
        anyhow::Ok(served)
    })?;
    let last = look(&runtime, &everybody)?;
    drop(runtime);

    let runtime = setup.open(ClockMode::Wall)?;
    assert_eq!(look(&runtime, &everybody)?.rows, last.rows, "a restart changes nothing");
    served.push(last);
    let records: Vec<_> = served.into_iter().filter_map(|answer| ReceiptRecord::of("served", answer)).collect();
    let verification = runtime.verify_receipts(&records, &())?;
    assert!(verification.all_proved(), "{verification:#?}");
    assert!(verification.receipts > SENDERS * REQUESTS.len() as u64);
    Ok(())
}
