//! Refused events: kept as they came, listed, corrected and driven again, once.

use std::fs;

use oast_runtime::{Arrival, ClockMode, Correction, Events, LockFile, RetryReport, Runtime};
use serde_json::{Value as Json, json};

use crate::support::Setup;

const DEFINITION: &str = r#"
[source.clicks]
keys = { user = "utf8" }
event_time = "at"
idempotency_key = "id"
fields = { amount = "float64", id = "int64" }

[[source.clicks.check]]
field = "amount"
max = 100.0
"#;

fn click(id: i64, amount: f64) -> Json {
    json!({"user": "ann", "at": "2024-05-01T10:00:00Z", "amount": amount, "id": id})
}

/// A runtime that refused a click that is too large and a line that is no JSON, and took one in.
fn refused(setup: &Setup) -> anyhow::Result<Runtime> {
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    let lines = format!("{}\n{}\n{{\"user\": \"bob\"\n", click(1, 5.0), click(2, 500.0));
    let report = runtime.ingest("clicks", Events::JsonLines(lines.as_bytes()), Arrival::Live)?;
    assert_eq!((report.accepted, report.quarantined.len()), (1, 2));
    Ok(runtime)
}

#[test]
fn refused_events_keep_what_came_and_why() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = refused(&setup)?;
    let entries = runtime.quarantine_list()?;
    let reasons: Vec<_> = entries[0].reasons.iter().map(|(reason, events)| (reason.as_str(), *events)).collect();
    assert_eq!((entries.len(), entries[0].source.as_str(), entries[0].events), (1, "clicks", 2));
    assert_eq!(reasons, [("amount max", 1), ("syntax", 1)]);
    let events = runtime.quarantined("clicks")?;
    assert_eq!((events[0].reason.row, &events[0].event), (2, &click(2, 500.0)));
    assert_eq!((events[1].reason.row, &events[1].event), (3, &json!("{\"user\": \"bob\"")));
    assert!(events.iter().all(|event| event.version.len() == 64 && event.id.len() == 16), "{events:#?}");
    Ok(())
}

#[test]
fn events_are_not_logged_while_those_refused_beside_them_cannot_be_kept() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    let in_the_way = setup.path("data").join("quarantine/clicks.jsonl");
    fs::create_dir_all(&in_the_way)?;
    let lines = format!("{}\n{}", click(1, 5.0), click(2, 500.0));
    let ingest = || runtime.ingest("clicks", Events::JsonLines(lines.as_bytes()), Arrival::Live);
    assert!(ingest().is_err(), "there is no place for the second event");
    assert_eq!(runtime.status().events, 0, "whoever sends both again must not double the first");
    fs::remove_dir(&in_the_way)?;
    let report = ingest()?;
    assert_eq!((report.accepted, report.duplicates, report.quarantined.len()), (1, 0, 1));
    Ok(())
}

#[test]
fn what_passes_now_leaves_the_quarantine_and_is_logged_once() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = refused(&setup)?;
    let same = runtime.quarantine_retry("clicks", Vec::new())?;
    assert_eq!((same.accepted, same.quarantined.len()), (0, 2), "nothing has changed");
    let wider = setup.definition(&DEFINITION.replace("100.0", "1000.0"))?;
    runtime.apply(&wider, &LockFile::default(), setup.dir.path())?;
    let wider = runtime.quarantine_retry("clicks", Vec::new())?;
    assert_eq!((wider.accepted, wider.quarantined.len()), (1, 1), "the click passes the wider gate");
    let id = wider.quarantined[0].id.clone();
    let event = click(3, 7.0);
    let corrected = runtime.quarantine_retry("clicks", vec![Correction { id: id.clone(), event }])?;
    assert_eq!((corrected.accepted, corrected.quarantined.len()), (1, 0));
    assert_eq!(runtime.quarantine_list()?, []);
    let again = format!("{}\n{}", click(2, 500.0), click(3, 7.0));
    let report = runtime.ingest("clicks", Events::JsonLines(again.as_bytes()), Arrival::Live)?;
    assert_eq!((report.accepted, report.duplicates), (0, 2), "both are in the log");
    let unknown = runtime.quarantine_retry("clicks", vec![Correction { id, event: json!({}) }]);
    assert!(unknown.expect_err("it has left").to_string().starts_with("no quarantined event of `clicks` has the id"));
    Ok(())
}

#[test]
fn dropped_events_are_gone() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = refused(&setup)?;
    let ids: Vec<String> = runtime.quarantined("clicks")?.into_iter().map(|event| event.id).collect();
    assert_eq!(runtime.quarantine_drop("clicks", &ids[..1])?, 1);
    assert_eq!(runtime.quarantined("clicks")?.len(), 1);
    runtime.quarantine_drop("clicks", &ids[..1]).expect_err("it is gone");
    assert_eq!(runtime.quarantine_drop("clicks", &[])?, 1);
    assert_eq!(runtime.quarantine_list()?, []);
    Ok(())
}

