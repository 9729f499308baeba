use std::sync::Arc;

use oast_store::Publication;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Runtime, RuntimeError,
    checks::remembered,
    publish::{PUBLISHED, version_of},
    service::Service,
    spec::{ServiceSpec, ViewSpec},
    view::{CompileError, CompileFailure, View},
};

/// The kinds of things that are published, in the order in which lists show them.
const KINDS: [&str; 4] = ["source", "view", "service", PUBLISHED];

/// A published version of a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CatalogEntry {
    /// `source`, `view`, `service` or `plugin`.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The version.
    pub hash: String,
    /// The semantic version that a plugin gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semantic_version: Option<String>,
    /// When it was published, in RFC 3339.
    pub published_at: String,
}

impl Runtime {
    /// The current version of every name.
    pub fn catalog_list(&self) -> Result<Vec<CatalogEntry>, RuntimeError> {
        let mut entries = Vec::new();
        for kind in KINDS {
            for name in self.catalog.names(kind)? {
                if let Some(current) = self.catalog.current(kind, &name)? {
                    entries.push(self.entry(kind, &name, current)?);
                }
            }
        }
        Ok(entries)
    }

    /// Every version that a name has had, oldest first.
    pub fn catalog_history(&self, name: &str) -> Result<Vec<CatalogEntry>, RuntimeError> {
        let mut entries = Vec::new();
        for kind in KINDS {
            for version in self.catalog.history(kind, name)? {
                entries.push(self.entry(kind, name, version)?);
            }
        }
        if entries.is_empty() {
            let hint = Some("`oast catalog list` shows what is published".to_owned());
            return Err(RuntimeError::Unknown { kind: "source, view or service", name: name.to_owned(), hint });
        }
        Ok(entries)
    }

    fn entry(&self, kind: &str, name: &str, publication: Publication) -> Result<CatalogEntry, RuntimeError> {
        let Publication { hash, published_at } = publication;
        let semantic_version = match kind {
            PUBLISHED => version_of(&self.catalog, name, &hash)?,
            _ => None,
        };
        let (kind, name, published_at) = (kind.to_owned(), name.to_owned(), published_at.to_string());
        Ok(CatalogEntry { kind, name, hash, semantic_version, published_at })
    }

    /// What a name stands for: its current version, or the one whose hash begins with `hash`.
    pub fn catalog_show(&self, name: &str, hash: Option<&str>) -> Result<serde_json::Value, RuntimeError> {
        if let Some(shown) = self.show_bound_plugin(name, hash)? {
            return Ok(shown);
        }
        let matching = |entry: &CatalogEntry| hash.is_none_or(|hash| entry.hash.starts_with(hash));
        let versions = self.catalog_history(name)?;
        let found = versions.iter().rev().find(|entry| matching(entry));
        let entry = found.ok_or_else(|| RuntimeError::Unknown {
            kind: "version",
            name: format!("{name}@{}", hash.unwrap_or_default()),
            hint: Some(format!("`oast catalog history {name}` lists the versions")),
        })?;
        let record = self.catalog.record(&entry.kind, &entry.hash)?;
        let record = record.ok_or_else(|| self.unknown("version", &entry.hash))?;
        let mut shown = serde_json::json!({
            "kind": entry.kind, "name": entry.name, "hash": entry.hash,
            "published_at": entry.published_at, "definition": record.record,
        });
        if entry.kind == PUBLISHED {
            let checks = remembered(&self.catalog)?;
            let of_component = checks.iter().filter(|check| check.component.to_string() == entry.hash);
            shown["checks"] = of_component.map(|check| serde_json::json!(check)).collect();
            shown["quarantined"] = serde_json::json!(self.catalog.quarantined(entry.hash.parse()?)?);
        }
        Ok(shown)
    }

    /// What was checked of a plugin that definitions use and nobody published, such as one of the standard library: the
    /// newest component under that name comes last.
    fn show_bound_plugin(&self, name: &str, hash: Option<&str>) -> Result<Option<serde_json::Value>, RuntimeError> {
        for kind in KINDS {
            if self.catalog.current(kind, name)?.is_some() {
                return Ok(None);
            }
        }
        let mut checks = remembered(&self.catalog)?;
        let wanted = |component: &str| hash.is_none_or(|hash| component.starts_with(hash));
        checks.retain(|check| check.used.plugin == name && wanted(&check.component.to_string()));
        let Some(first) = checks.first() else { return Ok(None) };
        let (component, engine) = (first.component, self.fingerprint());
        let quarantined = self.catalog.quarantined(component)?;
        Ok(Some(serde_json::json!({
            "kind": PUBLISHED, "name": name, "hash": component, "engine": engine,
            "quarantined": quarantined, "checks": checks,
        })))
    }

