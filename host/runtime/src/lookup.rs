mod answer;
mod table;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use oast_core::{Batch, ColumnBuilder, EntityKey, Field, ServiceVersion, Status, Timestamp, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::{
    ClockMode, Runtime, RuntimeError,
    fold::{self, Features},
    json,
    live::Live,
    receipt::Receipt,
    service::{Service, type_of},
    view::View,
};

pub use answer::LookupAnswer;

/// What a lookup asks for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupRequest {
    /// The service.
    pub service: String,
    /// The join keys of each entity.
    pub entities: Vec<Map<String, Json>>,
    /// The request fields of each entity, or nothing when the service takes none.
    #[serde(default)]
    pub request: Vec<Map<String, Json>>,
    /// Whether to return a receipt.
    #[serde(default)]
    pub receipt: bool,
    /// Under a simulated clock: the time to move to. RFC 3339, or microseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Json>,
}

/// What a lookup answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookupResponse {
    /// The service.
    pub service: String,
    /// The version that answered.
    pub version: ServiceVersion,
    /// The time T of the lookup: it sees what was visible strictly before.
    pub time: String,
    /// It sees the log below this offset.
    pub offset: u64,
    /// What the values are, in order.
    pub features: Vec<String>,
    /// One row an entity, in order.
    pub rows: Vec<LookupRow>,
    /// What the answer can be derived again from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// The features of one entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookupRow {
    /// One value a feature, null unless its status is `present`.
    pub values: Vec<Json>,
    /// One status a feature.
    pub status: Vec<Status>,
    /// The event time of the newest event behind each view of the service, by view.
    pub event_times: BTreeMap<String, Option<String>>,
    /// Why the whole row was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RowError>,
}

/// Why a row of a lookup was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowError {
    /// The join key or request field at fault.
    pub field: String,
    /// `missing`, `null`, `type` or `unknown_field`.
    pub code: String,
    /// What is wrong.
    pub message: String,
}

/// A row of a request, read or refused.
pub(crate) struct Entity {
    pub(crate) keys: Vec<Option<EntityKey>>,
    pub(crate) request: Vec<Option<Value>>,
    pub(crate) error: Option<RowError>,
}

/// Features of the service's views, all of one moment.
pub(crate) struct Moment {
    pub(crate) time: Timestamp,
    pub(crate) offset: u64,
    pub(crate) views: Vec<Features>,
}

/// Whether a lookup waits for what is in its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Patient,
    /// It gives up instead.
    AtOnce,
}

/// With more entities than this, a lookup takes too long for [`Manner::AtOnce`].
const ENTITIES_AT_ONCE: usize = 128;

impl Runtime {
    /// Looks the features of a service up for some entities, as of now.
    pub fn lookup(&self, request: &LookupRequest) -> Result<LookupResponse, RuntimeError> {
        Ok(self.answer_lookup(request)?.response())
    }

    /// Looks up as [`Self::lookup`] does, and leaves it to the caller in which form the answer is written.
    pub fn answer_lookup(&self, request: &LookupRequest) -> Result<LookupAnswer, RuntimeError> {
        loop {
            let live = self.serving()?;
            if let Some(answer) = self.answer_by(&live, request, Manner::Patient)? {
                return Ok(answer);
            }
        }
    }

    /// Looks up if that takes some hundred microseconds at most: a few entities, whose state is in memory and complete, of a
    /// service whose plugins are known to be cheap, while nobody else has its views. Otherwise nothing is done, and
    /// [`Self::answer_lookup`] answers. This is for threads that others wait for; both give the same answers.
    pub fn answer_lookup_at_once(&self, request: &LookupRequest) -> Result<Option<LookupAnswer>, RuntimeError> {
        let Some(live) = self.live_now() else { return Ok(None) };
        let writes = self.receipt_policy.may_keep(request.receipt);
        if request.entities.len() > ENTITIES_AT_ONCE || request.at.is_some() || writes {
            return Ok(None);
        }
        self.answer_by(&live, request, Manner::AtOnce)
    }

