//! Receipts: what was served can be derived again from the log, and whoever edits a receipt or an answer is found out.

use oast_runtime::{
    Arrival, ClockMode, Events, LookupRequest, LookupResponse, LookupRow, ReceiptRecord, ReceiptsVerification, Runtime,
    read_receipts,
};
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
outputs = ["count", "sum"]
windows = ["1h", "lifetime"]

[service.model]
features = ["spend:*"]
request = { bid = "float64" }

[[service.model.derive]]
plugin = "ratio"
input = ["bid", "spend:amount_sum_lifetime"]
output = ["bid_to_sum"]
"#;

fn click(user: &str, at: &str, amount: f64) -> String {
    json!({"user": user, "at": at, "amount": amount}).to_string()
}

fn look(runtime: &Runtime, users: &[&str]) -> anyhow::Result<LookupResponse> {
    let request = LookupRequest {
        service: "model".to_owned(),
        entities: users.iter().map(|user| object(json!({"user": user}))).collect(),
        request: users.iter().map(|_| object(json!({"bid": 3.0}))).collect(),
        receipt: true,
        at: None,
    };
    Ok(runtime.lookup(&request)?)
}

fn record(response: LookupResponse) -> ReceiptRecord {
    ReceiptRecord::of("served", response).expect("the receipt was asked for")
}

/// A runtime with a few clicks, and what it answered.
fn served(setup: &Setup) -> anyhow::Result<(Runtime, LookupResponse)> {
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    let clicks = [click("ann", "2024-05-01T10:00:00Z", 1.5), click("bob", "2024-05-01T11:00:00Z", 2.5)].join("\n");
    runtime.ingest("clicks", Events::JsonLines(clicks.as_bytes()), Arrival::Live)?;
    let response = look(&runtime, &["ann", "bob", "nobody"])?;
    Ok((runtime, response))
}

fn refuted(verification: &ReceiptsVerification) -> (&str, Option<(u64, &str)>) {
    assert_eq!((verification.receipts, verification.proved), (1, 0), "{verification:#?}");
    let failure = &verification.failures[0];
    let place = failure.difference.as_ref().map(|difference| (difference.row, difference.feature.as_str()));
    (&failure.cause, place)
}

#[test]
fn history_that_was_imported_later_does_not_change_what_is_proved() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let (runtime, before) = served(&setup)?;
    let older = click("ann", "2024-04-30T00:00:00Z", 100.0);
    runtime.ingest("clicks", Events::JsonLines(older.as_bytes()), Arrival::History)?;
    let after = look(&runtime, &["ann"])?;
    assert_eq!(before.rows[0].values[2..4], [json!(1), json!(1.5)]);
    assert_eq!(after.rows[0].values[2..4], [json!(2), json!(101.5)], "the import rewrote the past for later lookups");
    let verification = runtime.verify_receipts(&[record(before), record(after)], &())?;
    assert!(verification.all_proved(), "{verification:#?}");
    assert_eq!((verification.proved, verification.values), (2, 4 * 5));
    Ok(())
}

#[test]
fn an_edited_value_is_named() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let (runtime, response) = served(&setup)?;
    let edited = |edit: &dyn Fn(&mut Vec<LookupRow>)| {
        let mut edited = record(response.clone());
        edit(&mut edited.answered.as_mut().expect("it was answered").rows);
        runtime.verify_receipts(&[edited], &())
    };
    let verification = edited(&|rows| rows[1].values[1] = json!(2.4999999999999996))?;
    let (cause, place) = refuted(&verification);
    assert_eq!(place, Some((2, "spend__amount_sum_1h")));
    assert!(cause.contains("edited after it was served"), "{cause}");
    let verification = edited(&|rows| rows[2].status.swap(0, 1))?;
    assert_eq!(refuted(&verification).1, Some((3, "spend__amount_count_1h")));
    Ok(())
}

#[test]
fn an_edited_receipt_is_refused() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let (runtime, response) = served(&setup)?;
    let check = |edit: &dyn Fn(&mut ReceiptRecord), expect: &str| -> anyhow::Result<()> {
        let mut edited = record(response.clone());
        edit(&mut edited);
        let verification = runtime.verify_receipts(&[edited], &())?;
        let (cause, _) = refuted(&verification);
        assert!(cause.contains(expect), "{cause}");
        Ok(())
    };
    check(&|record| record.receipt.offset += 1, "its id belongs to another")?;
    check(&|record| record.receipt.time = "2024-05-01T11:30:00.000000Z".to_owned(), "its id belongs to another")?;
    check(&|record| record.receipt.entities[0] = object(json!({"user": "bob"})), "its digest belongs to another")?;
    check(&|record| record.receipt.request[0] = object(json!({"bid": 4.0})), "its digest belongs to another")
}

