//! The promise itself: what was served is what a replay gives, bit for bit, and both are what the definition says.

use std::collections::BTreeMap;

use anyhow::Context;
use oast_runtime::{
    Arrival, Batch, ClockMode, Column, Columns, DataType, Events, Field, Format, LookupRequest, LookupResponse,
    ReceiptRecord, ReplayOptions, Resources, Runtime, Schema, TableReader, TableWriter, Values,
};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::{
    support::{Setup, object},
    windows,
};

const DEFINITION: &str = r#"
[source.clicks]
keys = { user = "utf8" }
event_time = "at"
available_time = "known"
fields = { amount = "float64?", page = "utf8?" }
max_future = "30d"

[view.spend]
source = "clicks"
entity = ["user"]
transform = [{ plugin = "fill", params = { amount = 0.1 } }]

[[view.spend.aggregate]]
plugin = "moments"
input = ["amount"]
windows = ["10m", "3h", "2d", "lifetime", "last_1", "last_4", "session_30m", "session_150m"]

[[view.spend.aggregate]]
plugin = "last"
input = ["page"]
windows = ["3h"]

[[view.spend.aggregate]]
plugin = "last-n"
params = { n = 3 }
input = ["page"]
windows = ["2d", "last_4", "session_150m"]

[[view.spend.aggregate]]
plugin = "distinct"
input = ["page"]
windows = ["2d"]

[view.seen]
source = "clicks"
entity = ["user"]
latest = ["amount", "page"]
ttl = "1h"

[service.model]
features = ["spend:*", "seen:*"]
request = { bid = "float64?" }

[[service.model.derive]]
plugin = "ratio"
input = ["bid", "spend:amount_mean_3h"]
output = ["bid_to_mean"]
"#;

const MINUTE: i64 = 60_000_000;
const USERS: [&str; 3] = ["ann", "bob", "cy\0d"];

#[derive(Debug, Clone)]
pub(crate) struct Click {
    user: usize,
    pub(crate) at: i64,
    known: i64,
    amount: Option<f64>,
    page: Option<u8>,
}

impl Click {
    pub(crate) fn visible(&self) -> i64 {
        self.at.max(self.known)
    }

    /// What the transform makes of it.
    pub(crate) fn filled(&self) -> f64 {
        self.amount.unwrap_or(0.1)
    }

    pub(crate) fn page(&self) -> Option<String> {
        self.page.map(|page| format!("p{page}"))
    }
}

/// Something that happens to the daemon, in order of time.
#[derive(Debug, Clone)]
enum Happening {
    Click(Click),
    Lookup { user: usize, at: i64 },
    Restart,
}

fn happening() -> impl Strategy<Value = Happening> {
    let time = 0_i64..6 * 60;
    let click =
        (0..USERS.len(), time.clone(), -200_i64..90, proptest::option::of(-3.0..9.0), proptest::option::of(0_u8..5));
    let click = click.prop_map(|(user, minute, lag, amount, page)| {
        let known = minute * 10 * MINUTE;
        Happening::Click(Click { user, at: known + lag * MINUTE, known, amount, page })
    });
    let lookup = (0..USERS.len(), time).prop_map(|(user, minute)| Happening::Lookup { user, at: minute * 10 * MINUTE });
    prop_oneof![12 => click, 6 => lookup, 1 => Just(Happening::Restart)]
}

fn moment(happening: &Happening) -> Option<i64> {
    match happening {
        Happening::Click(click) => Some(click.known),
        Happening::Lookup { at, .. } => Some(*at),
        Happening::Restart => None,
    }
}

/// A story told in order of time; restarts stay where they are.
fn in_order(mut story: Vec<Happening>) -> Vec<Happening> {
    let mut times: Vec<Happening> = story.iter().filter(|each| moment(each).is_some()).cloned().collect();
    times.sort_by_key(moment);
    let mut times = times.into_iter();
    for each in story.iter_mut().filter(|each| moment(each).is_some()) {
        *each = times.next().expect("as many as there were");
    }
    story
}

fn click_json(click: &Click) -> Json {
    let (user, page) = (USERS[click.user], click.page());
    json!({"user": user, "at": click.at, "known": click.known, "amount": click.amount, "page": page})
}

struct Served {
    user: usize,
    at: i64,
    values: Vec<Json>,
    response: LookupResponse,
}