    /// Answers by these definitions, or not at all if they are exchanged in the meantime or the manner does not allow it.
    fn answer_by(
        &self,
        live: &Arc<Live>,
        request: &LookupRequest,
        manner: Manner,
    ) -> Result<Option<LookupAnswer>, RuntimeError> {
        let service = live.service(&request.service).ok_or_else(|| self.unknown("service", &request.service))??;
        if manner == Manner::AtOnce && !service.is_light() {
            return Ok(None);
        }
        check_shape(request, service)?;
        let at = self.requested_time(request)?;
        let entities: Vec<Entity> = (0..request.entities.len())
            .map(|row| read_entity(service, &request.entities, &request.request, row))
            .collect::<Result<_, _>>()?;
        let Some(moment) = self.look(live, service, &entities, at, manner)? else { return Ok(None) };
        let asked: Vec<&Entity> = entities.iter().collect();
        let answer = service.answer(&moment.views, &request_batch(service, &asked), None)?;
        let answered = LookupAnswer::new(Arc::clone(service), &entities, moment, answer);
        Ok(Some(self.with_receipt(answered, request, &entities)))
    }

    fn requested_time(&self, request: &LookupRequest) -> Result<Option<Timestamp>, RuntimeError> {
        let Some(at) = &request.at else { return Ok(None) };
        if self.clock_mode == ClockMode::Wall {
            return Err(RuntimeError::request(
                "`at` needs a simulated clock",
                "leave `at` out, or start the daemon with `oast serve --simulate`",
            ));
        }
        let field = Field::new("at", oast_core::DataType::Timestamp);
        match json::from_json(&field, Some(at)) {
            Ok(Some(Value::Timestamp(time))) if time.is_in_range() => Ok(Some(time)),
            Ok(_) => Err(RuntimeError::request("`at` is no usable time", "leave `at` out for the present")),
            Err(mismatch) => Err(RuntimeError::request(mismatch.message, "leave `at` out for the present")),
        }
    }

    /// Takes the views of the service, draws the time while nothing can change them, and looks every entity up.
    fn look(
        &self,
        live: &Arc<Live>,
        service: &Service,
        entities: &[Entity],
        at: Option<Timestamp>,
        manner: Manner,
    ) -> Result<Option<Moment>, RuntimeError> {
        let mut order: Vec<usize> = (0..service.views.len()).collect();
        order.sort_by_key(|view| service.views[*view].version);
        let live_view = |view: usize| &*live.views[&service.views[view].version];
        let lock = |view: &usize| match manner {
            Manner::AtOnce => live_view(*view).lock_at_once(),
            Manner::Patient => Some(live_view(*view).lock()),
        };
        let Some(mut guards) = order.iter().map(lock).collect::<Option<Vec<_>>>() else { return Ok(None) };
        let offset = self.applied.load(Ordering::Acquire);
        let time = self.draw_time(at)?;
        // Events that are logged once the definitions are exchanged no longer reach these views, and are later than this time.
        if !self.is_serving(live) {
            return Ok(None);
        }
        let keys_of = |view: usize| entities.iter().map(move |entity| entity.keys[view].as_ref());
        let mut parts = order.iter().zip(&guards);
        if manner == Manner::AtOnce && !parts.all(|(view, online)| online.is_at_hand(keys_of(*view).flatten(), time)) {
            return Ok(None);
        }
        if at.is_some() {
            // What the present needs, retention leaves; what the past needs, it may have removed.
            service.views.iter().try_for_each(|view| self.check_kept(view, &[time]))?;
        }
        for online in &mut guards {
            if online.must_rebuild() || online.is_past(time) {
                self.rebuild(online, offset)?;
            }
        }
        let mut steps = Vec::with_capacity(order.len());
        for (view, online) in order.iter().zip(&mut guards) {
            let keys: Vec<_> = keys_of(*view).map(Option::<&EntityKey>::cloned).collect();
            steps.push(online.gather(&live_view(*view).view, &keys, time, &self.state)?);
        }
        // Plugins take the longest, and nobody waits for their work.
        drop(guards);
        let mut answers: Vec<_> = order.into_iter().zip(fold::answer(&mut steps)?).collect();
        answers.sort_by_key(|(view, _)| *view);
        let views = answers.into_iter().map(|(_, features)| features).collect();
        Ok(Some(Moment { time, offset, views }))
    }

    fn draw_time(&self, at: Option<Timestamp>) -> Result<Timestamp, RuntimeError> {
        let Some(at) = at else { return Ok(self.wall_time()) };
        if let Some(last) = self.clock.last().filter(|last| *last > at) {
            return Err(RuntimeError::request(
                format!("`at` is {at}, but the simulated clock stands at {last} already"),
                "time does not go back; look up in order of time",
            ));
        }
        self.clock.advance_to(at);
        Ok(at)
    }

    /// Makes the receipt if it is asked for or to be kept, and keeps it.
    fn with_receipt(&self, mut answer: LookupAnswer, request: &LookupRequest, entities: &[Entity]) -> LookupAnswer {
        let kept = self.receipt_policy.keeps(request.receipt, answer.time);
        if request.receipt || kept {
            answer.receipt = Some(self.receipt(&answer, entities, request));
        }
        if kept {
            self.keep_receipt(answer.time, &answer.response());
        }
        answer.receipt = answer.receipt.filter(|_| request.receipt);
        answer
    }
}

