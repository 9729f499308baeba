use std::{fs::File, os::fd::AsRawFd, sync::Arc};

use oast_core::{ComponentHash, Limits, Schema};
use wasmtime::component::{ComponentExportIndex, InstancePre, Linker, types::ComponentItem};

use crate::{
    Engine, EngineError, Package, Plugin,
    config::{MEMORIES, MEMORY_BYTES, TABLE_ELEMENTS, TABLES},
    invoke::Guard,
};

/// Which world of the contract a component exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// `row-transform`: it maps rows.
    RowTransform,
    /// `aggregation`: it folds rows into states.
    Aggregation,
}

impl World {
    /// The world's name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::RowTransform => "row-transform",
            Self::Aggregation => "aggregation",
        }
    }
}

/// The functions of a component, looked up once.
pub(crate) enum Exports {
    RowTransform { apply: ComponentExportIndex },
    Aggregation { update: ComponentExportIndex, merge: ComponentExportIndex, finish: ComponentExportIndex },
}

/// A validated and compiled component.
#[derive(Clone)]
pub struct Component(Arc<Compiled>);

pub(crate) struct Compiled {
    engine: Engine,
    package: Package,
    pub(crate) hash: ComponentHash,
    pub(crate) pre: InstancePre<Guard>,
    pub(crate) configure: ComponentExportIndex,
    pub(crate) exports: Exports,
}

impl Component {
    /// Takes what this host compiled into use.
    #[expect(unsafe_code, reason = "an artefact is native code")]
    pub(crate) fn from_artefact(engine: &Engine, hash: ComponentHash, artefact: &[u8]) -> Result<Self, EngineError> {
        // SAFETY: the artefact comes straight from this engine's own compiler.
        let component = unsafe { wasmtime::component::Component::deserialize(engine.wasmtime(), artefact) };
        Self::new(engine, hash, &component.map_err(EngineError::Invalid)?)
    }

    /// Takes what this host compiled before into use, mapped into memory: this very file, whatever has its name by now.
    #[expect(unsafe_code, reason = "an artefact is native code")]
    pub(crate) fn from_artefact_file(engine: &Engine, hash: ComponentHash, file: &File) -> Result<Self, EngineError> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        // SAFETY: the cache knows by its keyed hash that it wrote this very file itself, and nobody writes to it in place.
        let component = unsafe { wasmtime::component::Component::deserialize_file(engine.wasmtime(), path) };
        Self::new(engine, hash, &component.map_err(EngineError::Invalid)?)
    }

    fn new(
        engine: &Engine,
        hash: ComponentHash,
        component: &wasmtime::component::Component,
    ) -> Result<Self, EngineError> {
        check_imports(engine.wasmtime(), component)?;
        check_resources(component)?;
        let (package, configure, exports) = find_exports(engine.wasmtime(), component)?;
        let pre = Linker::new(engine.wasmtime()).instantiate_pre(component).map_err(EngineError::Invalid)?;
        Ok(Self(Arc::new(Compiled { engine: engine.clone(), hash, pre, package, configure, exports })))
    }

    /// The hash of the component's bytes.
    pub fn hash(&self) -> ComponentHash {
        self.0.hash
    }

    /// The names of the interfaces it exports, sorted.
    pub fn exports(&self) -> Vec<String> {
        let component = self.0.pre.component();
        let mut names: Vec<String> =
            component.component_type().exports(self.0.pre.engine()).map(|(name, _)| name.to_owned()).collect();
        names.sort();
        names
    }

    /// The version of the contract that it was built against.
    pub fn package(&self) -> Package {
        self.0.package
    }

    /// The engine that runs it.
    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The world it exports.
    pub fn world(&self) -> World {
        match self.0.exports {
            Exports::RowTransform { .. } => World::RowTransform,
            Exports::Aggregation { .. } => World::Aggregation,
        }
    }

    /// Gives the plugin its parameters (a JSON object in canonical form) and the columns at hand, and fixes its schemas.
    pub fn configure(&self, params: &str, offered: &Schema, limits: Limits) -> Result<Plugin, EngineError> {
        Plugin::configure(self.clone(), params, offered, limits)
    }

    pub(crate) fn compiled(&self) -> &Compiled {
        &self.0
    }
}

