use std::{collections::BTreeMap, fs, process::Command};

use anyhow::Context;
use serde::Serialize;

use super::{build::Built, project::Project, sdk, sources, tool};

/// What a component was made from. It lies beside the component and decides nothing: the component's hash is its identity.
#[derive(Debug, Serialize)]
pub(crate) struct Provenance {
    /// The component hash.
    pub(crate) component: String,
    name: String,
    version: String,
    /// The version of this program.
    oast: &'static str,
    /// The hash of the SDK in the project.
    sdk: String,
    /// The tools that compiled, and their versions.
    toolchain: BTreeMap<&'static str, String>,
    lock: Lock,
    /// The hash of the project's files.
    files: String,
    /// The source's revision, if it is in a git repository.
    source: Option<Source>,
}

/// The file that pins what the source depends on.
#[derive(Debug, Serialize)]
struct Lock {
    file: &'static str,
    hash: String,
}

/// A revision of the source.
#[derive(Debug, Serialize)]
struct Source {
    revision: String,
    /// Whether the source differs from that revision.
    changed: bool,
}

impl Provenance {
    pub(crate) fn new(project: &Project, built: &Built, component: String) -> anyhow::Result<Self> {
        let lock = project.dir.join(built.lock);
        let locked = fs::read(&lock).with_context(|| format!("cannot read `{}`", lock.display()))?;
        Ok(Self {
            component,
            name: project.name.clone(),
            version: project.version.clone(),
            oast: env!("CARGO_PKG_VERSION"),
            sdk: sdk::hash_in(&project.dir).context("cannot read the SDK in `vendor`")?,
            toolchain: built.toolchain.iter().cloned().collect(),
            lock: Lock { file: built.lock, hash: blake3::hash(&locked).to_string() },
            files: sources::hash(&project.dir).context("cannot read the project's files")?,
            source: source(project),
        })
    }
}

/// Asks git, without which there is no revision.
fn source(project: &Project) -> Option<Source> {
    let git = |args: &[&str]| tool::version(Command::new("git").current_dir(&project.dir).args(args));
    let revision = git(&["rev-parse", "--verify", "--quiet", "HEAD"])?;
    let made = [format!(":(exclude){}.wasm", project.name), format!(":(exclude){}.provenance.json", project.name)];
    let status = git(&["status", "--porcelain", "--", ".", &made[0], &made[1]])?;
    Some(Source { revision, changed: !status.is_empty() })
}