fn check_shape(request: &LookupRequest, service: &Service) -> Result<(), RuntimeError> {
    let (entities, fields) = (request.entities.len(), request.request.len());
    if entities == 0 {
        let names: Vec<_> = service.entity.iter().map(|field| format!("`{}`", field.name)).collect();
        return Err(RuntimeError::request(
            "`entities` is empty",
            format!("give the join keys of each entity: {}", names.join(", ")),
        ));
    }
    let needed = if service.request.is_empty() && fields == 0 { 0 } else { entities };
    if fields == needed {
        return Ok(());
    }
    Err(RuntimeError::request(
        format!("`entities` has {entities} rows and `request` {fields}"),
        format!("service `{}` takes {} with each entity", request.service, fields_text(service.request.fields())),
    ))
}

fn fields_text(fields: &[Field]) -> String {
    let fields: Vec<_> = fields.iter().map(|field| format!("`{field}`")).collect();
    if fields.is_empty() { "no request fields".to_owned() } else { fields.join(", ") }
}

/// Reads a row of the request. A row that cannot be read is looked up as an unknown entity, and then rejected as a whole.
pub(crate) fn read_entity(
    service: &Service,
    entities: &[Map<String, Json>],
    request: &[Map<String, Json>],
    row: usize,
) -> Result<Entity, RuntimeError> {
    let empty = Map::new();
    let fields = request.get(row).unwrap_or(&empty);
    match read_row(service, &entities[row], fields) {
        Ok((values, request)) => {
            let keys = service.views.iter().map(|view| key_for(view, &values)).collect::<Result<_, _>>()?;
            Ok(Entity { keys, request, error: None })
        }
        Err(error) => Ok(Entity {
            keys: vec![None; service.views.len()],
            request: vec![None; service.request.len()],
            error: Some(error),
        }),
    }
}

type RowValues = (BTreeMap<String, Value>, Vec<Option<Value>>);

fn read_row(service: &Service, entity: &Map<String, Json>, fields: &Map<String, Json>) -> Result<RowValues, RowError> {
    let refuse =
        |field: &str, code: &str, message| RowError { field: field.to_owned(), code: code.to_owned(), message };
    if let Some(name) = entity.keys().find(|name| type_of(&service.entity, name).is_none()) {
        let message = format!("`{name}` is no join key of the service; it takes {}", fields_text(&service.entity));
        return Err(refuse(name, "unknown_field", message));
    }
    if let Some(name) = fields.keys().find(|name| service.request.field(name).is_none()) {
        let message =
            format!("`{name}` is no request field of the service; it takes {}", fields_text(service.request.fields()));
        return Err(refuse(name, "unknown_field", message));
    }
    let read = |field: &Field, row: &Map<String, Json>| {
        json::from_json(field, row.get(&field.name)).map_err(|wrong| refuse(&field.name, wrong.code, wrong.message))
    };
    let mut keys = BTreeMap::new();
    for field in &service.entity {
        // As in a spine, a null join key is that of nobody: the views that need it have nothing, the others answer.
        let null = entity.get(&field.name).is_some_and(Json::is_null);
        if !null && let Some(value) = read(field, entity)? {
            keys.insert(field.name.clone(), value);
        }
    }
    let request = service.request.fields().iter().map(|field| read(field, fields)).collect::<Result<_, _>>()?;
    Ok((keys, request))
}

fn key_for(view: &View, values: &BTreeMap<String, Value>) -> Result<Option<EntityKey>, RuntimeError> {
    if view.spec.entity.iter().any(|name| !values.contains_key(name)) {
        return Ok(None);
    }
    let parts = view.spec.entity.iter().map(|name| (name.as_str(), values.get(name).cloned()));
    Ok(Some(EntityKey::encode(parts)?))
}

/// The request fields as columns. A rejected row stands there as zeros, which nobody gets to see.
pub(crate) fn request_batch(service: &Service, entities: &[&Entity]) -> Batch {
    let column = |(at, field): (usize, &Field)| {
        let mut builder = ColumnBuilder::new(field.data_type);
        entities.iter().for_each(|entity| builder.push(entity.request[at].as_ref()));
        let mut column = builder.finish();
        if !field.nullable {
            column.validity = None;
        }
        column
    };
    Batch { rows: entities.len(), columns: service.request.fields().iter().enumerate().map(column).collect() }
}