/// Plays a story to a runtime, reopening it at each restart, and returns what it served.
fn serve(setup: &Setup, story: &[Happening]) -> anyhow::Result<(Runtime, Vec<Served>)> {
    let mut runtime = setup.publish(ClockMode::Simulated, DEFINITION)?;
    let mut served = Vec::new();
    for happening in story {
        match happening {
            Happening::Click(click) => {
                let report = runtime.ingest(
                    "clicks",
                    Events::JsonLines(click_json(click).to_string().as_bytes()),
                    Arrival::Live,
                )?;
                anyhow::ensure!(report.accepted == 1, "{report:?}");
            }
            Happening::Lookup { user, at } => {
                let request = LookupRequest {
                    service: "model".to_owned(),
                    entities: vec![object(json!({"user": USERS[*user]}))],
                    request: vec![object(json!({"bid": *at as f64 / 7.0}))],
                    at: Some(json!(at)),
                    receipt: true,
                };
                let response = runtime.lookup(&request)?;
                let values = response.rows[0].values.clone();
                served.push(Served { user: *user, at: *at, values, response });
            }
            Happening::Restart => {
                runtime.checkpoint()?;
                drop(runtime);
                runtime = setup.open(ClockMode::Simulated)?;
            }
        }
    }
    Ok((runtime, served))
}

fn write_spine(setup: &Setup, served: &[Served]) -> anyhow::Result<()> {
    let schema = Schema::new(vec![
        Field::new("event_timestamp", DataType::Timestamp),
        Field::new("user", DataType::Utf8),
        Field::new("bid", DataType::Float64),
    ])?;
    let column = |values| Column { values, validity: None };
    let columns = vec![
        column(Values::Timestamp(served.iter().map(|each| each.at).collect())),
        column(Values::Utf8(served.iter().map(|each| USERS[each.user]).collect())),
        column(Values::Float64(served.iter().map(|each| each.at as f64 / 7.0).collect())),
    ];
    let mut writer = TableWriter::create(&setup.path("spine.parquet"), Format::Parquet, &schema)?;
    writer.write(&Batch { rows: served.len(), columns })?;
    writer.finish()?;
    Ok(())
}

/// Replays and returns one map of feature to value a spine row.
fn replay(
    runtime: &Runtime,
    setup: &Setup,
    events: Option<&str>,
    threads: usize,
) -> anyhow::Result<(String, Vec<BTreeMap<String, Json>>)> {
    let options = ReplayOptions {
        service: "model".to_owned(),
        spine: setup.path("spine.parquet"),
        out: setup.path("training.parquet"),
        events: events.map(|file| ("clicks".to_owned(), setup.path(file))).into_iter().collect(),
        resources: Resources { threads, ..Resources::default() },
        ..ReplayOptions::default()
    };
    let manifest = runtime.replay(&options, &())?;
    Ok((manifest.dataset.hash.to_string(), dataset(&options.out)?))
}

/// The rows of a dataset, each a map of column to value.
pub(crate) fn dataset(path: &std::path::Path) -> anyhow::Result<Vec<BTreeMap<String, Json>>> {
    let mut rows = Vec::new();
    let reader = TableReader::open(path, None, Columns::AsFound)?;
    let schema = reader.schema().clone();
    for batch in reader {
        let batch = batch?;
        for row in 0..batch.rows {
            let value = |(field, column): (&Field, &Column)| {
                (field.name.clone(), oast_runtime::value_json(column.get(row).as_ref()))
            };
            rows.push(schema.fields().iter().zip(&batch.columns).map(value).collect());
        }
    }
    Ok(rows)
}

/// The clicks that a lookup sees, in the order in which they were logged.
fn seen<'s>(story: &'s [Happening], served: &Served) -> Vec<&'s Click> {
    let clicks = story.iter().filter_map(|each| if let Happening::Click(click) = each { Some(click) } else { None });
    clicks.filter(|click| click.user == served.user && click.visible() < served.at).collect()
}

fn check_against_first_principles(story: &[Happening], served: &Served, row: &BTreeMap<String, Json>) {
    let seen = seen(story, served);
    windows::check_against_first_principles(&seen, served.at, row);
    for (window, length, hop) in [("10m", 10, 5), ("3h", 180, 5), ("2d", 2880, 60)] {
        let start = (served.at - length * MINUTE).div_euclid(hop * MINUTE) * hop * MINUTE;
        let amounts: Vec<f64> = seen.iter().filter(|click| click.at >= start).map(|click| click.filled()).collect();
        let feature = |output: &str| &row[&format!("spend__amount_{output}_{window}")];
        assert_eq!(feature("count").as_u64(), Some(amounts.len() as u64), "count over {window} at {}", served.at);
        assert_eq!(feature("max").as_f64(), amounts.iter().copied().reduce(f64::max), "max over {window}");
        assert_eq!(feature("min").as_f64(), amounts.iter().copied().reduce(f64::min), "min over {window}");
    }
}

