//! Windows of the last events and of sessions: what they mean, from first principles, and the whole way with them.

use std::collections::BTreeMap;

use anyhow::Context;
use oast_moments::Moments;
use oast_runtime::{
    Arrival, ClockMode, Events, ExplainedValue, LookupRequest, LookupResponse, ReceiptRecord, ReplayOptions,
    manifest_path,
};
use oast_sdk::Aggregate;
use serde_json::{Value as Json, json};

use crate::{
    skew::Click,
    support::{Setup, object},
};

const MINUTE: i64 = 60_000_000;

/// Some clicks as they are folded and merged: what the definition of a window says, by the plugin's own Rust.
#[derive(Clone, Default)]
struct Stretch<'c> {
    clicks: Vec<&'c Click>,
    state: Moments,
}

impl<'c> Stretch<'c> {
    fn update(&mut self, click: &'c Click) {
        self.clicks.push(click);
        self.state.update(oast_moments::Input { value: Some(click.filled()) }, &());
    }

    fn merge(&mut self, later: Self) {
        self.clicks.extend(later.clicks);
        self.state.merge(later.state, &());
    }

    fn spans(&self, click: &Click, gap: i64) -> bool {
        let times = || self.clicks.iter().map(|click| click.at);
        times().min().is_some_and(|first| first - gap <= click.at)
            && times().max().is_some_and(|last| click.at <= last + gap)
    }
}

/// The last clicks by event time and then by offset, each a state of its own, merged from left to right.
fn last<'c>(seen: &[&'c Click], events: usize) -> Stretch<'c> {
    let mut sorted = seen.to_vec();
    sorted.sort_by_key(|click| click.at);
    let mut window = Stretch::default();
    for click in &sorted[sorted.len().saturating_sub(events)..] {
        let mut alone = Stretch::default();
        alone.update(click);
        window.merge(alone);
    }
    window
}

/// The session of the newest click, if it goes on: clicks in the order in which they became visible.
fn session<'c>(seen: &[&'c Click], gap: i64, time: i64) -> Stretch<'c> {
    let mut sorted = seen.to_vec();
    sorted.sort_by_key(|click| click.visible());
    let mut sessions: Vec<Stretch<'c>> = Vec::new();
    for click in sorted {
        let (mut touched, apart): (Vec<_>, Vec<_>) =
            sessions.into_iter().partition(|session| session.spans(click, gap));
        touched.sort_by_key(|session| session.clicks.iter().map(|click| click.at).min());
        let joined = touched.into_iter().reduce(|mut earlier, later| {
            earlier.merge(later);
            earlier
        });
        let mut session = joined.unwrap_or_default();
        session.update(click);
        sessions = apart;
        sessions.push(session);
    }
    let goes_on = |session: &Stretch<'_>| session.clicks.iter().any(|click| click.at >= time - gap);
    let newest = sessions.into_iter().max_by_key(|session| session.clicks.iter().map(|click| click.at).max());
    newest.filter(goes_on).unwrap_or_default()
}

/// Compares a row of features with what the definition says, bit for bit.
pub(crate) fn check_against_first_principles(seen: &[&Click], time: i64, row: &BTreeMap<String, Json>) {
    let windows = [
        ("last_1", last(seen, 1)),
        ("last_4", last(seen, 4)),
        ("session_30m", session(seen, 30 * MINUTE, time)),
        ("session_150m", session(seen, 150 * MINUTE, time)),
    ];
    for (window, stretch) in windows {
        let expect = stretch.state.finish(&());
        let feature = |output: &str| &row[&format!("spend__amount_{output}_{window}")];
        assert_eq!(feature("count").as_i64(), Some(expect.count), "count over {window} at {time}");
        let outputs = [("sum", expect.sum), ("mean", expect.mean), ("stddev", expect.stddev), ("skew", expect.skew)];
        for (output, expect) in outputs {
            assert_eq!(feature(output).as_f64(), expect, "{output} over {window} at {time}");
        }
        if matches!(window, "last_4" | "session_150m") {
            let mut clicks = stretch.clicks;
            clicks.sort_by_key(|click| click.at);
            let mut pages = clicks.iter().rev().filter_map(|click| click.page());
            for place in 1..=3 {
                let feature = &row[&format!("spend__page_last_{place}_{window}")];
                assert_eq!(*feature, json!(pages.next()), "page {place} from the end over {window} at {time}");
            }
        }
    }
}

const DEFINITION: &str = r#"
[source.clicks]
keys = { user = "utf8", shop = "int64" }
event_time = "at"
available_time = "known"
fields = { amount = "float64" }

[view.habit]
source = "clicks"
entity = ["user", "shop"]

