use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use oast_core::{
    Canonical, ComponentHash, Limits, Timestamp, TransformHash,
    definition::{
        Aggregate, Check, Definition, FeatureRef, Location, PluginRef, PluginUse, Service as ServiceDef,
        Source as SourceDef, View as ViewDef, ViewFeatures, nearest,
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    LockFile, Progress, Runtime, RuntimeError,
    binding::Bound,
    checks::PluginUseAt,
    library::OwnBuilds,
    replay::in_schema,
    retention,
    service::Service,
    spec::{
        AggregateSpec, CheckSpec, FeatureSpec, PinnedView, PluginSpec, ServiceSpec, SourceSpec, ViewSpec, WindowSpec,
        bound_json, field_specs, schema_of,
    },
    view::View,
};

/// What `apply` did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ApplyReport {
    /// What became of each source, view and service, in that order.
    pub changes: Vec<Change>,
    /// What the caller should know beside that.
    pub notes: Vec<String>,
    /// The plugin references with what they stand for, to be written to `oast.lock`.
    #[serde(skip)]
    pub lock: LockFile,
}

/// What became of one definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// `source`, `view` or `service`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// `new`, `changed` or `unchanged`.
    pub change: String,
    /// The version that is current now.
    pub hash: String,
    /// The version that was current before, if that was another.
    pub previous: Option<String>,
}

/// Reads `oast.toml` with the files it includes.
pub fn read_definition(path: &Path) -> Result<Definition, RuntimeError> {
    Definition::parse(&read_definition_files(path)?).map_err(RuntimeError::Definition)
}

/// The texts of `oast.toml` and of the files it includes, with their names.
pub(crate) fn read_definition_files(path: &Path) -> Result<Vec<(PathBuf, String)>, RuntimeError> {
    let main = read_text(path)?;
    let dir = path.parent().unwrap_or(Path::new(""));
    let mut files = vec![(path.to_owned(), main.clone())];
    for include in Definition::includes(path, &main).map_err(RuntimeError::Definition)? {
        let found = expand(dir, &include.pattern, &include.location)?;
        for path in found {
            let text = read_text(&path)?;
            files.push((path, text));
        }
    }
    Ok(files)
}

fn read_text(path: &Path) -> Result<String, RuntimeError> {
    std::fs::read_to_string(path).map_err(|source| RuntimeError::File { action: "read", path: path.to_owned(), source })
}

/// The files that an include pattern stands for, sorted.
fn expand(dir: &Path, pattern: &str, location: &Location) -> Result<Vec<PathBuf>, RuntimeError> {
    let failed = |message: String, hint: &str| RuntimeError::Resolve {
        location: location.to_string(),
        message,
        hint: Some(hint.to_owned()),
    };
    let full = dir.join(pattern);
    let paths = glob::glob(&full.to_string_lossy()).map_err(|error| {
        failed(format!("`{pattern}` is not a pattern: {error}"), "write a path, for example `features/*.toml`")
    })?;
    let mut found: Vec<PathBuf> = paths.filter_map(Result::ok).collect();
    found.sort();
    if found.is_empty() {
        return Err(failed(
            format!("`{pattern}` matches no file"),
            "patterns are relative to the file that includes them",
        ));
    }
    Ok(found)
}

impl Runtime {
    /// Resolves a definition, publishes what is new or changed, and says what that was. `dir` is where the definition's own
    /// plugins are looked for. Nothing is published unless everything resolves.
    pub fn apply(&self, definition: &Definition, lock: &LockFile, dir: &Path) -> Result<ApplyReport, RuntimeError> {
        self.apply_with(definition, lock, dir, &())
    }

    /// Does what [`Self::apply`] does, and shows how far the checks of its plugins are.
    pub fn apply_with(
        &self,
        definition: &Definition,
        lock: &LockFile,
        dir: &Path,
        progress: &dyn Progress,
    ) -> Result<ApplyReport, RuntimeError> {
        self.apply_own(definition, lock, OwnBuilds::Beside(dir), progress)
    }

    pub(crate) fn apply_own(
        &self,
        definition: &Definition,
        lock: &LockFile,
        own: OwnBuilds<'_>,
        progress: &dyn Progress,
    ) -> Result<ApplyReport, RuntimeError> {
        let Resolved { sources, views, services, lock, notes, uses } = self.resolve(definition, lock, own)?;
        self.check_uses(uses.into_values().collect(), progress)?;
        sources.values().try_for_each(|spec| self.check_columns(spec, progress))?;
        let mut changes = Vec::new();
        for spec in sources.values() {
            let hash = record_hash(spec);
            changes.push(self.publish("source", &spec.name, &hash, spec)?);
        }
        for view in views.values() {
            changes.push(self.publish("view", &view.spec.name, &view.version.to_string(), &view.spec)?);
        }
        for service in &services {
            changes.push(self.publish("service", &service.spec.name, &service.version.to_string(), &service.spec)?);
        }
        self.reload(progress)?;
        self.set_retention()?;
        Ok(ApplyReport { changes, notes, lock })
    }