    /// The hash of the current version of a name.
    pub(crate) fn current_hash(&self, kind: &'static str, name: &str) -> Result<String, RuntimeError> {
        let current = self.catalog.current(kind, name)?;
        current.map(|current| current.hash).ok_or_else(|| self.unknown(kind, name))
    }

    /// The specification of the current version of a name.
    pub(crate) fn current_spec<T: DeserializeOwned>(&self, kind: &'static str, name: &str) -> Result<T, RuntimeError> {
        self.spec(kind, &self.current_hash(kind, name)?)
    }

    pub(crate) fn spec<T: DeserializeOwned>(&self, kind: &'static str, hash: &str) -> Result<T, RuntimeError> {
        let record = self.catalog.record(kind, hash)?.ok_or_else(|| self.unknown(kind, hash))?;
        let stored = |source| RuntimeError::Stored { what: format!("{kind} `{}`", record.name), source };
        serde_json::from_value(record.record).map_err(stored)
    }

    /// Compiles a published view version and makes sure that it is what its hash says.
    pub(crate) fn view_version(&self, version: &str) -> Result<View, RuntimeError> {
        let spec: ViewSpec = self.spec("view", version)?;
        let name = spec.name.clone();
        let view = View::compile(spec, &self.library, &self.catalog).map_err(|error| error.unlocated(&name))?;
        if view.version.to_string() == version { Ok(view) } else { Err(RuntimeError::Catalog { kind: "view", name }) }
    }

    /// Compiles a published service version with the view versions it pins.
    pub(crate) fn service_version(&self, version: &str) -> Result<Service, RuntimeError> {
        let spec: ServiceSpec = self.spec("service", version)?;
        let name = spec.name.clone();
        let views = spec.views.iter().map(|pinned| self.view_version(&pinned.version.to_string()).map(Arc::new));
        let views = views.collect::<Result<_, _>>()?;
        let service =
            Service::compile(spec, views, &self.library, &self.catalog).map_err(|error| error.unlocated(&name))?;
        let sound = service.version.to_string() == version;
        if sound { Ok(service) } else { Err(RuntimeError::Catalog { kind: "service", name }) }
    }

    /// A service by name, or by the hash (or its beginning) of one of its versions.
    pub(crate) fn find_service(&self, name: &str) -> Result<Service, RuntimeError> {
        if let Some(current) = self.catalog.current("service", name)? {
            return self.service_version(&current.hash);
        }
        let records = self.catalog.records("service")?;
        let mut matching = records.iter().filter(|record| name.len() >= 6 && record.hash.starts_with(name));
        match (matching.next(), matching.next()) {
            (Some(record), None) => self.service_version(&record.hash),
            _ => Err(self.unknown("service", name)),
        }
    }

    /// An error that names what there is instead.
    pub(crate) fn unknown(&self, kind: &'static str, name: &str) -> RuntimeError {
        let names = self.catalog.names(kind).unwrap_or_default();
        let hint = if names.is_empty() {
            format!("publish a {kind} with `oast apply`; `oast catalog list` shows what is published")
        } else {
            format!("published: {}", names.join(", "))
        };
        RuntimeError::Unknown { kind, name: name.to_owned(), hint: Some(hint) }
    }
}

impl CompileError {
    /// The error of a published version, which has no place in a definition file.
    pub(crate) fn unlocated(self, name: &str) -> RuntimeError {
        self.at(format!("published `{name}`"))
    }

    /// The error with the place that the failing use of a plugin has in the definition files.
    pub(crate) fn at(self, location: String) -> RuntimeError {
        use crate::binding::BindError;
        match *self.error {
            CompileFailure::Runtime(error) => error,
            CompileFailure::Bind(BindError::Engine(source)) => {
                RuntimeError::Plugin { location, plugin: self.plugin, source }
            }
            CompileFailure::Bind(BindError::Columns { message, hint }) => {
                RuntimeError::Resolve { location, message, hint }
            }
        }
    }
}
