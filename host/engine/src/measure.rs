//! Counts what a component is made of before anything of it is compiled, and refuses what no honest plugin needs.
//!
//! Compiling takes time and memory that follow from these counts, and some of wasmtime's own readers recurse as deep as their
//! input says. So the bytes are walked once, without recursion, in time and memory proportional to their length. The limits are
//! generous: a Python interpreter with its libraries (18 MB, 40 core instances) and a JavaScript engine (12 MB) fit several times over.

use wasmparser::{
    BinaryReader, BinaryReaderError, ComponentInstance, ComponentType, ComponentTypeDeclaration, ComponentTypeRef,
    ComponentTypeSectionReader, DataSectionReader, Encoding, FunctionBody, Instance, MemoryType, Parser, Payload,
    TypeRef,
};

use crate::{
    EngineError,
    config::{MEMORIES, MEMORY_BYTES, PROPOSALS, TABLE_ELEMENTS, TABLES},
};

/// The most bytes of a component, custom sections and all.
const BYTES: u64 = 64 << 20;
/// The most core modules, and the most components within components.
const MODULES: u64 = 256;
const COMPONENTS: u64 = 256;
/// How deep components, and the types of components, lie within each other. Reading the latter recurses in wasmtime.
const DEPTH: u64 = 32;
/// The most instances, counted as often as the component around them is instantiated: doubling thirty times is cheap to write down.
const INSTANCES: u64 = 1000;
/// The most functions, and what one of them may have. A compiler's time and memory grow faster than a function does.
const FUNCTIONS: u64 = 250_000;
const FUNCTION_BYTES: u64 = 2 << 20;
const LOCALS: u64 = 20_000;
const CODE_BYTES: u64 = 48 << 20;
/// The most segments of data and of table elements.
const SEGMENTS: u64 = 50_000;
const GLOBALS: u64 = 50_000;
const TYPES: u64 = 100_000;
/// The most imports and exports of all core modules, which are joined by name.
const NAMES: u64 = 250_000;
/// The most aliases, canonical functions and exports of components.
const DEFINITIONS: u64 = 100_000;

/// What a component is made of. All counts are of what is written down, however often it is instantiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Measured {
    /// The bytes of the component.
    pub bytes: u64,
    /// The core modules in it.
    pub modules: u64,
    /// The components within it.
    pub components: u64,
    /// The instances, of modules and components, that it makes of itself, or somewhat more than that.
    pub instances: u64,
    /// The functions of all core modules, imported ones not counted.
    pub functions: u64,
    /// The bytes of the functions' bodies.
    pub code_bytes: u64,
    /// The bytes of the longest body.
    pub function_bytes_max: u64,
    /// The local variables of the function that has the most.
    pub locals_max: u64,
    /// The linear memories of all core modules.
    pub memories: u64,
    /// The bytes that those memories have at the start.
    pub memory_bytes: u64,
    /// The tables of all core modules.
    pub tables: u64,
    /// The elements that those tables have at the start.
    pub table_elements: u64,
    /// The global variables of all core modules.
    pub globals: u64,
    /// The segments of data and of table elements.
    pub segments: u64,
    /// The bytes of data.
    pub data_bytes: u64,
    /// The types of core modules and components.
    pub types: u64,
    /// The imports and exports of core modules.
    pub names: u64,
    /// The aliases, canonical functions and exports of components.
    pub definitions: u64,
    /// The bytes of custom sections, which are neither code nor data: names, producers, samples.
    pub custom_bytes: u64,
}

/// Measures a component, or says what there is too much of, and where. The bytes need not be valid otherwise.
pub fn measure(bytes: &[u8]) -> Result<Measured, EngineError> {
    let mut walk = Walk { bytes, measured: Measured::default(), open: Vec::new(), heaviest: 0 };
    walk.measured.bytes = bytes.len() as u64;
    limit(walk.measured.bytes, BYTES, "bytes", "")?;
    if !bytes.starts_with(b"\0asm") {
        return Err(EngineError::Invalid(wasmtime::Error::msg("the bytes do not begin as those of WebAssembly do")));
    }
    let mut parser = Parser::new(0);
    parser.set_features(PROPOSALS);
    for payload in parser.parse_all(bytes) {
        walk.take(payload.map_err(invalid)?)?;
    }
    Ok(walk.measured)
}

/// A module or component that has begun and not ended.
#[derive(Default)]
struct Open {
    is_module: bool,
    /// The memories of a module, imported or its own.
    memories: u64,
    /// The instances that a component makes, and how many of them are of components.
    instances: u64,
    component_instances: u64,
}