    /// Finds and compiles all that a definition names. Nothing is published.
    pub(crate) fn resolve(
        &self,
        definition: &Definition,
        lock: &LockFile,
        own: OwnBuilds<'_>,
    ) -> Result<Resolved, RuntimeError> {
        let mut resolver =
            Resolver { runtime: self, lock: lock.clone(), own, notes: Vec::new(), uses: BTreeMap::new() };
        let sources: BTreeMap<_, _> =
            definition.sources.iter().map(|(name, source)| (name.clone(), source_spec(source))).collect();
        let mut views = BTreeMap::new();
        for view in definition.views.values() {
            views.insert(view.name.clone(), Arc::new(resolver.view(view, &sources[&view.source])?));
        }
        let mut services = Vec::new();
        for service in definition.services.values() {
            services.push(resolver.service(service, &views)?);
        }
        let Resolver { lock, notes, uses, .. } = resolver;
        Ok(Resolved { sources, views, services, lock, notes, uses })
    }

    /// Refuses a source's new columns if events that are logged already cannot be read with them.
    fn check_columns(&self, spec: &SourceSpec, progress: &dyn Progress) -> Result<(), RuntimeError> {
        if self.catalog.current("source", &spec.name)?.is_none() {
            return Ok(());
        }
        let current: SourceSpec = self.current_spec("source", &spec.name)?;
        let end = self.log.next_offset();
        if current.columns == spec.columns || end == 0 {
            return Ok(());
        }
        let schema = schema_of(&spec.columns)?;
        progress.phase(&format!("reading the events of {} with its new columns", spec.name), Some(end));
        for events in self.log.scan(Some(&spec.name), 0..end)? {
            let events = events?;
            in_schema(&schema, &events.schema, &events.rows, &events.source)?;
            progress.advance(events.rows.rows as u64);
        }
        Ok(())
    }

    fn publish(&self, kind: &str, name: &str, hash: &str, spec: &impl Serialize) -> Result<Change, RuntimeError> {
        let previous = self.catalog.current(kind, name)?.map(|current| current.hash);
        let change = match &previous {
            None => "new",
            Some(previous) if previous == hash => "unchanged",
            Some(_) => "changed",
        };
        if change != "unchanged" {
            let record = serde_json::to_value(spec).expect("a specification is JSON");
            self.catalog.put_record(kind, name, hash, &record)?;
            self.catalog.publish(kind, name, hash, self.publication_time())?;
        }
        let previous = previous.filter(|previous| previous != hash);
        let text = |text: &str| text.to_owned();
        Ok(Change { kind: text(kind), name: text(name), change: text(change), hash: text(hash), previous })
    }

    /// When something is published: the wall clock, whatever time lookups live in. It decides no result.
    pub(crate) fn publication_time(&self) -> Timestamp {
        oast_store::LogClock::system().tick()
    }
}

/// A source has no version that decides values; this hash only tells whether its definition changed.
fn record_hash(spec: &SourceSpec) -> String {
    let json = serde_json::to_string(spec).expect("a specification is JSON");
    blake3::Hasher::new_derive_key("oast 2026 source definition v1")
        .update(Canonical::new().text(&json).as_bytes())
        .finalize()
        .to_hex()
        .to_string()
}

fn source_spec(source: &SourceDef) -> SourceSpec {
    SourceSpec {
        name: source.name.clone(),
        columns: field_specs(&source.schema),
        keys: source.keys.clone(),
        event_time: source.event_time.clone(),
        available_time: source.available_time.clone(),
        idempotency_key: source.idempotency_key.clone(),
        retention_us: source.retention.map(|span| span.as_micros()),
        max_future_us: source.max_future.as_micros(),
        checks: source.checks.iter().map(check_spec).collect(),
    }
}

fn check_spec(check: &Check) -> CheckSpec {
    CheckSpec {
        field: check.field.clone(),
        min: check.min.as_ref().map(bound_json),
        max: check.max.as_ref().map(bound_json),
        one_of: check.one_of.as_ref().map(|values| values.iter().map(bound_json).collect()),
    }
}

/// What a definition means, before it is published.
pub(crate) struct Resolved {
    sources: BTreeMap<String, SourceSpec>,
    pub(crate) views: BTreeMap<String, Arc<View>>,
    pub(crate) services: Vec<Service>,
    lock: LockFile,
    notes: Vec<String>,
    uses: BTreeMap<TransformHash, PluginUseAt>,
}

