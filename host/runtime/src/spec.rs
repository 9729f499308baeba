//! Published versions as the catalog keeps them: resolved, immutable, and hashed in canonical encoding.

use oast_core::{
    Canonical, ComponentHash, Field, Limits, Schema, ServiceVersion, TimeSpan, Value, ViewVersion, Window,
};
use serde::{Deserialize, Serialize};

use crate::RuntimeError;

/// A column, as JSON shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FieldSpec {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) data_type: String,
}

impl From<&Field> for FieldSpec {
    fn from(field: &Field) -> Self {
        Self { name: field.name.clone(), data_type: field.type_name() }
    }
}

pub(crate) fn field_specs(schema: &Schema) -> Vec<FieldSpec> {
    schema.fields().iter().map(FieldSpec::from).collect()
}

pub(crate) fn schema_of(fields: &[FieldSpec]) -> Result<Schema, RuntimeError> {
    let damaged = |name: &str| RuntimeError::Catalog { kind: "schema", name: name.to_owned() };
    let field = |spec: &FieldSpec| Field::parse(&spec.name, &spec.data_type).map_err(|_| damaged(&spec.name));
    let fields = fields.iter().map(field).collect::<Result<_, _>>()?;
    Schema::new(fields).map_err(|_| damaged("columns"))
}

/// A source as published: how events are read, gated and timed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SourceSpec {
    pub(crate) name: String,
    pub(crate) columns: Vec<FieldSpec>,
    pub(crate) keys: Vec<String>,
    pub(crate) event_time: String,
    pub(crate) available_time: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) retention_us: Option<i64>,
    pub(crate) max_future_us: i64,
    pub(crate) checks: Vec<CheckSpec>,
}

/// A gate as published; bounds are JSON values of the column's type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckSpec {
    pub(crate) field: String,
    pub(crate) min: Option<serde_json::Value>,
    pub(crate) max: Option<serde_json::Value>,
    pub(crate) one_of: Option<Vec<serde_json::Value>>,
}

/// A use of a plugin, resolved to a component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PluginSpec {
    pub(crate) plugin: String,
    pub(crate) component: ComponentHash,
    pub(crate) params: String,
    pub(crate) input: Option<Vec<String>>,
    pub(crate) output: Option<Vec<String>>,
    pub(crate) limits: Limits,
}

/// An aggregate of a view, resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AggregateSpec {
    #[serde(flatten)]
    pub(crate) plugin: PluginSpec,
    pub(crate) name: String,
    pub(crate) windows: Vec<WindowSpec>,
    pub(crate) outputs: Option<Vec<String>>,
}

/// A window with its text as the definition wrote it. Only a sawtooth has length and hop; a lifetime has neither.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WindowSpec {
    pub(crate) window: String,
    pub(crate) length_us: Option<i64>,
    pub(crate) hop_us: Option<i64>,
    /// How many of the last events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) events: Option<u32>,
    /// The longest pause within a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gap_us: Option<i64>,
}

impl WindowSpec {
    pub(crate) fn new(text: &str, window: Window) -> Self {
        let mut spec = Self { window: text.to_owned(), length_us: None, hop_us: None, events: None, gap_us: None };
        match window {
            Window::Sawtooth { length, hop } => {
                (spec.length_us, spec.hop_us) = (Some(length.as_micros()), Some(hop.as_micros()));
            }
            Window::Lifetime => {}
            Window::Last { events } => spec.events = Some(events),
            Window::Session { gap } => spec.gap_us = Some(gap.as_micros()),
        }
        spec
    }

    pub(crate) fn window(&self) -> Window {
        match (self.length_us, self.hop_us) {
            (Some(length), Some(hop)) if length >= 0 && hop > 0 => {
                Window::Sawtooth { length: TimeSpan::from_micros(length), hop: TimeSpan::from_micros(hop) }
            }
            _ => match (self.events, self.gap_us) {
                (Some(events), _) => Window::Last { events },
                (None, Some(gap)) => Window::Session { gap: TimeSpan::from_micros(gap) },
                (None, None) => Window::Lifetime,
            },
        }
    }

    pub(crate) fn encode(&self, canonical: &mut Canonical) {
        canonical.text(&self.window);
        for micros in [self.length_us, self.hop_us] {
            canonical.option(micros, |canonical, micros| {
                canonical.i64(micros);
            });
        }
        // The text says which of these follows, and versions of views without them stay what they were.
        if let Some(events) = self.events {
            canonical.u32(events);
        }
        if let Some(gap) = self.gap_us {
            canonical.i64(gap);
        }
    }
}

/// A view version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ViewSpec {
    pub(crate) name: String,
    pub(crate) source: SourceSpec,
    pub(crate) entity: Vec<String>,
    pub(crate) transforms: Vec<PluginSpec>,
    pub(crate) ttl_us: Option<i64>,
    pub(crate) aggregates: Vec<AggregateSpec>,
    pub(crate) latest: Vec<String>,
}

/// A service version. Its view versions are pinned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServiceSpec {
    pub(crate) name: String,
    pub(crate) features: Vec<FeatureSpec>,
    pub(crate) request: Vec<FieldSpec>,
    pub(crate) derives: Vec<PluginSpec>,
    pub(crate) views: Vec<PinnedView>,
}

/// A feature that a service returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FeatureSpec {
    pub(crate) view: String,
    pub(crate) feature: String,
}

/// A view version that a service reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PinnedView {
    pub(crate) name: String,
    pub(crate) version: ViewVersion,
}

impl ServiceSpec {
    /// The hash of everything that decides the service's values, given the transform hashes of its derived features.
    pub(crate) fn version(&self, derives: &[oast_core::TransformHash], request: &Schema) -> ServiceVersion {
        let mut canonical = Canonical::new();
        canonical.text(&self.name);
        canonical.list(&self.views, |canonical, view| {
            canonical.text(&view.name).bytes(view.version.as_bytes());
        });
        canonical.list(&self.features, |canonical, feature| {
            canonical.text(&feature.view).text(&feature.feature);
        });
        canonical.schema(request);
        canonical.list(derives, |canonical, hash| {
            canonical.bytes(hash.as_bytes());
        });
        canonical.list(&self.derives, |canonical, derive| encode_binding(derive, canonical));
        ServiceVersion::of(canonical.as_bytes())
    }
}

/// The columns a plugin is bound to.
pub(crate) fn encode_binding(plugin: &PluginSpec, canonical: &mut Canonical) {
    for names in [&plugin.input, &plugin.output] {
        canonical.option(names.as_ref(), |canonical, names| {
            canonical.list(names, |canonical, name| {
                canonical.text(name);
            });
        });
    }
}

/// A bound of a check, as JSON.
pub(crate) fn bound_json(value: &Value) -> serde_json::Value {
    crate::json::to_json(Some(value))
}
