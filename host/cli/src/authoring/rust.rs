//! Plugins in Rust.

use std::{ffi::OsStr, fs, process::Command};

use anyhow::Context;
use oast_plugins::recipe::{self, Recipe};

use super::{build::Built, project::Project, tool};
use crate::report::Failure;

const INSTALL: &str = "install Rust from https://rustup.rs";

/// Compiles a project. The compiler says what is wrong in its own words, and shows its own progress.
pub(crate) fn build(project: &Project) -> anyhow::Result<Built> {
    let forget_outer = |command: &mut Command| {
        // Set when this program was started through cargo, and stronger than the project's own pin.
        command.current_dir(&project.dir).env_remove("RUSTUP_TOOLCHAIN");
    };
    let mut rustc = Command::new("rustc");
    forget_outer(&mut rustc);
    let toolchain = tool::run(rustc.arg("--version"), "asking for the compiler's version", INSTALL)?;
    recipe::require_target("rustc".as_ref(), &project.dir)
        .map_err(|fault| Failure::environment(fault.message, fault.hint))?;
    update_lock(forget_outer)?;
    let wrapper = std::env::current_exe().context("the running program cannot be found")?;
    let target_dir = project.work().join("target");
    let recipe = Recipe {
        cargo: OsStr::new("cargo"),
        wrapper: &wrapper,
        root: &project.dir,
        root_name: "/plugin",
        package: &project.name,
        target_dir: &target_dir,
    };
    let mut cargo = recipe.command();
    forget_outer(&mut cargo);
    tool::run_openly(&mut cargo, "compiling", INSTALL)?;
    let component = recipe.component();
    let bytes = fs::read(&component).with_context(|| format!("cargo left no `{}`", component.display()))?;
    Ok(Built { bytes, toolchain: vec![("rustc", toolchain.trim().to_owned())], lock: "Cargo.lock" })
}

/// Brings the lock file up to date with a changed Cargo.toml: a raised version, say. What it locks already stays.
fn update_lock(forget_outer: impl Fn(&mut Command)) -> anyhow::Result<()> {
    let mut check = Command::new("cargo");
    check.args(["metadata", "--locked", "--format-version", "1"]);
    forget_outer(&mut check);
    // What is wrong with it, if it is not just out of date, the next command says.
    if check.output().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    let mut update = Command::new("cargo");
    update.args(["update", "--workspace"]);
    forget_outer(&mut update);
    tool::run_openly(&mut update, "bringing Cargo.lock up to date", INSTALL)
}