[[view.habit.aggregate]]
plugin = "moments"
input = ["amount"]
outputs = ["count", "sum"]
windows = ["last_3", "session_30m", "1h", "lifetime", "last_2"]

[[view.habit.aggregate]]
plugin = "first"
input = ["amount"]
name = "opening"
windows = ["session_30m"]

[service.model]
features = ["habit:*"]
"#;

/// Users, shops, minutes at which something happened, and at which it became known.
const CLICKS: [(&str, i64, i64, i64); 9] = [
    ("ann", 1, 0, 0),
    ("ann", 1, 50, 50),
    ("ann", 2, 51, 51),
    ("ann", 1, 100, 100),
    ("bob", 1, 101, 101),
    // Late, half an hour from its neighbours at most: it joins the session of minute 50 to that of minute 100.
    ("ann", 1, 75, 110),
    // Late, too, but more than half an hour after minute 0.
    ("ann", 1, 31, 111),
    ("ann", 1, 112, 112),
    ("ann", 1, 112, 113),
];

fn request(user: &str, shop: i64, minute: i64) -> LookupRequest {
    LookupRequest {
        service: "model".to_owned(),
        entities: vec![object(json!({"user": user, "shop": shop}))],
        at: Some(json!(minute * MINUTE)),
        receipt: true,
        ..LookupRequest::default()
    }
}

/// How many clicks there are in a window, and the sum of their amounts.
type CountAndSum = (i64, Option<f64>);

/// What `ann` did in shop 1 until a minute, over `last_3`, `session_30m` and `last_2`; amounts are 1, 2, 4 and so on, so that a sum says which.
const EXPECT: [(i64, [CountAndSum; 3]); 7] = [
    (0, [(0, None), (0, None), (0, None)]),
    (30, [(1, Some(1.0)), (1, Some(1.0)), (1, Some(1.0))]),
    (31, [(1, Some(1.0)), (0, None), (1, Some(1.0))]),
    (60, [(2, Some(3.0)), (1, Some(2.0)), (2, Some(3.0))]),
    (110, [(3, Some(11.0)), (1, Some(8.0)), (2, Some(10.0))]),
    (112, [(3, Some(42.0)), (4, Some(106.0)), (2, Some(40.0))]),
    (114, [(3, Some(392.0)), (6, Some(490.0)), (2, Some(384.0))]),
];

#[test]
fn last_events_and_sessions_from_apply_to_verify() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let mut runtime = setup.publish(ClockMode::Simulated, DEFINITION)?;
    let (mut clicks, mut served) = (CLICKS.iter().enumerate().peekable(), Vec::new());
    for (minute, expect) in EXPECT {
        while let Some((at, (user, shop, minute, known))) = clicks.next_if(|(_, click)| click.3 < minute) {
            let amount = f64::from(1 << at);
            let click =
                json!({"user": user, "shop": shop, "at": minute * MINUTE, "known": known * MINUTE, "amount": amount});
            runtime.ingest("clicks", Events::JsonLines(click.to_string().as_bytes()), Arrival::Live)?;
        }
        let answer = runtime.lookup(&request("ann", 1, minute))?;
        let values: BTreeMap<_, _> = answer.features.iter().zip(&answer.rows[0].values).collect();
        for (window, (count, sum)) in ["last_3", "session_30m", "last_2"].into_iter().zip(expect) {
            let of = |output: &str| values[&format!("habit__amount_{output}_{window}")];
            assert_eq!((of("count"), of("sum")), (&json!(count), &json!(sum)), "{window} at minute {minute}");
        }
        served.push(answer);
        runtime.checkpoint()?;
        drop(runtime);
        runtime = setup.open(ClockMode::Simulated)?;
    }
    let receipt = |answer: &LookupResponse| ReceiptRecord::of("served", answer.clone()).context("a receipt");
    let records: Vec<ReceiptRecord> = served.iter().map(receipt).collect::<anyhow::Result<_>>()?;
    let proof = runtime.verify_receipts(&records, &())?;
    assert!(proof.all_proved() && proof.proved == EXPECT.len() as u64, "{proof:#?}");

    let spine: Vec<String> = EXPECT
        .iter()
        .map(|(minute, _)| json!({"event_timestamp": minute * MINUTE, "user": "ann", "shop": 1}).to_string())
        .collect();
    std::fs::write(setup.path("spine.jsonl"), spine.join("\n"))?;
    let out = setup.path("training.parquet");
    let options = ReplayOptions {
        service: "model".to_owned(),
        spine: setup.path("spine.jsonl"),
        out: out.clone(),
        ..ReplayOptions::default()
    };
    runtime.replay(&options, &())?;
    let rows = crate::skew::dataset(&out)?;
    for (answer, row) in served.iter().zip(&rows) {
        let replayed: Vec<Json> = answer.features.iter().map(|feature| row[feature].clone()).collect();
        assert_eq!(answer.rows[0].values, replayed, "at {}", answer.time);
    }
    assert!(runtime.verify(&manifest_path(&out), &())?.proved());
    Ok(())
}

