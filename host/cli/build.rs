//! Packs the SDKs and the project templates into the binary, from which `oast plugin new` and `oast plugin build` lay them down.
//!
//! Who writes a plugin has the binary and a toolchain, and no copy of this repository. The manifests of the Rust SDK inherit
//! from the workspace, which is not there for them: they are written anew with what they inherit.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// What is packed: a folder or file of the repository, and its place in a project's `vendor/oast-sdk` or the templates.
const PACKED: [(&str, &str); 9] = [
    ("guest-sdk/aggregation", "sdk/rust/aggregation"),
    ("guest-sdk/macros", "sdk/rust/macros"),
    ("guest-sdk/src", "sdk/rust/src"),
    ("guest-sdk/Cargo.toml", "sdk/rust/Cargo.toml"),
    ("guest-sdk/python/oast_sdk", "sdk/python/oast_sdk"),
    ("guest-sdk/js/package.json", "sdk/js/package.json"),
    ("guest-sdk/js/build.mjs", "sdk/js/build.mjs"),
    ("guest-sdk/js/src", "sdk/js/src"),
    ("wit/transform.wit", "sdk/wit/transform.wit"),
];

const TEMPLATES: (&str, &str) = ("guest-sdk/templates", "templates");

/// What interpreters and editors leave behind.
const LITTER: [&str; 2] = ["__pycache__", "node_modules"];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let workspace = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut pack = Pack { manifest: read_table(&workspace.join("Cargo.toml"))?, workspace, out, index: String::new() };
    for (from, to) in PACKED.into_iter().chain([TEMPLATES]) {
        pack.take(&pack.workspace.join(from), to)?;
    }
    pack.watch("Cargo.toml");
    pack.watch("rust-toolchain.toml");
    pack.write_index()
}

/// The list of packed files, being made.
struct Pack {
    workspace: PathBuf,
    out: PathBuf,
    manifest: Table,
    index: String,
}

impl Pack {
    /// Takes a file, or a folder with everything in it, in the order of names.
    fn take(&mut self, from: &Path, to: &str) -> Result<()> {
        println!("cargo:rerun-if-changed={}", from.display());
        if !from.is_dir() {
            return self.take_file(from, to);
        }
        let mut names: Vec<String> = fs::read_dir(from)?
            .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
            .collect::<std::io::Result<_>>()?;
        names.retain(|name| !LITTER.contains(&name.as_str()));
        names.sort();
        names.iter().try_for_each(|name| self.take(&from.join(name), &format!("{to}/{name}")))
    }

    fn take_file(&mut self, from: &Path, to: &str) -> Result<()> {
        let path = match to.ends_with("/Cargo.toml") {
            true => self.standalone(from, to)?,
            false => from.to_owned(),
        };
        writeln!(self.index, "    ({to:?}, include_bytes!({path:?})),")?;
        Ok(())
    }

    /// Writes a manifest that inherits nothing.
    fn standalone(&self, from: &Path, to: &str) -> Result<PathBuf> {
        let mut manifest = read_table(from)?;
        let workspace = table(&self.manifest, "workspace")?;
        inherit_package(table_mut(&mut manifest, "package")?, table(workspace, "package")?)?;
        inherit_dependencies(table_mut(&mut manifest, "dependencies")?, table(workspace, "dependencies")?)?;
        for unused in ["lints", "dev-dependencies"] {
            manifest.remove(unused);
        }
        let path = self.out.join(to.replace('/', "-"));
        fs::write(&path, toml::to_string(&manifest)?)?;
        Ok(path)
    }

    fn watch(&self, file: &str) {
        println!("cargo:rerun-if-changed={}", self.workspace.join(file).display());
    }

    fn write_index(&self) -> Result<()> {
        let toolchain = read_table(&self.workspace.join("rust-toolchain.toml"))?;
        let channel = table(&toolchain, "toolchain")?.get("channel").and_then(Value::as_str).ok_or("no channel")?;
        println!("cargo:rustc-env=OAST_TOOLCHAIN={channel}");
        fs::write(self.out.join("packed.rs"), format!("&[\n{}]", self.index))?;
        Ok(())
    }
}

/// Replaces `key.workspace = true` by what the workspace says.
fn inherit_package(package: &mut Table, workspace: &Table) -> Result<()> {
    for (key, value) in package.iter_mut() {
        if is_inherited(value) {
            *value = workspace.get(key).ok_or_else(|| format!("the workspace has no `{key}`"))?.clone();
        }
    }
    Ok(())
}

/// Replaces `name = { workspace = true, … }` by the workspace's dependency with what is added to it.
fn inherit_dependencies(dependencies: &mut Table, workspace: &Table) -> Result<()> {
    for (name, dependency) in dependencies.iter_mut() {
        if !is_inherited(dependency) {
            continue;
        }
        let mut full = match workspace.get(name) {
            Some(Value::Table(full)) => full.clone(),
            Some(version) => Table::from_iter([("version".to_owned(), version.clone())]),
            None => return Err(format!("the workspace has no dependency `{name}`").into()),
        };
        for (key, value) in dependency.as_table().into_iter().flatten().filter(|(key, _)| *key != "workspace") {
            full.insert(key.clone(), value.clone());
        }
        if let Some(path) = full.get("path").and_then(Value::as_str) {
            let inside = path.strip_prefix("guest-sdk/").ok_or("the SDK depends on nothing outside of it")?;
            full.insert("path".to_owned(), Value::from(inside.to_owned()));
        }
        *dependency = Value::Table(full);
    }
    Ok(())
}

fn is_inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

fn read_table(path: &Path) -> Result<Table> {
    Ok(fs::read_to_string(path)?.parse()?)
}

fn table<'a>(of: &'a Table, key: &str) -> Result<&'a Table> {
    of.get(key).and_then(Value::as_table).ok_or_else(|| format!("there is no table `{key}`").into())
}

fn table_mut<'a>(of: &'a mut Table, key: &str) -> Result<&'a mut Table> {
    of.get_mut(key).and_then(Value::as_table_mut).ok_or_else(|| format!("there is no table `{key}`").into())
}
