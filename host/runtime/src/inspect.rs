use oast_core::{ComponentHash, Limits, Schema};
use oast_engine::{Engine, EngineError};
use serde::Serialize;

use crate::{RuntimeError, spec::field_specs};

/// What can be told of a component by looking at it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// The component hash.
    pub hash: ComponentHash,
    /// The world it exports.
    pub world: &'static str,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it says of itself without parameters or columns, if it can.
    pub descriptor: Option<InspectedDescriptor>,
    /// Why it says nothing without parameters or columns.
    pub configure_error: Option<String>,
}

/// A descriptor, for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InspectedDescriptor {
    /// The plugin's name.
    pub name: String,
    /// Its semantic version.
    pub version: String,
    /// What it computes, in Markdown.
    pub documentation: String,
    /// The columns it takes, as `name: type`.
    pub input: Vec<String>,
    /// The columns it gives, as `name: type`.
    pub output: Vec<String>,
    /// Whether the order of rows within a state matters by more than rounding.
    pub order_sensitive: bool,
}

/// Loads a component as publication would, and says what it is.
pub fn inspect(component: &[u8]) -> Result<Inspection, RuntimeError> {
    let refused =
        |source| RuntimeError::Plugin { location: "component".to_owned(), plugin: "component".to_owned(), source };
    let loaded = Engine::shared()?.load(component).map_err(refused)?;
    let configured = loaded.configure("{}", &Schema::default(), Limits::default());
    let (descriptor, configure_error) = match configured {
        Ok(plugin) => (Some(InspectedDescriptor::from(plugin.descriptor())), None),
        Err(EngineError::Configure(message)) => (None, Some(message)),
        Err(error) => return Err(refused(error)),
    };
    Ok(Inspection {
        hash: loaded.hash(),
        world: loaded.world().name(),
        bytes: component.len() as u64,
        descriptor,
        configure_error,
    })
}

impl From<&oast_core::Descriptor> for InspectedDescriptor {
    fn from(descriptor: &oast_core::Descriptor) -> Self {
        let columns =
            |schema| field_specs(schema).into_iter().map(|spec| format!("{}: {}", spec.name, spec.data_type)).collect();
        Self {
            name: descriptor.name.clone(),
            version: descriptor.version.clone(),
            documentation: descriptor.documentation.clone(),
            input: columns(&descriptor.input),
            output: columns(&descriptor.output),
            order_sensitive: descriptor.order_sensitive,
        }
    }
}