fn check(story: Vec<Happening>) -> anyhow::Result<()> {
    let story = in_order(story);
    let setup = Setup::new()?;
    let (runtime, served) = serve(&setup, &story)?;
    let clicks = story.iter().filter_map(|each| if let Happening::Click(click) = each { Some(click) } else { None });
    let lines: Vec<String> = clicks.map(|click| click_json(click).to_string()).collect();
    std::fs::write(setup.path("clicks.jsonl"), lines.join("\n"))?;
    write_spine(&setup, &served)?;
    let (from_log, rows) = replay(&runtime, &setup, None, 2)?;
    let (from_file, _) = replay(&runtime, &setup, Some("clicks.jsonl"), 1)?;
    assert_eq!(from_log, from_file, "log and snapshot");
    prove(&runtime, served.iter().map(|each| &each.response))?;
    let features = service_features(&runtime)?;
    for (served, row) in served.iter().zip(&rows) {
        let replayed: Vec<Json> = features.iter().map(|feature| row[feature].clone()).collect();
        assert_eq!(served.values, replayed, "served and replayed at {}", served.at);
        check_against_first_principles(&story, served, row);
    }
    Ok(())
}

/// Derives answers from the log again, by their receipts.
fn prove<'r>(runtime: &Runtime, answers: impl Iterator<Item = &'r LookupResponse>) -> anyhow::Result<()> {
    let records: Vec<ReceiptRecord> = answers.map(record).collect::<anyhow::Result<_>>()?;
    let verification = runtime.verify_receipts(&records, &())?;
    assert!(verification.all_proved(), "{verification:#?}");
    assert_eq!(verification.proved, records.len() as u64);
    Ok(())
}

fn record(answer: &LookupResponse) -> anyhow::Result<ReceiptRecord> {
    ReceiptRecord::of("served", answer.clone()).context("the receipt that was asked for")
}

fn service_features(runtime: &Runtime) -> anyhow::Result<Vec<String>> {
    let request = LookupRequest {
        service: "model".to_owned(),
        entities: vec![object(json!({"user": "nobody"}))],
        request: vec![serde_json::Map::new()],
        ..LookupRequest::default()
    };
    Ok(runtime.lookup(&request)?.features)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_was_served_is_what_a_replay_gives(story in proptest::collection::vec(happening(), 1..80)) {
        check(story).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
    }
}

/// Stories in which pauses are about as long as the gaps of the sessions, and events come so late that they join sessions.
fn busy() -> impl Strategy<Value = Happening> {
    let time = 0_i64..24 * 6;
    let click = (time.clone(), -30_i64..6, proptest::option::of(-3.0..9.0), proptest::option::of(0_u8..5));
    let click = click.prop_map(|(step, lag, amount, page)| {
        let known = step * 10 * MINUTE;
        Happening::Click(Click { user: 0, at: known + lag * 10 * MINUTE, known, amount, page })
    });
    let lookup = time.prop_map(|step| Happening::Lookup { user: 0, at: step * 10 * MINUTE });
    prop_oneof![12 => click, 12 => lookup, 2 => Just(Happening::Restart)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn sessions_that_late_events_join_are_what_a_replay_gives(story in proptest::collection::vec(busy(), 1..60)) {
        check(story).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
    }
}

#[test]
fn online_state_is_rebuilt_when_it_is_deleted() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let click = |minute: i64| Click {
        user: 0,
        at: minute * MINUTE,
        known: minute * MINUTE,
        amount: Some(minute as f64),
        page: None,
    };
    let story: Vec<Happening> = (0..50).map(|minute| Happening::Click(click(minute))).collect();
    let look = [Happening::Lookup { user: 0, at: 60 * MINUTE }];
    let (runtime, before) = serve(&setup, &[&story[..], &look].concat())?;
    runtime.checkpoint()?;
    drop(runtime);
    std::fs::remove_dir_all(setup.path("data/state"))?;
    let (_, after) = serve(&setup, &look)?;
    assert_eq!(before[0].values, after[0].values);
    assert!(before[0].values.contains(&json!(49.0)), "the newest amount is served: {:?}", before[0].values);
    Ok(())
}

const LIVE: &str = r#"
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
windows = ["lifetime"]

[service.model]
features = ["spend:*"]
"#;

