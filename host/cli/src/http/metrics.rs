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

use super::workers::Workers;

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
    running: Family<QueueLabel, Gauge>,
    waiting: Family<QueueLabel, Gauge>,
    keys: Family<ViewLabel, Gauge>,
    pending: Family<ViewLabel, Gauge>,
    unservable: Gauge,
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

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct QueueLabel {
    queue: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ViewLabel {
    view: String,
    version: String,
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
            running: Family::default(),
            waiting: Family::default(),
            keys: Family::default(),
            pending: Family::default(),
            unservable: Gauge::default(),
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
        let help = "Requests that are worked on, by queue";
        registry.register("http_running_requests", help, self.running.clone());
        let help = "Requests that were admitted and wait for a thread or for their body, by queue";
        registry.register("http_queue_requests", help, self.waiting.clone());
        registry.register("view_keys", "Entity keys in memory", self.keys.clone());
        let help = "Events that wait to become visible";
        registry.register("view_pending_events", help, self.pending.clone());
        let help = "Services that cannot be served; /readyz names them";
        registry.register("services_unservable", help, self.unservable.clone());
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
    pub(super) fn text(&self, status: &RuntimeStatus, queues: &[(&'static str, &Workers)]) -> String {
        self.show_queues(queues);
        self.show_views(status);
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

    fn show_queues(&self, queues: &[(&'static str, &Workers)]) {
        for (queue, workers) in queues {
            let (running, waiting) = workers.depth();
            let label = QueueLabel { queue };
            self.running.get_or_create(&label).set(gauge(running as u64));
            self.waiting.get_or_create(&label).set(gauge(waiting as u64));
        }
    }

    /// Views that are no longer served leave the page.
    fn show_views(&self, status: &RuntimeStatus) {
        self.unservable.set(gauge(status.unservable.len() as u64));
        self.keys.clear();
        self.pending.clear();
        for view in &status.views {
            let label = ViewLabel { view: view.name.clone(), version: view.version.to_string() };
            self.keys.get_or_create(&label).set(gauge(view.keys_in_memory as u64));
            self.pending.get_or_create(&label).set(gauge(view.pending as u64));
        }
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
