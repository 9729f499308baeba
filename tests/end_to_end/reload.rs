//! Definitions change while a daemon serves: lookups go on, and each is what its receipt says.

use std::sync::atomic::{AtomicBool, Ordering};

use oast_runtime::{
    Arrival, ClockMode, Events, LockFile, LookupRequest, LookupResponse, Progress, ReceiptRecord, Runtime, RuntimeError,
};
use serde_json::{Value as Json, json};

use crate::support::{Setup, object};

const DEFINITION: &str = r#"
[source.clicks]
keys = { user = "utf8" }
event_time = "at"
idempotency_key = "id"
fields = { amount = "float64", id = "int64", page = "int64" }

[view.spend]
source = "clicks"
entity = ["user"]

[[view.spend.aggregate]]
plugin = "moments"
input = ["amount"]
outputs = ["count"]
windows = ["lifetime"]

[service.model]
features = ["spend:*"]
"#;

fn click(id: u64) -> Json {
    json!({"user": "ann", "at": "2024-05-01T10:00:00Z", "amount": 1.0, "id": id, "page": id % 7})
}

fn ingest(runtime: &Runtime, ids: std::ops::Range<u64>) -> Result<u64, RuntimeError> {
    let lines: Vec<String> = ids.map(|id| click(id).to_string()).collect();
    Ok(runtime.ingest("clicks", Events::JsonLines(lines.join("\n").as_bytes()), Arrival::Live)?.accepted)
}

fn look(runtime: &Runtime) -> Result<LookupResponse, RuntimeError> {
    runtime.lookup(&LookupRequest {
        service: "model".to_owned(),
        entities: vec![object(json!({"user": "ann"}))],
        receipt: true,
        ..LookupRequest::default()
    })
}

fn apply(setup: &Setup, runtime: &Runtime, definition: &str) -> anyhow::Result<()> {
    runtime.apply(&setup.definition(definition)?, &LockFile::default(), setup.dir.path())?;
    Ok(())
}

/// Somebody who wants to leave.
struct Impatient;

impl Progress for Impatient {
    fn phase(&self, _name: &str, _total: Option<u64>) {}

    fn advance(&self, _amount: u64) {}

    fn is_stopped(&self) -> bool {
        true
    }
}

#[test]
fn catching_up_can_be_stopped_and_begun_again() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    ingest(&runtime, 0..10)?;
    drop(runtime);
    let runtime = setup.open(ClockMode::Wall)?;
    assert!(matches!(runtime.start(&Impatient), Err(RuntimeError::Stopped)));
    assert!(!runtime.ready());
    runtime.close()?;
    drop(runtime);
    let runtime = setup.open(ClockMode::Wall)?;
    runtime.start(&())?;
    assert_eq!(look(&runtime)?.rows[0].values, [json!(10)]);
    Ok(())
}

#[test]
fn lookups_go_on_while_definitions_change() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    ingest(&runtime, 0..1_000)?;
    let ended = AtomicBool::new(false);
    let answers = std::thread::scope(|scope| -> anyhow::Result<Vec<LookupResponse>> {
        let lookups = scope.spawn(|| {
            let mut answers = Vec::new();
            while !ended.load(Ordering::SeqCst) {
                answers.push(look(&runtime)?);
            }
            Ok::<_, RuntimeError>(answers)
        });
        let events =
            scope.spawn(|| (1_000..).step_by(5).take(60).try_for_each(|id| ingest(&runtime, id..id + 5).map(drop)));
        let wider = DEFINITION.replace("[\"lifetime\"]", "[\"lifetime\", \"30d\"]");
        let changed = ["[\"count\"]", "[\"count\", \"sum\"]", "[\"count\", \"max\"]"]
            .iter()
            .try_for_each(|outputs| apply(&setup, &runtime, &wider.replace("[\"count\"]", outputs)));
        events.join().expect("no ingestion panics")?;
        ended.store(true, Ordering::SeqCst);
        changed?;
        Ok(lookups.join().expect("no lookup panics")?)
    })?;
    let counts: Vec<_> = answers.iter().map(|answer| answer.rows[0].values[0].as_u64()).collect();
    assert!(counts.is_sorted(), "no lookup sees less than the one before: {counts:?}");
    assert_eq!(look(&runtime)?.rows[0].values[0], json!(1_300), "the last definition has seen every event");
    let mut versions: Vec<_> = answers.iter().map(|answer| answer.version).collect();
    versions.dedup();
    assert!((2..=4).contains(&versions.len()), "versions served one after the other: {versions:?}");
    let record = |answer| ReceiptRecord::of("served", answer).expect("the receipt was asked for");
    let records: Vec<_> = answers.into_iter().map(record).collect();
    let verification = runtime.verify_receipts(&records, &())?;
    assert!(verification.all_proved(), "{verification:#?}");
    Ok(())
}