fn check_imports(engine: &wasmtime::Engine, component: &wasmtime::component::Component) -> Result<(), EngineError> {
    let imports: Vec<_> = component.component_type().imports(engine).map(|(name, _)| name.to_owned()).collect();
    if imports.is_empty() { Ok(()) } else { Err(EngineError::Imports(imports)) }
}

fn check_resources(component: &wasmtime::component::Component) -> Result<(), EngineError> {
    let too_large = |what: String, limit: String| Err(EngineError::TooLarge { what, limit });
    let Some(needs) = component.resources_required() else {
        return too_large("modules that it imports".to_owned(), "none".to_owned());
    };
    let memory_bytes = MEMORY_BYTES as u64;
    match needs {
        _ if needs.num_memories > MEMORIES => {
            too_large(format!("{} memories", needs.num_memories), MEMORIES.to_string())
        }
        _ if needs.num_tables > TABLES => too_large(format!("{} tables", needs.num_tables), TABLES.to_string()),
        _ if needs.max_initial_memory_size.is_some_and(|bytes| bytes > memory_bytes) => {
            let bytes = needs.max_initial_memory_size.unwrap_or(0);
            too_large(format!("{bytes} bytes of memory at the start"), format!("{memory_bytes} bytes"))
        }
        _ if needs.max_initial_table_size.is_some_and(|size| size > TABLE_ELEMENTS as u64) => {
            let size = needs.max_initial_table_size.unwrap_or(0);
            too_large(format!("a table of {size} elements"), TABLE_ELEMENTS.to_string())
        }
        _ => Ok(()),
    }
}

/// The functions of the newest package that the component exports a whole world of.
fn find_exports(
    engine: &wasmtime::Engine,
    component: &wasmtime::component::Component,
) -> Result<(Package, ComponentExportIndex, Exports), EngineError> {
    let found = Package::ALL.into_iter().rev().find_map(|package| {
        let find = |interface, function| package.find(component, interface, function);
        let exports = match (find("transform", "apply"), find("aggregate", "update")) {
            (Some(apply), None) => Exports::RowTransform { apply },
            (None, Some(update)) => Exports::Aggregation {
                update,
                merge: find("aggregate", "merge")?,
                finish: find("aggregate", "finish")?,
            },
            _ => return None,
        };
        Some((package, find("plugin", "configure")?, exports))
    });
    found.ok_or_else(|| {
        let is_instance = |item: &ComponentItem| matches!(item, ComponentItem::ComponentInstance(_));
        let items = component.component_type();
        let names = items.exports(engine).filter(|(_, item)| is_instance(&item.ty)).map(|(name, _)| name.to_owned());
        EngineError::World(names.collect())
    })
}

#[cfg(test)]
mod tests {
    use crate::{Engine, EngineError};

    #[test]
    fn bytes_that_are_no_component_are_refused() {
        let engine = Engine::shared().expect("an engine");
        for bytes in [&b""[..], b"garbage", b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0\xff"] {
            let error = engine.load(bytes).err().expect("bytes that are no component");
            assert!(matches!(error, EngineError::Invalid(_)), "{error:?}");
        }
    }

    #[test]
    fn a_component_without_a_world_is_refused() {
        let engine = Engine::shared().expect("an engine");
        let error = engine.load(b"\0asm\x0d\0\x01\0").err().expect("an empty component");
        assert_eq!(
            error.to_string(),
            "the component exports nothing, which is neither the world `row-transform` nor `aggregation` of \
             `oast:transform@0.2.0` or an earlier version of it"
        );
    }
}
