//! Events and state that nobody needs any more go away, and no answer changes by that.

use oast_runtime::{
    Arrival, ClockMode, Events, LockFile, LookupRequest, LookupResponse, ReceiptRecord, ReplayOptions, Runtime,
};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::support::{Setup, object};

const DEFINITION: &str = r#"
[source.clicks]
keys = { user = "utf8" }
event_time = "at"
available_time = "at"
fields = { amount = "float64" }
retention = "3h"
max_future = "10m"

[view.spend]
source = "clicks"
entity = ["user"]

[[view.spend.aggregate]]
plugin = "moments"
input = ["amount"]
outputs = ["count", "sum"]
windows = ["1h", "2h"]

[view.seen]
source = "clicks"
entity = ["user"]
latest = ["amount"]
ttl = "2h"

[service.model]
features = ["spend:*", "seen:*"]
"#;

const MINUTE: i64 = 60_000_000;

fn look(runtime: &Runtime, minute: i64) -> anyhow::Result<LookupResponse> {
    Ok(runtime.lookup(&LookupRequest {
        service: "model".to_owned(),
        entities: ["ann", "bob"].map(|user| object(json!({"user": user}))).into(),
        receipt: true,
        at: Some(json!(minute * MINUTE)),
        ..LookupRequest::default()
    })?)
}

fn click(user: &str, minute: i64) -> Json {
    json!({"user": user, "at": minute * MINUTE, "amount": minute})
}

fn ingest(runtime: &Runtime, click: &Json) -> anyhow::Result<()> {
    let report = runtime.ingest("clicks", Events::JsonLines(click.to_string().as_bytes()), Arrival::Live)?;
    anyhow::ensure!(report.accepted == 1, "{report:?}");
    Ok(())
}

/// Plays clicks and lookups, minute by minute, and does after each step what `between` says; returns what was served.
fn play(
    setup: &Setup,
    definition: &str,
    clicks: &[(bool, i64)],
    mut between: impl FnMut(Runtime, usize) -> anyhow::Result<Runtime>,
) -> anyhow::Result<(Runtime, Vec<LookupResponse>)> {
    let mut runtime = setup.publish(ClockMode::Simulated, definition)?;
    let mut answers = Vec::new();
    for (at, (ann, minute)) in clicks.iter().enumerate() {
        ingest(&runtime, &click(if *ann { "ann" } else { "bob" }, *minute))?;
        answers.push(look(&runtime, minute + 1)?);
        runtime = between(runtime, at)?;
    }
    Ok((runtime, answers))
}

/// What was said of every entity: values, statuses, and the times of the events behind them.
fn said(answers: &[LookupResponse]) -> Vec<Json> {
    answers.iter().map(|answer| json!({"time": answer.time, "rows": answer.rows})).collect()
}

fn record(answer: LookupResponse) -> ReceiptRecord {
    ReceiptRecord::of("served", answer).expect("the receipt was asked for")
}

/// A daemon that keeps everything, and one that seals, sweeps and loses its state as often as it can.
fn check(clicks: &[(bool, i64)]) -> anyhow::Result<()> {
    let (calm, busy) = (Setup::new()?, Setup::new()?);
    let (_, expected) = play(&calm, DEFINITION, clicks, |runtime, _| Ok(runtime))?;
    let (runtime, answers) = play(&busy, DEFINITION, clicks, |runtime, at| {
        runtime.close()?;
        runtime.maintain()?;
        if at % 5 < 4 {
            return Ok(runtime);
        }
        drop(runtime);
        if at % 2 == 0 {
            std::fs::remove_dir_all(busy.path("data/state"))?;
        }
        busy.open(ClockMode::Simulated)
    })?;
    assert_eq!(said(&answers), said(&expected));
    let last = answers.into_iter().next_back().map(record);
    let verification = runtime.verify_receipts(last.as_slice(), &())?;
    assert!(verification.all_proved(), "{verification:#?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_removed_was_needed(steps in proptest::collection::vec((any::<bool>(), 1_i64..90), 1..30)) {
        let mut minute = 0;
        let clicks: Vec<_> = steps.iter().map(|(ann, step)| { minute += step; (*ann, minute) }).collect();
        check(&clicks).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
    }
}

/// Clicks of one user for a day, every ten minutes.
fn day() -> Vec<(bool, i64)> {
    (0..144).map(|step| (step < 3, step * 10)).collect()
}

#[test]
fn segments_are_removed_and_the_log_stays_provable() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let (runtime, answers) = play(&setup, DEFINITION, &day(), |runtime, _| {
        runtime.close()?;
        Ok(runtime)
    })?;
    let segments = runtime.log_report().sources["clicks"].len();
    assert!((18..25).contains(&segments), "those of the last three hours and ten minutes: {segments}");
    assert_eq!(runtime.log_verify()?.damage, None);
    drop(runtime);
    let files = || {
        std::fs::read_dir(setup.path("data/log")).map(|files| {
            files
                .filter_map(Result::ok)
                .filter(|file| file.path().extension().is_some_and(|end| end == "parquet"))
                .count()
        })
    };
    let runtime = setup.open(ClockMode::Simulated)?;
    assert_eq!((runtime.log_report().sources["clicks"].len(), files()?), (segments, segments));
    assert_eq!(runtime.log_verify()?.damage, None);
    let old = answers.into_iter().next().map(record);
    let verification = runtime.verify_receipts(old.as_slice(), &())?;
    assert!(verification.failures[0].cause.contains("that retention removed"), "{verification:#?}");
    Ok(())
}

