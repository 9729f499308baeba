//! Where each value of a lookup comes from: the component that computed it, its parameters, and the logged events behind it.

mod window;

use std::collections::BTreeSet;

use oast_core::{EntityKey, Fuel, Timestamp, ViewVersion};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{
    LookupRequest, LookupResponse, PluginEntry, Runtime, RuntimeError,
    fold::{Fold, KeyState},
    lookup::{Entity, read_entity, request_batch},
    manifest::plugin_entry,
    past::{PastEvents, PastRow},
    service::Service,
    view::{Shape, View},
};

/// How many offsets are listed of each feature's events; the newest ones.
const OFFSETS_MAX: usize = 20;

/// How many entities are explained in one go: all of their events are in memory at once.
const ENTITIES_MAX: usize = 100;

/// An answer, and where each of its values comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The answer, with its receipt.
    pub response: LookupResponse,
    /// One row an entity, one entry a feature, in the order of the answer. A rejected entity has none.
    pub rows: Vec<Vec<ExplainedValue>>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExplainedValue {
    /// The feature.
    pub feature: String,
    /// Its value.
    pub value: Json,
    /// Its status.
    pub status: String,
    /// The version of its view; nothing for a transform at request time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<ViewVersion>,
    /// What the rows went through before, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transforms: Vec<PluginEntry>,
    /// What computed it; nothing for a column of the latest row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginEntry>,
    /// The window it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<ExplainedWindow>,
    /// The events behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<ExplainedEvents>,
    /// The fuel of the invocation that made the value of states or columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<Fuel>,
    /// How that invocation ended, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A window at the time of a lookup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedWindow {
    /// Its length as the definition says it, or `lifetime`, `last_10`, `session_30m` and so on.
    pub length: String,
    /// Where it begins, inclusive: for last events and sessions, with the first of them. Nothing for a lifetime, or if no event
    /// is in a window of last events; a session without events begins where it ends.
    pub from: Option<String>,
    /// Where it ends, exclusive.
    pub to: String,
    /// The blocks with events that were merged, from left to right: each of the last events is one, and so is a session.
    pub blocks: Vec<ExplainedBlock>,
}

/// Events with one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedBlock {
    /// Where it begins; nothing for a lifetime.
    pub from: Option<String>,
    /// How many tiles it covers; 0 for a session or one of the last events, which have none.
    pub tiles: u64,
    /// How many events are in it.
    pub events: u64,
    /// How many bytes its state has.
    pub state_bytes: u64,
}

/// Logged events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedEvents {
    /// How many there are.
    pub count: u64,
    /// The offsets of the newest of them, in the order in which they were folded.
    pub offsets: Vec<u64>,
}

/// One entity in one view: its state as it was, and the events behind it.
struct Seen<'e> {
    key: KeyState,
    events: &'e PastEvents,
    /// In fold order.
    visible: Vec<u32>,
    time: Timestamp,
}

impl Runtime {
    /// Looks up, and says where each value comes from. The events are read from the log, which takes its time.
    pub fn explain(&self, request: &LookupRequest) -> Result<Explanation, RuntimeError> {
        if request.entities.len() > ENTITIES_MAX {
            return Err(RuntimeError::request(
                format!("{} entities are too many to be explained", request.entities.len()),
                format!("ask for {ENTITIES_MAX} at most, and for the others afterwards"),
            ));
        }
        let response = self.lookup(&LookupRequest { receipt: true, ..request.clone() })?;
        let service = self.service_version(&response.version.to_string())?;
        let parsed = response.time.parse().map_err(|_| RuntimeError::request("the lookup has no time", "report this"));
        let time: Timestamp = parsed?;
        let entities: Vec<Entity> = (0..request.entities.len())
            .map(|row| read_entity(&service, &request.entities, &request.request, row))
            .collect::<Result<_, _>>()?;
        let mut events = Vec::with_capacity(service.views.len());
        for (at, view) in service.views.iter().enumerate() {
            let keys: BTreeSet<&EntityKey> = entities.iter().filter_map(|entity| entity.keys[at].as_ref()).collect();
            events.push(self.past_events(view, response.offset, &|key| keys.contains(key), &())?);
        }
        let explain = |(row, entity): (usize, &Entity)| match entity.error {
            Some(_) => Ok(Vec::new()),
            None => explain_row(&service, &events, entity, time, &response, row),
        };
        let rows = entities.iter().enumerate().map(explain).collect::<Result<_, _>>()?;
        Ok(Explanation { response, rows })
    }
}

