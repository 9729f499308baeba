use std::{io, path::PathBuf};

use oast_core::{ComponentHash, Failure};

/// A failure of the host, or a component that cannot be used at all. What a plugin says of a row is never one of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Wasmtime refused the configuration, or the machine cannot give the memory that it reserves.
    #[error("the engine cannot start")]
    Start(#[source] wasmtime::Error),
    /// The bytes are no component that this engine runs.
    #[error("not a component that Oast can run")]
    Invalid(#[source] wasmtime::Error),
    /// The component cannot be compiled within what compiling may take.
    #[error("{status}")]
    CompileLimit {
        /// How the compiling process ended, and what it was allowed.
        status: String,
    },
    /// The program that compiles cannot be started or heard.
    #[error("cannot compile with `{}`", program.display())]
    Compiler {
        /// The program.
        program: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The folder for compiled components cannot be used.
    #[error("cannot keep compiled components in `{}`", folder.display())]
    Artefacts {
        /// The folder.
        folder: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The component wants something from outside.
    #[error("the component imports {}, and a component may import nothing", list(.0))]
    Imports(Vec<String>),
    /// The component exports neither world.
    #[error(
        "the component exports {}, which is neither the world `row-transform` nor `aggregation` of `oast:transform@0.2.0` or an earlier version of it",
        list(.0)
    )]
    World(Vec<String>),
    /// The component needs more than any limit allows.
    #[error("the component needs {what}, more than the limit of {limit}")]
    TooLarge {
        /// What it needs too much of, with the amount.
        what: String,
        /// The limit.
        limit: String,
    },
    /// The plugin refused its parameters or the columns it was offered.
    #[error("{0}")]
    Configure(String),
    /// The plugin died in `configure`.
    #[error("`configure` {0}")]
    ConfigureFailed(Failure),
    /// The descriptor breaks the contract.
    #[error("the descriptor is malformed: {0}")]
    Descriptor(String),
    /// An invocation could not be carried out, through no fault of the plugin.
    #[error("component {component} could not be invoked")]
    Invoke {
        /// The component.
        component: ComponentHash,
        /// What went wrong.
        #[source]
        source: wasmtime::Error,
    },
}

impl EngineError {
    /// What to do about it, if there is something to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Imports(_) => Some(
                "build for `wasm32-unknown-unknown`, which has no WASI; clocks, random numbers and files are not available \
                 to a plugin",
            ),
            Self::Invalid(_) => {
                Some("build the plugin again; the file may be truncated, or a core module rather than a component")
            }
            Self::World(_) => {
                Some("build the plugin with oast-sdk, or export one of the worlds in `wit/transform.wit`")
            }
            Self::TooLarge { .. } => {
                Some("make the plugin smaller: leave out libraries and data that it does not need")
            }
            Self::CompileLimit { .. } => Some(
                "split large functions and leave out libraries; a limit of the host itself, as `ulimit -v` sets it, may be too low",
            ),
            Self::Compiler { .. } => {
                Some("run it with the `oast` binary in place, and enough memory and processes allowed")
            }
            Self::Artefacts { .. } => Some("make the folder one that this user owns, or delete it: it is made anew"),
            Self::Configure(_) => {
                Some("correct the parameters or the columns; `oast plugin inspect` shows what the plugin takes")
            }
            Self::ConfigureFailed(_) => Some("the plugin's author has to mend it; try other parameters meanwhile"),
            Self::Descriptor(_) => Some("the plugin's author has to mend what `configure` returns"),
            Self::Start(_) => Some("allow the process more address space, for example with `ulimit -v unlimited`"),
            _ => None,
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
