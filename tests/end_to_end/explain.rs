//! Where a value comes from.

use oast_runtime::{Arrival, ClockMode, Events, LookupRequest};
use serde_json::json;

use crate::support::{Setup, object};

const DEFINITION: &str = r#"
[source.clicks]
keys = { user = "utf8" }
event_time = "at"
available_time = "at"
fields = { amount = "float64?" }

[view.spend]
source = "clicks"
entity = ["user"]
transform = [{ plugin = "fill", params = { amount = 0.5 } }]

[[view.spend.aggregate]]
plugin = "moments"
input = ["amount"]
outputs = ["count", "mean"]
windows = ["1h", "lifetime"]

[view.seen]
source = "clicks"
entity = ["user"]
latest = ["amount"]

[service.model]
features = ["spend:*", "seen:*"]
request = { bid = "float64" }

[[service.model.derive]]
plugin = "ratio"
input = ["bid", "spend:amount_mean_lifetime"]
output = ["bid_to_mean"]
"#;

#[test]
fn each_value_is_traced_to_component_window_and_events() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Simulated, DEFINITION)?;
    for (user, minute) in [("ann", 1), ("bob", 2), ("ann", 10), ("ann", 90), ("ann", 100), ("ann", 300)] {
        let click = json!({"user": user, "at": minute * 60_000_000_i64, "amount": minute}).to_string();
        runtime.ingest("clicks", Events::JsonLines(click.as_bytes()), Arrival::Live)?;
    }
    let request = LookupRequest {
        service: "model".to_owned(),
        entities: vec![object(json!({"user": "ann"})), object(json!({"user": 7}))],
        request: vec![object(json!({"bid": 201.0})), object(json!({"bid": 1.0}))],
        at: Some(json!(101 * 60_000_000_i64)),
        ..LookupRequest::default()
    };
    let explanation = runtime.explain(&request)?;
    assert!(explanation.rows[1].is_empty(), "the second entity is rejected");
    let row = &explanation.rows[0];
    let values: Vec<_> = row.iter().map(|value| value.value.clone()).collect();
    assert_eq!(values, explanation.response.rows[0].values);
    let find = |feature: &str| row.iter().find(|value| value.feature == feature).expect("the feature");
    let events = |feature: &str| find(feature).events.as_ref().map(|events| events.offsets.clone());

    let hour = find("spend__amount_mean_1h");
    let window = hour.window.as_ref().expect("a window");
    assert_eq!(window.from.as_deref(), Some("1970-01-01T00:40:00Z"), "41 minutes are floored to the hop");
    let blocks: Vec<_> = window.blocks.iter().map(|block| (block.from.as_deref(), block.events)).collect();
    assert_eq!(blocks, [(Some("1970-01-01T01:20:00Z"), 1), (Some("1970-01-01T01:40:00Z"), 1)]);
    assert_eq!(hour.plugin.as_ref().map(|plugin| plugin.plugin.as_str()), Some("moments"));
    assert_eq!(hour.transforms[0].params, "{\"amount\":0.5}");
    assert!(hour.fuel.is_some_and(|fuel| fuel.0 > 0), "{hour:?}");
    assert_eq!(events("spend__amount_mean_1h"), Some(vec![3, 4]));
    assert_eq!(events("spend__amount_mean_lifetime"), Some(vec![0, 2, 3, 4]), "the event of minute 300 is not visible");
    assert_eq!(events("seen__amount"), Some(vec![4]));
    let derived = find("bid_to_mean");
    assert_eq!((derived.value.as_f64(), events("bid_to_mean")), (Some(4.0), None));
    assert!(derived.view.is_none() && derived.fuel.is_some_and(|fuel| fuel.0 > 0), "{derived:?}");
    Ok(())
}