struct Walk<'b> {
    bytes: &'b [u8],
    measured: Measured,
    open: Vec<Open>,
    /// The most instances that one instance of a component which has ended stands for.
    heaviest: u64,
}

impl Walk<'_> {
    fn take(&mut self, payload: Payload<'_>) -> Result<(), EngineError> {
        match payload {
            Payload::Version { encoding, .. } => self.begin(encoding),
            Payload::End(_) => self.end(),
            Payload::CodeSectionEntry(body) => self.function(&body),
            Payload::DataSection(section) => self.data(section),
            Payload::ElementSection(section) => add(&mut self.measured.segments, section.count(), SEGMENTS, "segments"),
            Payload::GlobalSection(section) => add(&mut self.measured.globals, section.count(), GLOBALS, "globals"),
            Payload::ExportSection(section) => self.names(section.count()),
            Payload::ImportSection(section) => {
                self.names(section.count())?;
                for import in section.into_imports() {
                    if let TypeRef::Memory(_) = import.map_err(invalid)?.ty {
                        self.memory_of_module()?;
                    }
                }
                Ok(())
            }
            Payload::MemorySection(section) => {
                section.into_iter().try_for_each(|memory| self.memory(memory.map_err(invalid)?))
            }
            Payload::TableSection(section) => {
                section.into_iter().try_for_each(|table| self.table(table.map_err(invalid)?.ty.initial))
            }
            Payload::TypeSection(section) => self.types(section.count()),
            Payload::CoreTypeSection(section) => self.types(section.count()),
            Payload::ComponentTypeSection(section) => self.component_types(&section),
            Payload::InstanceSection(section) => {
                section.into_iter().try_for_each(|instance| self.instance(&instance.map_err(invalid)?))
            }
            Payload::ComponentInstanceSection(section) => {
                section.into_iter().try_for_each(|instance| self.component_instance(&instance.map_err(invalid)?))
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    if let ComponentTypeRef::Component(_) = import.map_err(invalid)?.ty {
                        return too_large("a component that is handed to another", "none", "");
                    }
                    self.definitions(1)?;
                }
                Ok(())
            }
            Payload::ComponentAliasSection(section) => self.definitions(section.count()),
            Payload::ComponentCanonicalSection(section) => self.definitions(section.count()),
            Payload::ComponentExportSection(section) => self.definitions(section.count()),
            Payload::CustomSection(section) => {
                self.measured.custom_bytes += section.data().len() as u64;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, encoding: Encoding) -> Result<(), EngineError> {
        let is_module = encoding == Encoding::Module;
        if is_module {
            add(&mut self.measured.modules, 1, MODULES, "modules")?;
        } else if !self.open.is_empty() {
            add(&mut self.measured.components, 1, COMPONENTS, "components within it")?;
        }
        self.open.push(Open { is_module, ..Open::default() });
        limit(self.open.len() as u64, DEPTH, "components within each other", "")
    }

    /// Counts the instances of a component when it is known what it instantiates: only components that have ended before.
    fn end(&mut self) -> Result<(), EngineError> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        if !open.is_module {
            let inner = open.component_instances.saturating_mul(self.heaviest.saturating_add(1));
            let instances = open.instances.saturating_add(inner);
            limit(instances, INSTANCES, "instances", "")?;
            self.heaviest = self.heaviest.max(instances);
            self.measured.instances = instances;
        }
        Ok(())
    }

    fn instance(&mut self, instance: &Instance<'_>) -> Result<(), EngineError> {
        match (instance, self.open.last_mut()) {
            (Instance::Instantiate { .. }, Some(open)) => add(&mut open.instances, 1, INSTANCES, "instances"),
            _ => self.definitions(1),
        }
    }

    fn component_instance(&mut self, instance: &ComponentInstance<'_>) -> Result<(), EngineError> {
        match (instance, self.open.last_mut()) {
            (ComponentInstance::Instantiate { .. }, Some(open)) => {
                add(&mut open.component_instances, 1, INSTANCES, "instances")
            }
            _ => self.definitions(1),
        }
    }

    fn function(&mut self, body: &FunctionBody<'_>) -> Result<(), EngineError> {
        add(&mut self.measured.functions, 1, FUNCTIONS, "functions")?;
        let place = format!("function {} ({})", self.measured.functions, self.place());
        let bytes = body.range().len() as u64;
        limit(bytes, FUNCTION_BYTES, "bytes of code", &place)?;
        self.measured.function_bytes_max = self.measured.function_bytes_max.max(bytes);
        self.measured.code_bytes += bytes;
        limit(self.measured.code_bytes, CODE_BYTES, "bytes of code", "")?;
        let mut locals = 0_u64;
        for group in body.get_locals_reader().map_err(invalid)? {
            locals += u64::from(group.map_err(invalid)?.0);
        }
        self.measured.locals_max = self.measured.locals_max.max(locals);
        limit(locals, LOCALS, "local variables", &place)
    }

    fn data(&mut self, section: DataSectionReader<'_>) -> Result<(), EngineError> {
        add(&mut self.measured.segments, section.count(), SEGMENTS, "segments")?;
        for data in section {
            self.measured.data_bytes += data.map_err(invalid)?.data.len() as u64;
        }
        Ok(())
    }

    fn memory(&mut self, memory: MemoryType) -> Result<(), EngineError> {
        self.memory_of_module()?;
        add(&mut self.measured.memories, 1, u64::from(MEMORIES), "memories")?;
        let bytes = memory.initial.saturating_mul(1 << 16);
        limit(bytes, MEMORY_BYTES as u64, "bytes of memory at the start", &self.place())?;
        self.measured.memory_bytes += bytes;
        Ok(())
    }

    /// The engine may only have multi-memory on because of this.
    fn memory_of_module(&mut self) -> Result<(), EngineError> {
        let place = self.place();
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        open.memories += 1;
        limit(open.memories, 1, "memories", &place)
    }

    fn table(&mut self, elements: u64) -> Result<(), EngineError> {
        add(&mut self.measured.tables, 1, u64::from(TABLES), "tables")?;
        limit(elements, TABLE_ELEMENTS as u64, "table elements at the start", &self.place())?;
        self.measured.table_elements += elements;
        Ok(())
    }

    fn names(&mut self, count: u32) -> Result<(), EngineError> {
        add(&mut self.measured.names, count, NAMES, "imports and exports of modules")
    }

    fn types(&mut self, count: u32) -> Result<(), EngineError> {
        add(&mut self.measured.types, count, TYPES, "types")
    }

    fn definitions(&mut self, count: u32) -> Result<(), EngineError> {
        add(&mut self.measured.definitions, count, DEFINITIONS, "aliases, canonical functions, imports and exports")
    }

    /// Walks the types of components without recursion, before anything reads them with it.
    fn component_types(&mut self, section: &ComponentTypeSectionReader<'_>) -> Result<(), EngineError> {
        let (start, end) = (section.original_position(), section.range().end);
        let mut reader = BinaryReader::new_features(&self.bytes[start..end], start, PROPOSALS);
        // What is left to read at each level: types at the first, declarations of a type below.
        let mut left = vec![section.count()];
        while let Some(items) = left.last_mut() {
            let Some(fewer) = items.checked_sub(1) else {
                left.pop();
                continue;
            };
            *items = fewer;
            self.types(1)?;
            if let Some(declarations) = read_item(&mut reader, left.len() > 1).map_err(invalid)? {
                left.push(declarations);
                limit(left.len() as u64, DEPTH, "types within each other", "")?;
            }
        }
        Ok(())
    }

    fn place(&self) -> String {
        format!("module {}", self.measured.modules)
    }
}