/// A crash between the append and the end of the quarantine leaves a note of which events were about to leave.
#[test]
fn a_crash_while_events_leave_logs_none_of_them_twice() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = refused(&setup)?;
    let id = runtime.quarantined("clicks")?[0].id.clone();
    drop(runtime);
    let note = |offset: u64| json!({"source": "clicks", "offset": offset, "ids": [id]}).to_string();
    let path = setup.path("data/quarantine/leaving.json");
    // The log ends at offset 1: at 1 nothing was logged after the note was written, at 0 something was.
    for (offset, left) in [(1, 2), (0, 1)] {
        fs::write(&path, note(offset))?;
        let runtime = setup.open(ClockMode::Wall)?;
        assert_eq!(runtime.quarantined("clicks")?.len(), left, "the note says {offset}");
        assert!(!path.exists(), "the note is settled");
    }
    Ok(())
}

const UNKEYED: &str = r#"
[source.clicks]
keys = { user = "utf8" }
event_time = "at"
fields = { amount = "float64", id = "int64" }

[[source.clicks.check]]
field = "amount"
max = 100.0
"#;

/// The disk may refuse what comes after the append: the events are in the log then, and their note says so.
#[test]
fn a_retry_that_could_not_be_settled_is_settled_by_the_next() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, UNKEYED)?;
    let refused = click(1, 500.0).to_string();
    runtime.ingest("clicks", Events::JsonLines(refused.as_bytes()), Arrival::Live)?;
    let id = runtime.quarantined("clicks")?[0].id.clone();
    let (file, note) = (setup.path("data/quarantine/clicks.jsonl"), setup.path("data/quarantine/leaving.json"));
    let before = fs::read(&file)?;
    let event = click(1, 5.0);
    let retry = |corrections| runtime.quarantine_retry("clicks", corrections);
    assert_eq!(retry(vec![Correction { id: id.clone(), event }])?.accepted, 1);
    let interrupted = || {
        fs::write(&file, &before)?;
        fs::write(&note, json!({"source": "clicks", "offset": 0, "ids": [id]}).to_string())
    };
    interrupted()?;
    let wider = setup.definition(&UNKEYED.replace("100.0", "1000.0"))?;
    runtime.apply(&wider, &LockFile::default(), setup.dir.path())?;
    assert_eq!(retry(Vec::new())?, RetryReport::default(), "it is in the log already");
    interrupted()?;
    assert_eq!(runtime.quarantine_drop("clicks", &[])?, 0, "it has left");
    assert_eq!((runtime.quarantine_list()?, runtime.status().events), (Vec::new(), 1));
    assert!(!note.exists());
    Ok(())
}

/// The note may reach the disk although its writer was told otherwise, and then other events come.
#[test]
fn events_that_were_about_to_leave_and_never_did_stay() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = refused(&setup)?;
    let id = runtime.quarantined("clicks")?[0].id.clone();
    // What is at offset 0 is not what the note means.
    let note = json!({"source": "clicks", "offset": 0, "events": "11".repeat(32), "ids": [id]});
    fs::write(setup.path("data/quarantine/leaving.json"), note.to_string())?;
    assert_eq!(runtime.quarantine_retry("clicks", Vec::new())?.quarantined.len(), 2);
    fs::write(setup.path("data/quarantine/leaving.json"), note.to_string())?;
    drop(runtime);
    assert_eq!(setup.open(ClockMode::Wall)?.quarantined("clicks")?.len(), 2);
    Ok(())
}

#[test]
fn a_blank_correction_stays_in_quarantine() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = refused(&setup)?;
    let ids: Vec<String> = runtime.quarantined("clicks")?.into_iter().map(|event| event.id).collect();
    for blank in ["", " ", "\n", "\t\n\n "] {
        let corrections = ids.iter().map(|id| Correction { id: id.clone(), event: json!(blank) }).collect();
        let report = runtime.quarantine_retry("clicks", corrections)?;
        let codes: Vec<_> = report.quarantined.iter().map(|event| event.reason.code.as_str()).collect();
        assert_eq!((report.accepted, codes), (0, vec!["syntax", "syntax"]), "{blank:?}");
    }
    let mut corrections: Vec<_> =
        ids.iter().zip([7, 8]).map(|(id, number)| Correction { id: id.clone(), event: click(number, 1.0) }).collect();
    corrections[0].event = json!(format!("\n{}\n", click(7, 1.0)));
    assert_eq!(runtime.quarantine_retry("clicks", corrections)?.accepted, 2, "line breaks around an event do no harm");
    Ok(())
}

#[test]
fn a_cell_of_csv_that_is_no_value_holds_no_other_row_back() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    let rows = ["ann,2024-05-01T10:00:00Z,1.5,1", "bob,2024-05-01T10:00:00Z,many,2", "cleo,2024-05-01T10:00:00Z,2.5,3"];
    fs::write(setup.path("clicks.csv"), format!("user,at,amount,id\n{}\n", rows.join("\n")))?;
    let report = runtime.ingest_file("clicks", &setup.path("clicks.csv"), None, &())?;
    assert_eq!((report.accepted, report.quarantined.len()), (2, 1), "{report:#?}");
    let wrong = &report.quarantined[0];
    assert_eq!((wrong.row, wrong.field.as_str(), wrong.code.as_str()), (2, "amount", "type"));
    assert_eq!(runtime.quarantined("clicks")?[0].event["amount"], json!("many"));
    Ok(())
}
