//! The page of metrics, read as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::{
    daemon::{Daemon, JSON, applied},
    protocol::lookup,
};

/// A page in the text format: the type of each family, and the value of each sample by its name and labels.
struct Page {
    families: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

/// What a family of each type adds to its name in samples.
const SUFFIXES: [(&str, &[&str]); 3] =
    [("counter", &["_total"]), ("gauge", &[""]), ("histogram", &["_bucket", "_sum", "_count"])];

impl Page {
    fn of(daemon: &Daemon) -> Self {
        let text = daemon.text("/metrics");
        let lines = text.strip_suffix("# EOF\n").expect("the page has an end").lines();
        let mut page = Self { families: BTreeMap::new(), samples: BTreeMap::new() };
        for line in lines {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, kind) = family.split_once(' ').expect("a name and a type");
                assert!(page.families.insert(name.to_owned(), kind.to_owned()).is_none(), "`{name}` comes twice");
            } else if !line.starts_with('#') {
                let (sample, value) = line.rsplit_once(' ').expect("a name and a value");
                page.check_belongs(sample);
                let value = value.parse().expect("a number");
                assert!(page.samples.insert(sample.to_owned(), value).is_none(), "`{sample}` comes twice");
            }
        }
        page
    }

    fn check_belongs(&self, sample: &str) {
        let name = sample.split('{').next().expect("a name");
        let belongs = |(family, kind): (&String, &String)| {
            let suffixes = SUFFIXES.iter().find(|(of_kind, _)| of_kind == kind).expect("a known type").1;
            name.strip_prefix(family.as_str()).is_some_and(|suffix| suffixes.contains(&suffix))
        };
        assert!(name.starts_with("oast_") && self.families.iter().any(belongs), "{sample}");
    }

    fn value(&self, sample: &str) -> f64 {
        *self.samples.get(sample).unwrap_or_else(|| panic!("{sample} is not among {:#?}", self.samples.keys()))
    }
}

#[test]
fn the_metrics_page_can_be_parsed_and_tells_what_happened() {
    let folder = applied();
    let daemon = Daemon::start(&folder, &[]);
    let file = std::fs::read(folder.path("departures.parquet")).expect("the demo's flights");
    let (status, report) = daemon.post_bytes("/v1/events/departures", "application/vnd.apache.parquet", &file);
    assert_eq!(status, 200, "{report}");
    let (mut asked, at) =
        (serde_json::from_str::<serde_json::Value>(&lookup(2)).expect("JSON"), "2013-01-08T00:00:00Z");
    asked["at"] = json!(at);
    let (status, answer) = daemon.post("/v1/lookup", JSON, &asked.to_string());
    assert_eq!(status, 200, "{answer}");
    assert_eq!(daemon.post("/v1/lookup", JSON, r#"{"service": "nothing", "entities": [{}]}"#).0, 404);

    let page = Page::of(&daemon);
    assert_eq!(page.value("oast_lookup_rows_total{service=\"delay_model\"}"), 2.0);
    assert_eq!(page.value("oast_lookup_latency_seconds_count{service=\"delay_model\"}"), 1.0);
    let mut statuses: BTreeMap<String, f64> = BTreeMap::new();
    for row in answer["rows"].as_array().into_iter().flatten() {
        let row = row["status"].as_array().into_iter().flatten().filter_map(|status| status.as_str());
        row.for_each(|status| *statuses.entry(status.to_owned()).or_default() += 1.0);
    }
    for (status, count) in &statuses {
        let sample = format!("oast_lookup_values_total{{service=\"delay_model\",status=\"{status}\"}}");
        assert_eq!(page.value(&sample), *count);
    }
    assert!(statuses.contains_key("present"), "{answer}");
    assert_eq!(page.value("oast_events_accepted_total{source=\"departures\"}"), 26_353.0);
    assert_eq!(page.value("oast_log_events"), 26_353.0);
    let newest = page.value("oast_source_newest_event_seconds{source=\"departures\"}");
    assert_eq!(newest, 1_359_686_340.0, "the last flight of that January");
    for part in ["wal", "segments"] {
        page.value(&format!("oast_log_size_bytes{{part=\"{part}\"}}"));
    }
    assert!(page.value("oast_state_size_bytes") > 0.0);
    assert!(page.value("oast_plugin_calls_total") > 0.0 && page.value("oast_plugin_fuel_total") > 1000.0);
    assert_eq!(page.value("oast_http_queue_requests{queue=\"lookups\"}"), 0.0);
    assert_eq!(page.value("oast_http_running_requests{queue=\"reads\"}"), 1.0);
    assert_eq!(page.value("oast_services_unservable"), 0.0);
    let views: BTreeSet<_> =
        page.samples.keys().filter_map(|sample| sample.strip_prefix("oast_view_keys{view=\"")).collect();
    assert!(views.iter().any(|view| view.starts_with("carrier_delay\",version=\"")), "{views:?}");
    assert!(!page.samples.keys().any(|sample| sample.contains("nothing")), "names that are made up are no labels");

    // Every family is explained, and every one that is explained is there.
    let manual = include_str!("../../../docs/operations.md");
    for (family, kind) in &page.families {
        let shown = if kind == "counter" { format!("`{family}_total") } else { format!("`{family}") };
        assert!(manual.contains(&shown), "docs/operations.md does not explain `{family}`, a {kind}");
    }
    assert_eq!(daemon.stop(), Some(0));
}