/// One thread sends events while two look up by the machine's clock; each answer must be what a replay gives for its time.
#[test]
fn what_is_served_while_events_come_is_what_a_replay_gives() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, LIVE)?;
    let look = |receipt: bool| -> anyhow::Result<LookupResponse> {
        let entities = vec![object(json!({"user": "ann"}))];
        let request = LookupRequest { service: "model".to_owned(), entities, receipt, ..LookupRequest::default() };
        // Without a receipt to be kept, most can be answered at once.
        match runtime.answer_lookup_at_once(&request)? {
            Some(answer) => Ok(answer.response()),
            None => Ok(runtime.lookup(&request)?),
        }
    };
    let served = std::thread::scope(|scope| -> anyhow::Result<Vec<LookupResponse>> {
        let lookups =
            |receipt: bool| scope.spawn(move || (0..300).map(|_| look(receipt)).collect::<anyhow::Result<Vec<_>>>());
        let (one, two) = (lookups(true), lookups(false));
        for amount in 0..150 {
            let event = json!({"user": "ann", "at": "2020-01-01", "amount": f64::from(amount)}).to_string();
            runtime.ingest("clicks", Events::JsonLines(event.as_bytes()), Arrival::Live)?;
        }
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("no lookup panics");
        let (one, two): (anyhow::Result<Vec<_>>, anyhow::Result<Vec<_>>) = (join(one), join(two));
        Ok([one?, two?].concat())
    })?;
    prove(&runtime, served.iter().filter(|each| each.receipt.is_some()))?;
    let lines: Vec<String> =
        served.iter().map(|each| json!({"event_timestamp": each.time, "user": "ann"}).to_string()).collect();
    std::fs::write(setup.path("spine.jsonl"), lines.join("\n"))?;
    let options = ReplayOptions {
        service: "model".to_owned(),
        spine: setup.path("spine.jsonl"),
        out: setup.path("training.parquet"),
        ..ReplayOptions::default()
    };
    runtime.replay(&options, &())?;
    let rows = dataset(&options.out)?;
    for (LookupResponse { time, rows, .. }, row) in served.iter().zip(&rows) {
        let values = &rows[0].values;
        assert_eq!(values[0], row["spend__amount_count_lifetime"], "at {time}");
        assert_eq!(values[1], row["spend__amount_sum_lifetime"], "at {time}");
    }
    Ok(())
}

#[test]
fn an_unknown_entity_may_be_asked_for_twice() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, LIVE)?;
    let entities = vec![object(json!({"user": "nobody"})), object(json!({"user": "nobody"}))];
    let request = LookupRequest { service: "model".to_owned(), entities, ..LookupRequest::default() };
    let rows = runtime.lookup(&request)?.rows;
    assert_eq!(rows[0], rows[1]);
    assert_eq!(rows[0].values[0], json!(0));
    Ok(())
}

/// A producer that says its event became known before a lookup did not see it cannot change what that lookup saw.
#[test]
fn late_news_does_not_change_what_was_served() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(
        ClockMode::Wall,
        &LIVE.replace("event_time = \"at\"", "event_time = \"at\"\navailable_time = \"known\""),
    )?;
    let request = LookupRequest {
        service: "model".to_owned(),
        entities: vec![object(json!({"user": "ann"}))],
        ..LookupRequest::default()
    };
    let before = runtime.lookup(&request)?;
    let event = json!({"user": "ann", "at": "2020-01-01", "known": "2020-01-01", "amount": 1.0}).to_string();
    runtime.ingest("clicks", Events::JsonLines(event.as_bytes()), Arrival::Live)?;
    assert_eq!(runtime.lookup(&request)?.rows[0].values[0], json!(1), "a later lookup sees it");
    let spine = json!({"event_timestamp": before.time, "user": "ann"}).to_string();
    std::fs::write(setup.path("spine.jsonl"), spine)?;
    let options = ReplayOptions {
        service: "model".to_owned(),
        spine: setup.path("spine.jsonl"),
        out: setup.path("training.parquet"),
        ..ReplayOptions::default()
    };
    runtime.replay(&options, &())?;
    assert_eq!(dataset(&options.out)?[0]["spend__amount_count_lifetime"], before.rows[0].values[0]);
    Ok(())
}

/// A lookup by the machine's clock folds all there is; one at an earlier time must not see what it folded.
#[test]
fn a_lookup_at_an_earlier_time_than_the_state_sees_no_future() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let click =
        |minute: i64| Click { user: 0, at: minute * MINUTE, known: minute * MINUTE, amount: Some(1.0), page: None };
    let story: Vec<Happening> = (0..50).map(|minute| Happening::Click(click(minute))).collect();
    let (runtime, _) = serve(&setup, &story)?;
    drop(runtime);
    let now = setup.open(ClockMode::Wall)?;
    service_features(&now)?;
    now.checkpoint()?;
    drop(now);
    let (_, served) = serve(&setup, &[Happening::Lookup { user: 0, at: 9 * MINUTE }])?;
    assert_eq!(served[0].values[0], json!(9), "the clicks of the first nine minutes: {:?}", served[0].values);
    Ok(())
}
