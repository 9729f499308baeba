//! Plugins in JavaScript and TypeScript, bundled by esbuild and compiled by componentize-js with StarlingMonkey.

use std::{fs, process::Command};

use anyhow::Context;
use oast_runtime::Progress;

use super::{build::Built, project::Project, sdk, tool};
use crate::{progress::Bar, report::Failure};

const INSTALL: &str = "install Node.js 20 or newer, which comes with npm";
const LOCK: &str = "package-lock.json";

/// Compiles a project.
pub(crate) fn build(project: &Project, bar: &Bar) -> anyhow::Result<Built> {
    require_packages(project, bar)?;
    bar.phase("compiling", None);
    let out = project.work().join("js").join("component.wasm");
    let script = project.dir.join(sdk::FOLDER).join("js").join("build.mjs");
    let mut node = Command::new("node");
    node.current_dir(&project.dir).arg(script).args([source(project)?, &project.name, &project.version]).arg(&out);
    tool::run(&mut node, "compiling", INSTALL)?;
    bar.clear();
    let bytes = fs::read(&out).with_context(|| format!("componentize-js left no `{}`", out.display()))?;
    let node = tool::version(Command::new("node").arg("--version"));
    Ok(Built { bytes, toolchain: node.map(|version| ("node", version)).into_iter().collect(), lock: LOCK })
}

fn source(project: &Project) -> Result<&'static str, Failure> {
    let source = ["plugin.ts", "plugin.js"].into_iter().find(|file| project.dir.join(file).is_file());
    source.ok_or_else(|| {
        Failure::input("there is neither `plugin.js` nor `plugin.ts`", "write the plugin in one of them")
    })
}

/// Installs the packages that the lock file names, or those of another lock file than the last time.
fn require_packages(project: &Project, bar: &Bar) -> anyhow::Result<()> {
    let lock = fs::read(project.dir.join(LOCK));
    let stamp = project.dir.join("node_modules/.oast-lock");
    if lock.as_ref().is_ok_and(|lock| fs::read(&stamp).is_ok_and(|installed| installed == *lock)) {
        return Ok(());
    }
    bar.phase("installing packages", None);
    // Not `npm ci`, which refuses a lock file without the optional packages that were never published for some platforms.
    let mut npm = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    npm.current_dir(&project.dir).arg("install");
    if lock.is_ok() {
        npm.arg("--no-save");
    }
    npm.args(["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    tool::run(&mut npm, "installing what `package.json` names", INSTALL)?;
    let lock = fs::read(project.dir.join(LOCK)).context("npm left no lock file")?;
    fs::write(&stamp, lock).with_context(|| format!("cannot write `{}`", stamp.display()))
}