/// Turns what a definition names into what it means.
struct Resolver<'r> {
    /// The uses of plugins, each once, with the first place that has it.
    uses: BTreeMap<TransformHash, PluginUseAt>,
    runtime: &'r Runtime,
    lock: LockFile,
    own: OwnBuilds<'r>,
    notes: Vec<String>,
}

impl Resolver<'_> {
    fn view(&mut self, definition: &ViewDef, source: &SourceSpec) -> Result<View, RuntimeError> {
        let transforms = definition.transforms.iter().map(|plugin| self.plugin(plugin)).collect::<Result<_, _>>()?;
        let mut uses: Vec<&PluginUse> = definition.transforms.iter().collect();
        let (aggregates, latest) = match &definition.features {
            ViewFeatures::Latest(columns) => (Vec::new(), columns.clone()),
            ViewFeatures::Aggregates(aggregates) => {
                uses.extend(aggregates.iter().map(|aggregate| &aggregate.plugin));
                let specs = aggregates.iter().map(|aggregate| self.aggregate(aggregate)).collect::<Result<_, _>>()?;
                (specs, Vec::new())
            }
        };
        let spec = ViewSpec {
            name: definition.name.clone(),
            source: source.clone(),
            entity: definition.entity.clone(),
            transforms,
            ttl_us: definition.ttl.map(|span| span.as_micros()),
            aggregates,
            latest,
        };
        let runtime = self.runtime;
        let locate = |at: usize| uses.get(at).map_or(&definition.location, |plugin| &plugin.location).to_string();
        let view = View::compile(spec, &runtime.library, &runtime.catalog).map_err(|error| {
            let location = locate(error.plugin_use);
            error.at(location)
        })?;
        retention::check_view(&view, &definition.location)?;
        for (at, (spec, bound)) in view.plugins().into_iter().enumerate() {
            note_use(&mut self.uses, locate(at), format!("view `{}`", view.spec.name), spec, bound);
        }
        Ok(view)
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Result<AggregateSpec, RuntimeError> {
        Ok(AggregateSpec {
            plugin: self.plugin(&aggregate.plugin)?,
            name: aggregate.name.clone(),
            windows: aggregate.windows.iter().map(|(text, window)| WindowSpec::new(text, *window)).collect(),
            outputs: aggregate.outputs.clone(),
        })
    }

    fn service(&mut self, service: &ServiceDef, views: &BTreeMap<String, Arc<View>>) -> Result<Service, RuntimeError> {
        let derives = service.derives.iter().map(|plugin| self.plugin(plugin)).collect::<Result<Vec<_>, _>>()?;
        let mut features = Vec::new();
        for reference in &service.features {
            features.extend(features_of(reference, views, &service.location)?);
        }
        let mut names: Vec<String> = features.iter().map(|feature| feature.view.clone()).collect();
        names.extend(
            derives
                .iter()
                .flat_map(|derive| derive.input.iter().flatten())
                .filter_map(|input| input.split_once(':').map(|(view, _)| view.to_owned())),
        );
        let mut used: Vec<Arc<View>> = Vec::new();
        for view in names.iter().filter_map(|name| views.get(name)) {
            if !used.iter().any(|each| each.version == view.version) {
                used.push(view.clone());
            }
        }
        let pinned =
            used.iter().map(|view| PinnedView { name: view.spec.name.clone(), version: view.version }).collect();
        let spec = ServiceSpec {
            name: service.name.clone(),
            features,
            request: field_specs(&service.request),
            derives,
            views: pinned,
        };
        let runtime = self.runtime;
        let locate =
            |at: usize| service.derives.get(at).map_or(&service.location, |plugin| &plugin.location).to_string();
        let compiled = Service::compile(spec, used, &runtime.library, &runtime.catalog).map_err(|error| {
            let location = locate(error.plugin_use);
            error.at(location)
        })?;
        for (at, (spec, bound)) in compiled.plugins().enumerate() {
            note_use(&mut self.uses, locate(at), format!("service `{}`", service.name), spec, bound);
        }
        Ok(compiled)
    }

    /// Finds the component of a use of a plugin, keeps its bytes and pins it.
    fn plugin(&mut self, plugin: &PluginUse) -> Result<PluginSpec, RuntimeError> {
        let reference = plugin.plugin.to_string();
        let component = match self.lock.pinned(&reference) {
            Some(hash) if self.is_at_hand(hash)? => {
                self.note_other_build(plugin, hash)?;
                hash
            }
            _ => self.resolve(plugin)?,
        };
        self.note_shadowed(plugin, component)?;
        self.lock.pin(reference.clone(), component);
        Ok(PluginSpec {
            plugin: reference,
            component,
            params: plugin.params.clone(),
            input: plugin.input.clone(),
            output: plugin.output.clone(),
            limits: Limits::default(),
        })
    }

    /// Says so when the author's own build of a plugin is not the one that is pinned.
    fn note_other_build(&mut self, plugin: &PluginUse, pinned: ComponentHash) -> Result<(), RuntimeError> {
        if let Some((path, bytes)) = self.own.find(&plugin.plugin)?
            && ComponentHash::of(&bytes) != pinned
        {
            self.note(format!("`{path}` is not the component that oast.lock pins; `oast apply --update` takes it"));
        }
        Ok(())
    }

    /// Says so when the author's own build takes the place of a standard plugin.
    fn note_shadowed(&mut self, plugin: &PluginUse, component: ComponentHash) -> Result<(), RuntimeError> {
        let (PluginRef::Name(name) | PluginRef::Version { name, .. }) = &plugin.plugin else { return Ok(()) };
        let library = &self.runtime.library;
        if library.standard_names().contains(&name.as_str())
            && !library.is_standard(component)
            && let Some((path, bytes)) = self.own.find(&plugin.plugin)?
            && ComponentHash::of(&bytes) == component
        {
            self.note(format!("`{name}` is `{path}` here, not the standard plugin of that name"));
        }
        Ok(())
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Whether a pinned component can be had; a standard one of this very binary is published on the way.
    fn is_at_hand(&self, hash: ComponentHash) -> Result<bool, RuntimeError> {
        let pinned = oast_core::definition::PluginRef::Hash(hash);
        let found = self.runtime.library.find(&pinned, &self.own, &self.runtime.catalog)?;
        if let Some(found) = &found {
            self.runtime.catalog.put_component(&found.bytes)?;
        }
        Ok(found.is_some())
    }

    fn resolve(&self, plugin: &PluginUse) -> Result<ComponentHash, RuntimeError> {
        let runtime = self.runtime;
        let found = runtime.library.find(&plugin.plugin, &self.own, &runtime.catalog)?;
        let found = found.ok_or_else(|| RuntimeError::Resolve {
            location: plugin.location.to_string(),
            message: format!("there is no plugin `{}`", plugin.plugin),
            hint: Some(self.hint_for_unknown(&plugin.plugin)),
        })?;
        let refused =
            |source| RuntimeError::Plugin { location: plugin.location.to_string(), plugin: found.name.clone(), source };
        runtime.library.load(&found.bytes).map_err(refused)?;
        Ok(runtime.catalog.put_component(&found.bytes)?)
    }

    fn hint_for_unknown(&self, plugin: &PluginRef) -> String {
        let standard = self.runtime.library.standard_names();
        let meant = match plugin {
            PluginRef::Name(name) | PluginRef::Version { name, .. } => nearest(name, standard.iter().copied()),
            PluginRef::Hash(_) => None,
        };
        let own = "your own is found as `plugins/<name>.wasm` or `plugins/<name>/<name>.wasm` beside oast.toml";
        match meant {
            Some(meant) => format!("did you mean `{meant}`? {own}"),
            None => format!("standard plugins are {}; {own}", standard.join(", ")),
        }
    }
}

fn note_use(
    uses: &mut BTreeMap<TransformHash, PluginUseAt>,
    location: String,
    name: String,
    spec: &PluginSpec,
    bound: &Bound,
) {
    uses.entry(bound.hash()).or_insert_with(|| PluginUseAt {
        location,
        name,
        reference: spec.plugin.clone(),
        params: spec.params.clone(),
        plugin: bound.plugin.clone(),
    });
}

/// The features that a reference stands for.
fn features_of(
    reference: &FeatureRef,
    views: &BTreeMap<String, Arc<View>>,
    location: &Location,
) -> Result<Vec<FeatureSpec>, RuntimeError> {
    let view = &views[&reference.view];
    let feature = |name: &str| FeatureSpec { view: reference.view.clone(), feature: name.to_owned() };
    match &reference.feature {
        None => Ok(view.features.iter().map(|field| feature(&field.name)).collect()),
        Some(name) if view.feature_index(name).is_some() => Ok(vec![feature(name)]),
        Some(name) => {
            let names: Vec<_> = view.features.iter().map(|field| field.name.as_str()).collect();
            Err(RuntimeError::Resolve {
                location: location.to_string(),
                message: format!("view `{}` has no feature `{name}`", reference.view),
                hint: Some(format!("its features are {}", names.join(", "))),
            })
        }
    }
}
