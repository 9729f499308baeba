//! Lookups that are made at once, without waiting: the same answers, or none.

use oast_runtime::{Arrival, ClockMode, Events, LookupRequest, LookupResponse, Runtime};
use serde_json::json;

use crate::support::{Setup, object};

const DEFINITION: &str = r#"
[source.clicks]
keys = { user = "utf8" }
event_time = "at"
fields = { amount = "float64" }

[view.spend]
source = "clicks"
entity = ["user"]

[[view.spend.aggregate]]
plugin = "moments"
input = ["amount"]
windows = ["1h", "lifetime"]

[view.seen]
source = "clicks"
entity = ["user"]
latest = ["amount"]

[service.model]
features = ["spend:*", "seen:*"]
request = { bid = "float64?" }

[[service.model.derive]]
plugin = "ratio"
input = ["bid", "spend:amount_mean_1h"]
output = ["bid_to_mean"]
"#;

fn filled(setup: &Setup) -> anyhow::Result<Runtime> {
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    let click =
        |at: u64| json!({"user": format!("user-{}", at % 5), "at": 1_700_000_000_000_000_u64, "amount": at as f64});
    let lines: Vec<String> = (0..50).map(|at| click(at).to_string()).collect();
    runtime.ingest("clicks", Events::JsonLines(lines.join("\n").as_bytes()), Arrival::Live)?;
    Ok(runtime)
}

fn request(users: usize) -> LookupRequest {
    LookupRequest {
        service: "model".to_owned(),
        entities: (0..users).map(|user| object(json!({"user": format!("user-{user}")}))).collect(),
        request: vec![object(json!({"bid": 2.5})); users],
        ..LookupRequest::default()
    }
}

fn at_once(runtime: &Runtime, request: &LookupRequest) -> anyhow::Result<Option<LookupResponse>> {
    Ok(runtime.answer_lookup_at_once(request)?.map(|answer| answer.response()))
}

#[test]
fn what_is_answered_at_once_is_what_is_answered_after_waiting() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = filled(&setup)?;
    let waited = runtime.lookup(&request(5))?;
    let answered = at_once(&runtime, &request(5))?.expect("everything is at hand");
    assert!(answered.time > waited.time);
    assert_eq!(LookupResponse { time: waited.time.clone(), ..answered }, waited);
    let unknown = LookupRequest { service: "other".to_owned(), ..request(1) };
    let refused = |result: Result<(), String>| result.expect_err("there is no such service");
    let waited = refused(runtime.lookup(&unknown).map(drop).map_err(|error| error.to_string()));
    assert_eq!(refused(at_once(&runtime, &unknown).map(drop).map_err(|error| error.to_string())), waited);
    Ok(())
}

#[test]
fn what_takes_longer_is_not_answered_at_once() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = filled(&setup)?;
    assert_eq!(at_once(&runtime, &request(5))?, None, "nobody has compiled the definitions");
    runtime.start(&())?;
    assert_eq!(at_once(&runtime, &request(6))?, None, "of one entity nothing is in memory");
    runtime.lookup(&request(5))?;
    assert!(at_once(&runtime, &request(5))?.is_some());
    assert_eq!(at_once(&runtime, &request(129))?, None, "there are many entities");
    let proved = LookupRequest { receipt: true, ..request(5) };
    assert_eq!(at_once(&runtime, &proved)?, None, "a receipt is to be kept");
    Ok(())
}