#[test]
fn last_events_and_sessions_are_explained() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Simulated, DEFINITION)?;
    for (at, (user, shop, minute, known)) in CLICKS.iter().enumerate() {
        let click = json!({"user": user, "shop": shop, "at": minute * MINUTE, "known": known * MINUTE, "amount": at});
        runtime.ingest("clicks", Events::JsonLines(click.to_string().as_bytes()), Arrival::Live)?;
    }
    let explain = |minute: i64| -> anyhow::Result<Vec<ExplainedValue>> {
        Ok(runtime.explain(&request("ann", 1, minute))?.rows.swap_remove(0))
    };
    let check = |row: &[ExplainedValue], feature: &str, from: &str, blocks: &[u64], offsets: &[u64]| {
        let value = row.iter().find(|value| value.feature == feature).expect("the feature");
        let window = value.window.as_ref().expect("a window");
        assert_eq!(window.from.as_deref().unwrap_or(""), from, "{feature}");
        assert_eq!(window.blocks.iter().map(|block| block.events).collect::<Vec<_>>(), blocks, "{feature}");
        assert!(window.blocks.iter().all(|block| block.tiles == 0 && block.state_bytes > 0), "{window:?}");
        assert_eq!(value.events.as_ref().map(|events| events.offsets.as_slice()), Some(offsets), "{feature}");
        assert!(value.fuel.is_some_and(|fuel| fuel.0 > 0) && value.failure.is_none(), "{value:?}");
    };
    let row = explain(114)?;
    check(&row, "habit__amount_sum_last_3", "1970-01-01T01:40:00Z", &[1, 1, 1], &[3, 7, 8]);
    check(&row, "habit__amount_sum_last_2", "1970-01-01T01:52:00Z", &[1, 1], &[7, 8]);
    check(&row, "habit__amount_sum_session_30m", "1970-01-01T00:31:00Z", &[6], &[1, 3, 5, 6, 7, 8]);
    check(&row, "habit__opening_first_session_30m", "1970-01-01T00:31:00Z", &[6], &[1, 3, 5, 6, 7, 8]);
    let row = explain(143)?;
    check(&row, "habit__amount_count_session_30m", "1970-01-01T02:23:00Z", &[], &[]);
    Ok(())
}

const LONGEST: &str = r#"
[source.clicks]
keys = { user = "utf8" }
event_time = "at"
available_time = "at"
fields = { amount = "float64" }

[view.habit]
source = "clicks"
entity = ["user"]

[[view.habit.aggregate]]
plugin = "moments"
input = ["amount"]
windows = ["last_1000"]

[[view.habit.aggregate]]
plugin = "quantiles"
params = { percentiles = [0, 50, 100] }
input = ["amount"]
name = "spread"
windows = ["last_1000"]

[[view.habit.aggregate]]
plugin = "distinct"
input = ["amount"]
name = "amounts"
windows = ["last_1000"]

[service.model]
features = ["habit:*"]
"#;

/// Fuel for one row suffices for merging as many states as a window of the last events may have.
#[test]
fn the_longest_window_of_last_events_is_merged() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Simulated, LONGEST)?;
    let click = |at: i64| json!({"user": "ann", "at": at * MINUTE, "amount": at}).to_string();
    let clicks: Vec<String> = (0..1_010).map(click).collect();
    runtime.ingest("clicks", Events::JsonLines(clicks.join("\n").as_bytes()), Arrival::Live)?;
    let mut request = request("ann", 1, 2_000);
    request.entities[0].remove("shop");
    let answer = runtime.lookup(&request)?;
    let value = |feature: &str| {
        let at = answer.features.iter().position(|each| each == feature).expect("the feature");
        (answer.rows[0].values[at].as_f64(), answer.rows[0].status[at].name())
    };
    assert_eq!(value("habit__amount_count_last_1000"), (Some(1_000.0), "present"));
    assert_eq!(value("habit__amount_min_last_1000"), (Some(10.0), "present"));
    assert_eq!(value("habit__spread_p0_last_1000"), (Some(10.0), "present"));
    assert_eq!(value("habit__spread_p100_last_1000"), (Some(1_009.0), "present"));
    assert!(answer.rows[0].status.iter().all(|status| status.name() == "present"), "{:?}", answer.rows[0]);
    Ok(())
}