#[test]
fn a_replay_that_needs_removed_events_is_refused() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let (runtime, _) = play(&setup, DEFINITION, &day(), |runtime, _| {
        runtime.close()?;
        Ok(runtime)
    })?;
    let replay = |minutes: &[i64], out: &str| -> anyhow::Result<u64> {
        let row = |minute: &i64| json!({"event_timestamp": minute * MINUTE, "user": "bob"}).to_string();
        std::fs::write(setup.path("spine.jsonl"), minutes.iter().map(row).collect::<Vec<_>>().join("\n"))?;
        let options = ReplayOptions {
            service: "model".to_owned(),
            spine: setup.path("spine.jsonl"),
            out: setup.path(out),
            ..ReplayOptions::default()
        };
        Ok(runtime.replay(&options, &())?.dataset.rows)
    };
    assert_eq!(replay(&[1_435, 1_440], "recent.parquet")?, 2);
    let refused = replay(&[600, 1_440], "old.parquet").expect_err("the events of the morning are gone").to_string();
    assert!(refused.starts_with("1 of 2 lookups need events of `clicks` that retention removed"), "{refused}");
    assert!(!setup.path("old.parquet").exists(), "nothing is half done");
    Ok(())
}

#[test]
fn state_on_disk_does_not_grow_with_time() -> anyhow::Result<()> {
    let entries = |swept: bool| -> anyhow::Result<usize> {
        let setup = Setup::new()?;
        let (runtime, _) = play(&setup, DEFINITION, &day(), |runtime, _| {
            if swept {
                runtime.maintain()?;
            } else {
                runtime.checkpoint()?;
            }
            Ok(runtime)
        })?;
        Ok(runtime.state_entries()?)
    };
    let (kept, swept) = (entries(false)?, entries(true)?);
    assert!(kept > 150 && swept < 40, "{kept} entries without sweeping, {swept} with");
    Ok(())
}

#[test]
fn a_view_that_looks_back_further_than_events_are_kept_is_refused() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.open(ClockMode::Wall)?;
    let check = |from: &str, to: &str, expect: &str| -> anyhow::Result<()> {
        assert!(DEFINITION.contains(from));
        let definition = setup.definition(&DEFINITION.replace(from, to))?;
        let refused = runtime.apply(&definition, &LockFile::default(), setup.dir.path()).expect_err("it is refused");
        let refused = refused.to_string();
        assert!(refused.contains(expect) && refused.ends_with("source `clicks` keeps its events for 3h"), "{refused}");
        Ok(())
    };
    check("\"1h\", \"2h\"", "\"1h\", \"3h\"", "a window of 3h with hops of 5m looks back further")?;
    check("\"1h\", \"2h\"", "\"1h\", \"lifetime\"", "a lifetime window goes back for ever")?;
    check("\"1h\", \"2h\"", "\"last_3\"", "a last_3 window goes back for ever")?;
    check("\"1h\", \"2h\"", "\"1h\", \"session_30m\"", "a session_30m window goes back for ever")?;
    check("ttl = \"2h\"", "", "`latest` without a `ttl` goes back for ever")?;
    check("ttl = \"2h\"", "ttl = \"4h\"", "the `ttl` of 4h goes further back")
}

#[test]
fn events_stay_for_as_long_as_a_served_view_needs_them() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let for_ever = DEFINITION
        .replace("retention = \"3h\"\n", "")
        .replace("windows = [\"1h\", \"2h\"]", "windows = [\"lifetime\"]");
    let shorter =
        DEFINITION.replace("view.", "view.new_").replace("spend:*", "new_spend:*").replace("seen:*", "new_seen:*");
    let shorter = shorter.replace("service.model", "service.other");
    let mut counts = Vec::new();
    let (runtime, answers) = play(&setup, &for_ever, &day(), |runtime, at| {
        if at == 100 {
            runtime.apply(&setup.definition(&shorter)?, &LockFile::default(), setup.dir.path())?;
        }
        runtime.close()?;
        Ok(runtime)
    })?;
    counts.extend(answers.last().map(|answer| answer.rows.clone()));
    drop(runtime);
    std::fs::remove_dir_all(setup.path("data/state"))?;
    let runtime = setup.open(ClockMode::Simulated)?;
    counts.push(look(&runtime, 1_431)?.rows);
    assert_eq!(counts[0], counts[1]);
    // Once nothing that is served needs them, they go.
    let gone = for_ever.replace("[\"lifetime\"]", "[\"1h\"]").replace("max_future", "retention = \"3h\"\nmax_future");
    runtime.apply(&setup.definition(&gone)?, &LockFile::default(), setup.dir.path())?;
    ingest(&runtime, &click("ann", 1_440))?;
    look(&runtime, 1_441)?;
    runtime.close()?;
    let segments = runtime.log_report().sources["clicks"].len();
    assert!((18..25).contains(&segments), "{segments}");
    Ok(())
}

#[test]
fn a_lookup_of_the_past_that_needs_removed_events_is_refused() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    for minute in [600, 601] {
        let click = click("ann", minute).to_string();
        let report = runtime.ingest("clicks", Events::JsonLines(click.as_bytes()), Arrival::History)?;
        assert_eq!((report.accepted, report.past_retention), (1, 1));
        runtime.close()?;
    }
    drop(runtime);
    let refused = look(&setup.open(ClockMode::Simulated)?, 605).expect_err("the events are gone").to_string();
    assert!(refused.starts_with("1 of 1 lookups need events of `clicks` that retention removed"), "{refused}");
    Ok(())
}