#[test]
fn an_answer_that_its_receipt_contradicts_is_refused() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let (runtime, response) = served(&setup)?;
    let check = |edit: &dyn Fn(&mut LookupResponse), expect: &str| -> anyhow::Result<()> {
        let mut edited = response.clone();
        edit(&mut edited);
        let verification = runtime.verify_receipts(&[record(edited)], &())?;
        let (cause, _) = refuted(&verification);
        assert_eq!(cause, format!("the answer was edited: {expect} not what the receipt says"));
        Ok(())
    };
    check(&|answer| answer.features.swap(0, 1), "its `features` are")?;
    check(&|answer| answer.features[0] = "risk".to_owned(), "its `features` are")?;
    check(&|answer| drop(answer.rows.pop()), "the number of its `rows` is")?;
    check(&|answer| answer.rows.push(answer.rows[0].clone()), "the number of its `rows` is")?;
    check(&|answer| answer.rows[0].values.push(json!(1)), "the number of its values is")?;
    check(&|answer| answer.offset += 1, "its `offset` is")?;
    check(&|answer| answer.time = "2024-05-01T11:30:00.000000Z".to_owned(), "its `time` is")?;
    let mut edited = response.clone();
    let event_time = edited.rows[1].event_times.values_mut().next().expect("there is a view");
    *event_time = Some("2024-05-01T10:59:00.000000Z".to_owned());
    let verification = runtime.verify_receipts(&[record(edited)], &())?;
    assert_eq!(refuted(&verification).1, Some((2, "event time of spend")));
    Ok(())
}

/// Another data folder with the same definitions has the same service version, and another log.
#[test]
fn a_log_that_differs_is_found_out() -> anyhow::Result<()> {
    let (setup, other) = (Setup::new()?, Setup::new()?);
    let (_, response) = served(&setup)?;
    let other = other.publish(ClockMode::Wall, DEFINITION)?;
    let empty = other.verify_receipts(&[record(response.clone())], &())?;
    assert!(refuted(&empty).0.contains("the log ends at 0 here"), "{empty:#?}");
    let clicks = [click("ann", "2024-05-01T10:00:00Z", 1.5), click("bob", "2024-05-01T11:00:00Z", 2.0)].join("\n");
    other.ingest("clicks", Events::JsonLines(clicks.as_bytes()), Arrival::History)?;
    let differs = other.verify_receipts(&[record(response.clone())], &())?;
    assert_eq!(refuted(&differs).1, Some((2, "spend__amount_sum_lifetime")));
    let alone = ReceiptRecord { answered: None, ..record(response) };
    let differs = other.verify_receipts(&[alone], &())?;
    assert!(refuted(&differs).0.contains("the output hash is not"), "{differs:#?}");
    Ok(())
}

#[test]
fn receipts_that_were_asked_for_are_kept_and_found() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let (runtime, response) = served(&setup)?;
    let id = response.receipt.as_ref().expect("it was asked for").id.to_string();
    assert_eq!(runtime.kept_receipt(&id)?, response);
    runtime.close()?;
    drop(runtime);
    let runtime = setup.open(ClockMode::Wall)?;
    assert_eq!(runtime.kept_receipt(&id)?, response);
    let unknown = runtime.kept_receipt(&"0".repeat(64)).expect_err("nobody has it");
    assert_eq!(unknown.to_string(), format!("there is no receipt `{}`", "0".repeat(64)));
    let records = read_receipts(&setup.path("data/receipts"))?;
    assert_eq!(records.len(), 1);
    assert!(runtime.verify_receipts(&records, &())?.all_proved());
    Ok(())
}

#[test]
fn receipts_that_cannot_be_written_keep_nothing_else_from_being_done() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let (runtime, _) = served(&setup)?;
    // No folder can be made where a file is.
    std::fs::write(setup.path("data/receipts"), "")?;
    for done in [runtime.maintain(), runtime.close()] {
        let error = done.expect_err("a receipt is not on disk");
        assert!(error.to_string().ends_with("data/receipts`"), "{error}");
    }
    let sealed = std::fs::read_to_string(setup.path("data/log/chain.jsonl"))?;
    assert_eq!(sealed.lines().count(), 1, "the log is sealed all the same: {sealed}");
    std::fs::remove_file(setup.path("data/receipts"))?;
    runtime.close()?;
    assert_eq!(read_receipts(&setup.path("data/receipts"))?.len(), 1, "the receipt had waited");
    Ok(())
}
