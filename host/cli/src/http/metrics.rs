use std::{sync::atomic::Ordering, time::Duration};

use oast_runtime::{IngestReport, RuntimeStatus};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// What the daemon counts. Labels have few values: routes, not paths.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    latency: Family<RouteLabel, Histogram>,
    rows: Counter,
    accepted: Family<SourceLabel, Counter>,
    duplicates: Family<SourceLabel, Counter>,
    quarantined: Family<SourceLabel, Counter>,
    events: Gauge,
    offset: Gauge,
    ready: Gauge,
    ready_hits: Counter,
    ready_misses: Counter,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SourceLabel {
    source: String,
}

/// From 50 µs to 13 s, each bucket twice as wide as the one before.
fn latency() -> Histogram {
    Histogram::new(exponential_buckets(50e-6, 2.0, 19))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("oast"),
            requests: Family::default(),
            latency: Family::new_with_constructor(latency as fn() -> Histogram),
            rows: Counter::default(),
            accepted: Family::default(),
            duplicates: Family::default(),
            quarantined: Family::default(),
            events: Gauge::default(),
            offset: Gauge::default(),
            ready: Gauge::default(),
            ready_hits: Counter::default(),
            ready_misses: Counter::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("http_requests", "Requests answered", self.requests.clone());
        let help = "Time from a request's head to its response";
        registry.register_with_unit("http_latency", help, Unit::Seconds, self.latency.clone());
        registry.register("lookup_rows", "Entities looked up", self.rows.clone());
        registry.register("events_accepted", "Events appended to the log", self.accepted.clone());
        registry.register("events_duplicate", "Events acknowledged that the log had already", self.duplicates.clone());
        registry.register("events_quarantined", "Events that failed a gate", self.quarantined.clone());
        registry.register("log_events", "Events in the log", self.events.clone());
        registry.register("log_offset", "The offset that the next event gets", self.offset.clone());
        registry.register("instances_ready", "Plugin instances prepared for calls to come", self.ready.clone());
        let help = "Calls that found an instance ready";
        registry.register("instances_ready_hits", help, self.ready_hits.clone());
        let help = "Calls of served plugins that found no instance ready, and made their own";
        registry.register("instances_ready_misses", help, self.ready_misses.clone());
    }

    pub(super) fn answered(&self, route: &'static str, method: &'static str, status: u16, latency: Duration) {
        self.requests.get_or_create(&RequestLabels { route, method, status }).inc();
        self.latency.get_or_create(&RouteLabel { route }).observe(latency.as_secs_f64());
    }

    pub(super) fn looked_up(&self, rows: usize) {
        self.rows.inc_by(rows as u64);
    }

    pub(super) fn appended(&self, source: &str, report: &IngestReport) {
        let label = SourceLabel { source: source.to_owned() };
        self.accepted.get_or_create(&label).inc_by(report.accepted);
        self.duplicates.get_or_create(&label).inc_by(report.duplicates);
        self.quarantined.get_or_create(&label).inc_by(report.quarantined.len() as u64);
    }

    /// Everything in the text format.
    pub(super) fn text(&self, status: &RuntimeStatus) -> String {
        self.events.set(gauge(status.events));
        self.offset.set(gauge(status.offset));
        let instances = status.instances;
        self.ready.set(gauge(instances.ready));
        // The engine counts; these only show it.
        self.ready_hits.inner().store(instances.hits, Ordering::Relaxed);
        self.ready_misses.inner().store(instances.misses, Ordering::Relaxed);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes everything");
        text
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