#[test]
fn a_version_that_was_replaced_and_comes_back_has_seen_everything() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    ingest(&runtime, 0..10)?;
    let first = look(&runtime)?;
    apply(&setup, &runtime, &DEFINITION.replace("lifetime", "30d"))?;
    ingest(&runtime, 10..30)?;
    look(&runtime)?;
    apply(&setup, &runtime, DEFINITION)?;
    let back = look(&runtime)?;
    assert_eq!(back.version, first.version);
    assert_eq!((&first.rows[0].values[0], &back.rows[0].values[0]), (&json!(10), &json!(30)));
    Ok(())
}

#[test]
fn another_idempotency_key_goes_for_the_events_that_are_logged() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    assert_eq!(ingest(&runtime, 0..3)?, 3);
    look(&runtime)?;
    apply(&setup, &runtime, &DEFINITION.replace("idempotency_key = \"id\"", "idempotency_key = \"page\""))?;
    assert_eq!(ingest(&runtime, 7..11)?, 1, "pages 0, 1 and 2 were seen, page 3 was not");
    Ok(())
}

#[test]
fn columns_that_logged_events_lack_are_refused() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    ingest(&runtime, 0..3)?;
    let first = look(&runtime)?;
    let wider = |data_type: &str| {
        DEFINITION.replace("page = \"int64\"", &format!("page = \"int64\", device = \"{data_type}\""))
    };
    let refused = apply(&setup, &runtime, &wider("utf8")).expect_err("older events have none").to_string();
    assert_eq!(refused, "older events of `clicks` have no column `device: utf8`");
    assert_eq!(look(&runtime)?.version, first.version, "nothing was published");
    apply(&setup, &runtime, &wider("utf8?"))?;
    let refused = apply(&setup, &runtime, &wider("utf8")).expect_err("it is null in older events").to_string();
    assert_eq!(refused, "older events of `clicks` have no column `device: utf8`");
    assert_eq!(look(&runtime)?.rows, first.rows);
    Ok(())
}

#[test]
fn another_idempotency_key_goes_before_definitions_are_in_memory() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    assert_eq!(ingest(&runtime, 7..10)?, 3);
    apply(&setup, &runtime, &DEFINITION.replace("idempotency_key = \"id\"", "idempotency_key = \"page\""))?;
    assert_eq!(ingest(&runtime, 14..18)?, 1, "pages 0, 1 and 2 were seen, page 3 was not");
    apply(&setup, &runtime, DEFINITION)?;
    assert_eq!(ingest(&runtime, 14..18)?, 3, "17 was logged by its page, and the ids of the others were not");
    Ok(())
}

const SOURCE_ALONE: &str = r#"
[source.clicks]
keys = { user = "utf8" }
event_time = "at"
idempotency_key = "id"
fields = { id = "int64", page = "int64" }
"#;

/// Events are read before it is their turn to be logged, and a definition may come in between.
#[test]
fn events_that_wait_their_turn_are_taken_by_the_definition_of_then() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, SOURCE_ALONE)?;
    runtime.start(&())?;
    let send = |ids: std::ops::Range<u64>| {
        let event = |id: u64| {
            let page = id + 1_000_000;
            json!({"user": "ann", "at": "2024-05-01T10:00:00Z", "id": id, "page": page, "place": "here"}).to_string()
        };
        let lines: Vec<String> = ids.map(event).collect();
        runtime.ingest("clicks", Events::JsonLines(lines.join("\n").as_bytes()), Arrival::Live)
    };
    let ended = AtomicBool::new(false);
    let (sent, accepted) = std::thread::scope(|scope| -> anyhow::Result<(u64, u64)> {
        let events = scope.spawn(|| {
            let (mut sent, mut accepted) = (0, 0);
            while !ended.load(Ordering::SeqCst) {
                accepted += send(sent..sent + 200)?.accepted;
                sent += 200;
            }
            Ok::<_, RuntimeError>((sent, accepted))
        });
        let placed = SOURCE_ALONE.replace("\"id\"", "\"page\"").replace("fields = {", "fields = { place = \"utf8?\",");
        let changed = apply(&setup, &runtime, &placed);
        ended.store(true, Ordering::SeqCst);
        changed?;
        Ok(events.join().expect("no ingestion panics")?)
    })?;
    assert_eq!(runtime.quarantined("clicks")?.len() as u64, sent - accepted, "until then a place is unknown");
    let again = send(0..sent)?;
    assert_eq!((again.accepted, again.duplicates), (sent - accepted, accepted), "pages tell which were logged");
    Ok(())
}
