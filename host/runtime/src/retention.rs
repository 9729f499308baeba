//! What it means that a source keeps its events for so long.
//!
//! An entity whose newest event happened longer than that before a lookup is unknown to it, whether the log has removed the
//! events yet or not. What a view may look back on is bounded by the same time when it is published. So the log may remove an
//! event once no lookup from then on can tell, and a rebuilt state answers as the old one did.

use std::collections::BTreeMap;

use oast_core::{TimeSpan, Timestamp, Window, definition::Location};

use crate::{
    Runtime, RuntimeError,
    spec::{ServiceSpec, SourceSpec, ViewSpec},
    view::{Shape, View},
};

impl SourceSpec {
    /// How long events are kept, by when they happened.
    pub(crate) fn retention(&self) -> Option<TimeSpan> {
        self.retention_us.map(TimeSpan::from_micros)
    }
}

/// How long the log keeps the events of a source: as long as the most demanding of its versions that count.
#[derive(Clone, Copy)]
struct Kept {
    /// Nothing if for ever.
    retention_us: Option<i64>,
    /// How much later than it was taken in an event may have happened.
    max_future_us: i64,
}

impl Kept {
    fn of(spec: &SourceSpec) -> Self {
        Self { retention_us: spec.retention_us, max_future_us: spec.max_future_us.max(0) }
    }

    fn longer(self, other: Self) -> Self {
        Self {
            retention_us: self.retention_us.zip(other.retention_us).map(|(one, other)| one.max(other)),
            max_future_us: self.max_future_us.max(other.max_future_us),
        }
    }

    /// By when the log took events in.
    fn in_the_log(self) -> Option<TimeSpan> {
        Some(TimeSpan::from_micros(self.retention_us?.saturating_add(self.max_future_us)))
    }
}

/// Refuses a view that looks back further than its source keeps events.
pub(crate) fn check_view(view: &View, location: &Location) -> Result<(), RuntimeError> {
    let Some(kept) = view.spec.source.retention() else { return Ok(()) };
    let source = &view.spec.source.name;
    let refuse = |what: String, hint: String| RuntimeError::Resolve {
        location: location.to_string(),
        message: format!("{what}, and source `{source}` keeps its events for {kept}"),
        hint: Some(hint),
    };
    let longer = || "lengthen the source's `retention`, or leave it out to keep events for ever".to_owned();
    match &view.shape {
        Shape::Latest(_) if view.ttl.is_none_or(|ttl| ttl > kept) => {
            let what = match view.ttl {
                None => "`latest` without a `ttl` goes back for ever".to_owned(),
                Some(ttl) => format!("the `ttl` of {ttl} goes further back"),
            };
            Err(refuse(what, format!("give the view a `ttl` of at most {kept}; or {}", longer())))
        }
        Shape::Latest(_) => Ok(()),
        Shape::Aggregates { aggregates, .. } => {
            let windows = aggregates.iter().flat_map(|aggregate| &aggregate.windows);
            let too_long =
                windows.map(|window| window.window).find(|window| look_back(*window).is_none_or(|back| back > kept));
            match too_long {
                None => Ok(()),
                Some(Window::Sawtooth { length, hop }) => {
                    Err(refuse(format!("a window of {length} with hops of {hop} looks back further"), longer()))
                }
                Some(window) => Err(refuse(format!("a {window} window goes back for ever"), longer())),
            }
        }
    }
}

/// How far before a lookup an event may lie and be in the window; nothing if there is no bound. The last events may be of any
/// age, and a session is as long as its pauses are short.
fn look_back(window: Window) -> Option<TimeSpan> {
    match window {
        Window::Sawtooth { length, hop } => Some(TimeSpan::from_micros(length.as_micros() + hop.as_micros())),
        Window::Lifetime | Window::Last { .. } | Window::Session { .. } => None,
    }
}

impl Runtime {
    /// Tells the log how long to keep the events of each source: as its definition says, and longer if a service that is
    /// still served reads a view of an older version of it. Called once what is published is served.
    pub(crate) fn set_retention(&self) -> Result<(), RuntimeError> {
        let mut kept: BTreeMap<String, Kept> = BTreeMap::new();
        for name in self.catalog.names("source")? {
            let spec: SourceSpec = self.current_spec("source", &name)?;
            let max_future_us = self.widest_max_future(&name)?.as_micros();
            kept.insert(name, Kept { max_future_us, ..Kept::of(&spec) });
        }
        for name in self.catalog.names("service")? {
            let service: ServiceSpec = self.current_spec("service", &name)?;
            for view in &service.views {
                let view: ViewSpec = self.spec("view", &view.version.to_string())?;
                if let Some(kept) = kept.get_mut(&view.source.name) {
                    *kept = kept.longer(Kept::of(&view.source));
                }
            }
        }
        let spans = kept.into_iter().filter_map(|(name, kept)| Some((name, kept.in_the_log()?)));
        self.log.set_retention(spans.collect());
        Ok(())
    }

    /// How far ahead of their ingest time events of a source may lie: older versions, under which they were let in, may have
    /// allowed more.
    fn widest_max_future(&self, source: &str) -> Result<TimeSpan, RuntimeError> {
        let mut widest = 0;
        for version in self.catalog.history("source", source)? {
            widest = widest.max(self.spec::<SourceSpec>("source", &version.hash)?.max_future_us);
        }
        Ok(TimeSpan::from_micros(widest))
    }

    /// Refuses to derive what needs events that retention removed: values at these times would not be those that were served.
    pub(crate) fn check_kept(&self, view: &View, times: &[Timestamp]) -> Result<(), RuntimeError> {
        let Some(retired) = self.retired(view)? else { return Ok(()) };
        match retired.lacking(times) {
            0 => Ok(()),
            lacking => Err(retired.refusal(lacking, times.len() as u64)),
        }
    }

    /// What retention removed of the events of a view's source, if it did.
    pub(crate) fn retired(&self, view: &View) -> Result<Option<Retired>, RuntimeError> {
        let source = &view.spec.source;
        let Some(until) = self.log.retired_until(&source.name) else { return Ok(None) };
        // The removed events happened before this.
        let removed = until
            .saturating_add(self.widest_max_future(&source.name)?.max(TimeSpan::from_micros(source.max_future_us)));
        let back = source.retention().unwrap_or(TimeSpan::from_micros(i64::MAX));
        Ok(Some(Retired { source: source.name.clone(), removed, back }))
    }
}

/// Events that retention removed.
pub(crate) struct Retired {
    source: String,
    /// They happened before this.
    removed: Timestamp,
    /// How far back a lookup may see.
    back: TimeSpan,
}

impl Retired {
    /// How many lookups at these times need some of them.
    pub(crate) fn lacking(&self, times: &[Timestamp]) -> u64 {
        times.iter().filter(|time| time.saturating_sub(self.back) <= self.removed).count() as u64
    }

    /// The refusal to derive lookups of which some lack events.
    pub(crate) fn refusal(&self, lacking: u64, lookups: u64) -> RuntimeError {
        let Self { source, removed, .. } = self;
        RuntimeError::request(
            format!(
                "{lacking} of {lookups} lookups need events of `{source}` that retention removed: those up to {removed} \
                 are gone"
            ),
            format!("read them from a snapshot with `--events {source}=FILE`, or leave these rows out"),
        )
    }
}
