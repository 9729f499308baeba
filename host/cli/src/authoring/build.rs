use std::path::Path;

use anyhow::Context;
use oast_runtime::{ComponentHash, Progress, load_component};
use serde_json::json;

use super::{javascript, project::Project, provenance::Provenance, python, rust, sdk};
use crate::{
    args::{Global, Language},
    output::{self, short, thousands},
    progress::Bar,
};

/// What a language's toolchain made.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) bytes: Vec<u8>,
    /// The tools, and their versions.
    pub(crate) toolchain: Vec<(&'static str, String)>,
    /// The file that pins the dependencies.
    pub(crate) lock: &'static str,
}

/// `oast plugin build`
pub(crate) fn build(global: &Global, dir: &Path) -> anyhow::Result<()> {
    let project = Project::open(dir)?;
    let bytes = compile(&project)?;
    let hash = loaded(&project, &bytes)?;
    let path = project.component();
    if global.json {
        return output::json(&json!({ "component": hash, "path": path, "bytes": bytes.len() }));
    }
    let size = thousands(bytes.len() as u64);
    Ok(output::line(format_args!("{}.wasm  {size} bytes  {}", project.name, short(&hash)))?)
}

/// Compiles a project, and leaves the component and its provenance there.
pub(crate) fn compile(project: &Project) -> anyhow::Result<Vec<u8>> {
    sdk::require(project.language, &project.dir)?;
    mention_other_sdk(project)?;
    let bar = Bar::new();
    let built = match project.language {
        Language::Rust => rust::build(project),
        Language::Python => python::build(project, &bar),
        Language::Js => javascript::build(project, &bar),
    }?;
    let hash = ComponentHash::of(&built.bytes).to_string();
    let provenance = Provenance::new(project, &built, hash)?;
    let mut text = serde_json::to_string_pretty(&provenance)?;
    text.push('\n');
    sdk::write(&project.provenance(), text)?;
    sdk::write(&project.component(), &built.bytes)?;
    Ok(built.bytes)
}

/// Says when the project's SDK is not this program's. Both work; the author decides when to change.
fn mention_other_sdk(project: &Project) -> anyhow::Result<()> {
    let found = sdk::hash_in(&project.dir).context("cannot read the SDK in `vendor`")?;
    if found != sdk::hash(project.language) {
        let folder = sdk::FOLDER;
        eprintln!("note: `{folder}` is not the SDK of this oast; delete the folder and build again to take that one");
    }
    Ok(())
}

/// The component hash of bytes that the engine takes; or why it does not.
fn loaded(project: &Project, bytes: &[u8]) -> anyhow::Result<String> {
    let bar = Bar::new();
    bar.phase("loading the component", None);
    let hash = load_component(bytes, &project.artefacts()).context("the engine refuses the component")?;
    Ok(hash.to_string())
}
