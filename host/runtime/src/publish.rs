//! Publishing plugins under their own names and versions, which then mean these bytes for ever.

use oast_core::{ComponentHash, Limits, Schema};
use oast_engine::{CheckReport, Component};
use oast_store::Catalog;
use serde::{Deserialize, Serialize};

use crate::{
    Progress, Runtime, RuntimeError, audit,
    checks::{self, StoredCheck},
    samples::Samples,
};

/// The kind of name and record under which plugins are published.
pub(crate) const PUBLISHED: &str = "plugin";

/// A published plugin, as the catalog keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PluginRecord {
    version: String,
    world: String,
    package: String,
    bytes: u64,
}

/// What came of publishing a plugin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PluginPublication {
    /// The name the plugin gives itself.
    pub name: String,
    /// Its semantic version.
    pub version: String,
    /// The component.
    pub component: ComponentHash,
    /// Whether it was not published before.
    pub new: bool,
    /// Whether it was in quarantine, and passed its checks again.
    pub released: bool,
    /// What was checked; nothing if these very bytes had been published before.
    pub report: Option<CheckReport>,
}

impl Runtime {
    /// Checks a component with its samples, or with the golden file given, and publishes it under the name and version that
    /// it gives itself. A name and version that is taken by other bytes stays as it is. A component in quarantine is checked
    /// with the rows that brought it there as well, and let go; one that had no name gets none by that.
    pub fn publish_plugin(
        &self,
        bytes: &[u8],
        golden: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<PluginPublication, RuntimeError> {
        let component = self.library.load(bytes).map_err(RuntimeError::Component)?;
        let samples = checks::samples_for(bytes, golden)?;
        let (name, version) = identity(&component, &samples)?;
        let mut publication =
            PluginPublication { name, version, component: component.hash(), new: true, released: false, report: None };
        match published_version(&self.catalog, &publication.name, &publication.version)? {
            Some(published) if published != component.hash() => {
                let PluginPublication { name, version, .. } = publication;
                return Err(RuntimeError::Republished { name, version, published });
            }
            published => {
                publication.released = self.catalog.quarantined(component.hash())?.is_some();
                publication.new = published.is_none() && !publication.released;
            }
        }
        if publication.new || publication.released {
            progress.phase(&format!("checking {}", publication.name), None);
            let mut report = checks::examine(&component, &samples)?;
            checks::compare_with_golden(bytes, golden, &mut report)?;
            if let Some((each, check, _)) = report.finding() {
                return Err(RuntimeError::law("component", &publication.name, &each.name, check));
            }
            if publication.released {
                audit::try_again(&self.catalog, &component)?;
            }
            self.keep_plugin(bytes, &component, &publication, &report)?;
            publication.report = Some(report);
        }
        Ok(publication)
    }

    /// Stores the component and what was checked, lets it out of quarantine, and stores its name if it is new.
    fn keep_plugin(
        &self,
        bytes: &[u8],
        component: &Component,
        publication: &PluginPublication,
        report: &CheckReport,
    ) -> Result<(), RuntimeError> {
        let hash = self.catalog.put_component(bytes)?;
        self.catalog.release(hash)?;
        for used in report.uses.iter().filter(|used| !used.plugin.is_empty()) {
            let stored = StoredCheck { component: hash, engine: report.engine, used: used.clone() };
            checks::remember(&self.catalog, &stored)?;
        }
        if !publication.new {
            return Ok(());
        }
        let record = PluginRecord {
            version: publication.version.clone(),
            world: component.world().name().to_owned(),
            package: component.package().name().to_owned(),
            bytes: bytes.len() as u64,
        };
        let record = serde_json::to_value(&record).expect("a record is JSON");
        let (name, hash) = (&publication.name, hash.to_string());
        self.catalog.put_record(PUBLISHED, name, &hash, &record)?;
        Ok(self.catalog.publish(PUBLISHED, name, &hash, self.publication_time())?)
    }
}

/// The component that is published under a name and version.
pub(crate) fn published_version(
    catalog: &Catalog,
    name: &str,
    version: &str,
) -> Result<Option<ComponentHash>, RuntimeError> {
    for publication in catalog.history(PUBLISHED, name)? {
        if version_of(catalog, name, &publication.hash)?.as_deref() == Some(version) {
            return Ok(Some(publication.hash.parse()?));
        }
    }
    Ok(None)
}

/// The semantic version of a component that was published under a name.
pub(crate) fn version_of(catalog: &Catalog, name: &str, hash: &str) -> Result<Option<String>, RuntimeError> {
    let Some(record) = catalog.record(PUBLISHED, hash)? else { return Ok(None) };
    let stored = |source| RuntimeError::Stored { what: format!("plugin `{name}`"), source };
    let plugin: PluginRecord = serde_json::from_value(record.record).map_err(stored)?;
    Ok(Some(plugin.version))
}

/// The name and version that a component gives itself, which must be such that definitions can refer to them.
fn identity(component: &Component, samples: &Samples) -> Result<(String, String), RuntimeError> {
    let configured = match samples.cases.iter().find(|sample| sample.error.is_none()) {
        Some(sample) => component.configure(&sample.params(), &sample.offered()?, Limits::default()),
        None => component.configure("{}", &Schema::default(), Limits::default()),
    };
    let plugin = configured.map_err(checks::without_samples)?;
    let descriptor = plugin.descriptor();
    let (name, version) = (descriptor.name.clone(), descriptor.version.clone());
    if !is_name(&name) {
        return Err(RuntimeError::request(
            format!("the plugin calls itself `{name}`, which is no name"),
            "a plugin's name is lower-case letters, digits and hyphens, for example `one-hot`",
        ));
    }
    if !is_version(&version) {
        return Err(RuntimeError::request(
            format!("the plugin gives itself the version `{version}`, which is none"),
            "a version is three numbers, for example `1.2.0`",
        ));
    }
    Ok((name, version))
}

fn is_name(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= 64 && name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(letters)
}

/// Three numbers, and a suffix if one follows a hyphen.
fn is_version(version: &str) -> bool {
    let (numbers, suffix) = version.split_once('-').unwrap_or((version, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let suffixes = suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-');
    numbers.split('.').count() == 3 && numbers.split('.').all(is_number) && suffixes && !suffix.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_are_what_definitions_can_refer_to() {
        for name in ["a", "one-hot", "x2"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-a", "A", "a_b", "a/b", "2x", "ü", &"x".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
        for version in ["0.1.0", "1.20.300", "1.0.0-beta.1"] {
            assert!(is_version(version), "{version}");
        }
        for version in ["", "1", "1.2", "1.2.3.4", "1.2.x", "v1.2.3", "1.2.3-", "1..3", "1.2.3-a/b"] {
            assert!(!is_version(version), "{version}");
        }
    }
}