/// Where each value of one entity comes from, given the events of each view.
fn explain_row(
    service: &Service,
    events: &[PastEvents],
    entity: &Entity,
    time: Timestamp,
    response: &LookupResponse,
    row: usize,
) -> Result<Vec<ExplainedValue>, RuntimeError> {
    let mut explained = Vec::new();
    let mut features = Vec::new();
    for ((view, events), key) in service.views.iter().zip(events).zip(&entity.keys) {
        let seen = Seen::of(view, events, key.as_ref(), time)?;
        explained.push(seen.features(view)?);
        let lookup = PastRow { key: key.clone(), time, offset: response.offset };
        features.push(events.features(view, &[lookup], &())?);
    }
    let answer = service.answer(&features, &request_batch(service, &[entity]), None)?;
    let of_views = service.feature_places().map(|(view, feature)| explained[view][feature].clone());
    let derived = service.plugins().zip(&answer.derived).flat_map(|(plugin, derived)| {
        let entry = ExplainedValue { plugin: Some(plugin_entry(plugin)), fuel: Some(derived.fuel), ..nothing() };
        let entry = ExplainedValue { failure: derived.failure.clone(), ..entry };
        std::iter::repeat_n(entry, derived.columns)
    });
    let answered = &response.rows[row];
    let named = of_views.chain(derived).enumerate().map(|(at, entry)| ExplainedValue {
        feature: response.features[at].clone(),
        value: answered.values[at].clone(),
        status: answered.status[at].name().to_owned(),
        ..entry
    });
    Ok(named.collect())
}

impl<'e> Seen<'e> {
    /// Folds the events that a lookup at `time` saw.
    fn of(view: &View, events: &'e PastEvents, key: Option<&EntityKey>, time: Timestamp) -> Result<Self, RuntimeError> {
        let visible: Vec<u32> = events.of(key).iter().copied().filter(|event| events.visible(*event) < time).collect();
        let mut state = KeyState::new(view);
        let mut fold = Fold::new(view);
        fold.look_ahead(time);
        if let Some(rows) = events.rows.as_ref().filter(|_| !visible.is_empty()) {
            let first = fold.add_rows(rows.take(&visible));
            for (row, event) in (first..).zip(&visible) {
                fold.event(&mut state, row, events.time(*event), events.offset(*event));
            }
        }
        fold.lookup(&mut state, time);
        fold.evaluate()?;
        fold.settle(&mut state);
        Ok(Self { key: state, events, visible, time })
    }

    /// One entry a feature of the view.
    fn features(&self, view: &View) -> Result<Vec<ExplainedValue>, RuntimeError> {
        let plugins: Vec<PluginEntry> = view.plugins().into_iter().map(plugin_entry).collect();
        let (transforms, aggregations) = plugins.split_at(view.transforms.len());
        let common = ExplainedValue { view: Some(view.version), transforms: transforms.to_vec(), ..nothing() };
        let Shape::Aggregates { aggregates, series } = &view.shape else {
            let latest = self.key.latest.iter().map(|latest| latest.offset).collect();
            let entry = ExplainedValue { events: Some(explained_events(latest)), ..common };
            return Ok(vec![entry; view.features.len()]);
        };
        let mut features = Vec::new();
        for (aggregate, plugin) in aggregates.iter().zip(aggregations) {
            for window in &aggregate.windows {
                let entry = self.window(aggregate, window, series)?;
                let entry = ExplainedValue {
                    view: common.view,
                    transforms: common.transforms.clone(),
                    plugin: Some(plugin.clone()),
                    ..entry
                };
                features.extend(std::iter::repeat_n(entry, aggregate.outputs.len()));
            }
        }
        Ok(features)
    }
}

fn explained_events(mut offsets: Vec<u64>) -> ExplainedEvents {
    let count = offsets.len();
    ExplainedEvents { count: count as u64, offsets: offsets.split_off(count.saturating_sub(OFFSETS_MAX)) }
}

fn nothing() -> ExplainedValue {
    ExplainedValue {
        feature: String::new(),
        value: Json::Null,
        status: String::new(),
        view: None,
        transforms: Vec::new(),
        plugin: None,
        window: None,
        events: None,
        fuel: None,
        failure: None,
    }
}
