use std::{path::PathBuf, sync::Arc};

use oast_core::ViewVersion;

use crate::{
    LockFile, Runtime, RuntimeError,
    apply::read_definition,
    library::OwnBuilds,
    service::Service,
    spec::{FeatureSpec, PinnedView, ServiceSpec},
    view::View,
};

/// What stands on one side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffSubject {
    /// A published view or service: `name`, `name@hash`, or the hash of a version.
    Published(String),
    /// What a definition file would publish under this name; by default the name on the other side.
    Definition {
        /// The file.
        file: PathBuf,
        /// The view or service.
        name: Option<String>,
    },
}

/// A version that is ready to be replayed. A view is replayed as a service of all its features.
pub(super) struct Subject {
    pub(super) kind: &'static str,
    pub(super) service: Arc<Service>,
}

impl Runtime {
    /// Finds one side of a comparison; the other side gives the name where a definition is not told one.
    pub(super) fn diff_subject(&self, subject: &DiffSubject, other: Option<&Subject>) -> Result<Subject, RuntimeError> {
        match subject {
            DiffSubject::Published(name) => self.published_subject(name),
            DiffSubject::Definition { file, name } => {
                let name = name.as_deref().or(other.map(|other| other.service.spec.name.as_str()));
                let name = name.ok_or_else(|| {
                    RuntimeError::request(
                        format!("`{}` may define more than one view or service", file.display()),
                        "say which: `FILE:NAME`, for example `oast.toml:delay_model`",
                    )
                })?;
                self.defined_subject(file, name)
            }
        }
    }

    fn published_subject(&self, text: &str) -> Result<Subject, RuntimeError> {
        let (name, hash) = text.split_once('@').map_or((text, None), |(name, hash)| (name, Some(hash)));
        for kind in ["service", "view"] {
            let versions = self.catalog.history(kind, name)?;
            let mut matching = versions.iter().rev();
            if let Some(found) = matching.find(|version| hash.is_none_or(|hash| version.hash.starts_with(hash))) {
                return self.version_subject(kind, &found.hash);
            }
            let records = if hash.is_none() && name.len() >= 6 { self.catalog.records(kind)? } else { Vec::new() };
            let mut matching = records.iter().filter(|record| record.hash.starts_with(name));
            if let (Some(record), None) = (matching.next(), matching.next()) {
                return self.version_subject(kind, &record.hash);
            }
        }
        let hint = "`oast catalog list` shows what is published, `oast catalog history NAME` its versions";
        Err(RuntimeError::Unknown { kind: "view or service", name: text.to_owned(), hint: Some(hint.to_owned()) })
    }

    fn version_subject(&self, kind: &'static str, hash: &str) -> Result<Subject, RuntimeError> {
        if kind == "service" {
            return Ok(Subject { kind, service: Arc::new(self.service_version(hash)?) });
        }
        self.view_subject(Arc::new(self.view_version(hash)?))
    }

    fn view_subject(&self, view: Arc<View>) -> Result<Subject, RuntimeError> {
        let name = view.spec.name.clone();
        let feature = |field: &oast_core::Field| FeatureSpec { view: name.clone(), feature: field.name.clone() };
        let version: ViewVersion = view.version;
        let spec = ServiceSpec {
            name: name.clone(),
            features: view.features.iter().map(feature).collect(),
            request: Vec::new(),
            derives: Vec::new(),
            views: vec![PinnedView { name: name.clone(), version }],
        };
        let service = Service::compile(spec, vec![view], &self.library, &self.catalog);
        Ok(Subject { kind: "view", service: Arc::new(service.map_err(|error| error.unlocated(&name))?) })
    }

    /// What a definition file would publish. Nothing is published.
    fn defined_subject(&self, file: &std::path::Path, name: &str) -> Result<Subject, RuntimeError> {
        let definition = read_definition(file)?;
        let dir = file.parent().unwrap_or(std::path::Path::new(""));
        let lock = LockFile::read(&dir.join("oast.lock"))?;
        let resolved = self.resolve(&definition, &lock, OwnBuilds::Beside(dir))?;
        if let Some(service) = resolved.services.into_iter().find(|service| service.spec.name == name) {
            return Ok(Subject { kind: "service", service: Arc::new(service) });
        }
        match resolved.views.get(name) {
            Some(view) => self.view_subject(view.clone()),
            None => Err(RuntimeError::Unknown {
                kind: "view or service",
                name: name.to_owned(),
                hint: Some(format!("`{}` does not define it", file.display())),
            }),
        }
    }
}
