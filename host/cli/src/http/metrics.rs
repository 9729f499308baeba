use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use oast_runtime::{IngestReport, LookupAnswer, RuntimeStatus};
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
    lookup_latency: Family<ServiceLabel, Histogram>,
    rows: Family<ServiceLabel, Counter>,
    values: Family<ValueLabels, Counter>,
    accepted: Family<SourceLabel, Counter>,
    duplicates: Family<SourceLabel, Counter>,
    quarantined: Family<SourceLabel, Counter>,
    events: Gauge,
    offset: Gauge,
    newest: Family<SourceLabel, Gauge<f64, AtomicU64>>,
    log_bytes: Family<PartLabel, Gauge>,
    state_bytes: Gauge,
    plugin_calls: Counter,
    plugin_fuel: Counter,
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
struct ServiceLabel {
    service: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ValueLabels {
    service: String,
    status: &'static str,
}

/// A part of the log: segments or write-ahead files.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PartLabel {
    part: &'static str,
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
            lookup_latency: Family::new_with_constructor(latency as fn() -> Histogram),
            rows: Family::default(),
            values: Family::default(),
            accepted: Family::default(),
            duplicates: Family::default(),
            quarantined: Family::default(),
            events: Gauge::default(),
            offset: Gauge::default(),
            newest: Family::default(),
            log_bytes: Family::default(),
            state_bytes: Gauge::default(),
            plugin_calls: Counter::default(),
            plugin_fuel: Counter::default(),
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
        let help = "Time from a lookup's head to its answer, by service";
        registry.register_with_unit("lookup_latency", help, Unit::Seconds, self.lookup_latency.clone());
        registry.register("lookup_rows", "Entities looked up", self.rows.clone());
        registry.register("lookup_values", "Values answered, by their status", self.values.clone());
        registry.register("events_accepted", "Events appended to the log", self.accepted.clone());
        registry.register("events_duplicate", "Events acknowledged that the log had already", self.duplicates.clone());
        registry.register("events_quarantined", "Events that failed a gate", self.quarantined.clone());
        registry.register("log_events", "Events in the log", self.events.clone());
        registry.register("log_offset", "The offset below which lookups see the log", self.offset.clone());
        let help = "When the newest event of a source becomes visible to lookups, or became so, in Unix time";
        registry.register_with_unit("source_newest_event", help, Unit::Seconds, self.newest.clone());
        registry.register_with_unit("log_size", "The log on disk", Unit::Bytes, self.log_bytes.clone());
        registry.register_with_unit("state_size", "The online state on disk", Unit::Bytes, self.state_bytes.clone());
        registry.register("plugin_calls", "Calls of plugins", self.plugin_calls.clone());
        registry.register("plugin_fuel", "Fuel consumed by calls of plugins", self.plugin_fuel.clone());
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

    /// A lookup that was answered. One of an unknown service leaves no trace here, so that nobody can make up labels.
    pub(super) fn looked_up(&self, answer: &LookupAnswer, latency: Duration) {
        let label = ServiceLabel { service: answer.service().to_owned() };
        self.lookup_latency.get_or_create(&label).observe(latency.as_secs_f64());
        self.rows.get_or_create(&label).inc_by(answer.rows() as u64);
        for (status, count) in answer.statuses() {
            let labels = ValueLabels { service: label.service.clone(), status: status.name() };
            self.values.get_or_create(&labels).inc_by(count);
        }
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
        self.show_sizes(status);
        self.plugin_calls.inner().store(status.plugin_calls, Ordering::Relaxed);
        self.plugin_fuel.inner().store(status.plugin_fuel, Ordering::Relaxed);
        let instances = status.instances;
        self.ready.set(gauge(instances.ready));
        // The engine counts; these only show it.
        self.ready_hits.inner().store(instances.hits, Ordering::Relaxed);
        self.ready_misses.inner().store(instances.misses, Ordering::Relaxed);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes everything");
        text
    }

    fn show_sizes(&self, status: &RuntimeStatus) {
        for (part, bytes) in [("segments", status.segment_bytes), ("wal", status.wal_bytes)] {
            self.log_bytes.get_or_create(&PartLabel { part }).set(gauge(bytes));
        }
        if let Some(bytes) = status.state_bytes {
            self.state_bytes.set(gauge(bytes));
        }
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
            if let Some(newest) = view.newest {
                // Views of one source have all seen the same events, but for those that a transform of theirs dropped.
                let newest = newest.as_micros() as f64 / 1e6;
                let shown = self.newest.get_or_create(&SourceLabel { source: view.source.clone() });
                shown.set(newest.max(shown.get()));
            }
        }
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