/// Reads a type or a declaration. When it is a type that has declarations of its own, reads no further and says how many.
fn read_item(reader: &mut BinaryReader<'_>, is_declaration: bool) -> Result<Option<u32>, BinaryReaderError> {
    const TYPE: u8 = 0x01;
    const COMPONENT: u8 = 0x41;
    const INSTANCE: u8 = 0x42;
    let mut ahead = reader.clone();
    if (!is_declaration || ahead.read_u8()? == TYPE) && matches!(ahead.read_u8()?, COMPONENT | INSTANCE) {
        let declarations = ahead.read_var_u32()?;
        *reader = ahead;
        return Ok(Some(declarations));
    }
    if is_declaration {
        reader.read::<ComponentTypeDeclaration<'_>>()?;
    } else {
        reader.read::<ComponentType<'_>>()?;
    }
    Ok(None)
}

fn add(sum: &mut u64, count: u32, at_most: u64, what: &str) -> Result<(), EngineError> {
    *sum += u64::from(count);
    limit(*sum, at_most, what, "")
}

fn limit(amount: u64, at_most: u64, what: &str, place: &str) -> Result<(), EngineError> {
    if amount <= at_most { Ok(()) } else { too_large(&format!("{amount} {what}"), &at_most.to_string(), place) }
}

fn too_large(what: &str, limit: &str, place: &str) -> Result<(), EngineError> {
    let what = if place.is_empty() { what.to_owned() } else { format!("{what} in {place}") };
    Err(EngineError::TooLarge { what, limit: limit.to_owned() })
}

fn invalid(error: BinaryReaderError) -> EngineError {
    EngineError::Invalid(error.into())
}

#[cfg(test)]
mod tests;
