use std::path::Path;

use anyhow::Context;
use oast_runtime::{ComponentHash, Progress, attach_samples, load_component};
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
    let built = compile(&project)?;
    let bytes = leave(&project, &built)?;
    let hash = loaded(&project, &bytes)?;
    let path = project.component();
    if global.json {
        return output::json(&json!({ "component": hash, "path": path, "bytes": bytes.len() }));
    }
    let size = thousands(bytes.len() as u64);
    Ok(output::line(format_args!("{}.wasm  {size} bytes  {}", project.name, short(&hash)))?)
}

/// Compiles a project.
pub(crate) fn compile(project: &Project) -> anyhow::Result<Built> {
    sdk::require(project.language, &project.dir)?;
    mention_other_sdk(project)?;
    let bar = Bar::new();
    match project.language {
        Language::Rust => rust::build(project),
        Language::Python => python::build(project, &bar),
        Language::Js => javascript::build(project, &bar),
    }
}

/// Leaves the component, with the author's samples in it, and its provenance in the project.
pub(crate) fn leave(project: &Project, built: &Built) -> anyhow::Result<Vec<u8>> {
    let bytes = match std::fs::read_to_string(project.golden()) {
        Ok(golden) => attach_samples(&built.bytes, &golden)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => built.bytes.clone(),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", project.golden().display())),
    };
    let provenance = Provenance::new(project, built, ComponentHash::of(&bytes).to_string())?;
    let mut text = serde_json::to_string_pretty(&provenance)?;
    text.push('\n');
    sdk::write(&project.provenance(), text)?;
    sdk::write(&project.component(), &bytes)?;
    Ok(bytes)
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
