//! Compiles the standard plugins to components, which the crate then embeds.
//!
//! A component is identified by the hash of its bytes, so the bytes must not depend on the machine: the flags are set here
//! and nowhere else, and the paths of this machine are mapped away. `hashes.txt` holds what must come out.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const TARGET: &str = "wasm32-unknown-unknown";

/// The stack is touched from the top; a small one keeps the initial memory, which every instance carries, small.
const STACK_BYTES: u32 = 64 * 1024;

/// Settings of the outer build that would change the bytes or break the inner one.
const OUTER_SETTINGS: [&str; 10] = [
    "CARGO_BUILD_",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_INCREMENTAL",
    "CARGO_PROFILE_",
    "CARGO_TARGET_",
    "CLIPPY_",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
];

/// Set for the inner cargo, whose compiler is this program in front of the real one.
const IN_FRONT_OF_COMPILER: &str = "OAST_PLUGINS_IN_FRONT_OF_COMPILER";

fn main() {
    if env::var_os(IN_FRONT_OF_COMPILER).is_some() {
        compile_as_anywhere();
    }
    let house = House::find();
    house.watch();
    house.require_target();
    for plugin in &house.plugins {
        house.compile(plugin);
    }
    house.write_index();
}

/// The folders that a build reads and writes.
struct House {
    workspace: PathBuf,
    out: PathBuf,
    /// The names of the plugins, in order: the folders beside this file that hold a crate.
    plugins: Vec<String>,
}

impl House {
    fn find() -> Self {
        let crate_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
        let workspace = crate_dir.parent().expect("the crate is in a workspace");
        let out = PathBuf::from(variable("OUT_DIR"));
        Self { workspace: workspace.to_owned(), out, plugins: plugins(&crate_dir) }
    }

    fn watch(&self) {
        let shared = ["Cargo.lock", "Cargo.toml", "guest-sdk", "wit"].map(str::to_owned);
        let parts = ["Cargo.toml", "golden.json", "src"];
        let own = self.plugins.iter().flat_map(|plugin| parts.map(|part| format!("plugins/{plugin}/{part}")));
        for path in shared.into_iter().chain(own) {
            println!("cargo:rerun-if-changed={}", self.workspace.join(path).display());
        }
        println!("cargo:rerun-if-changed=build.rs");
    }

    /// Makes sure that the compiler can compile for WebAssembly.
    fn require_target(&self) {
        let printed = Command::new(variable("RUSTC")).args(["--print", "target-libdir", "--target", TARGET]).output();
        let folder = match printed {
            Ok(output) => PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()),
            Err(error) => fail(&format!("the compiler does not start: {error}"), ""),
        };
        if folder.is_dir() {
            return;
        }
        let added = Command::new("rustup").current_dir(&self.workspace).args(["target", "add", TARGET]).status();
        if !added.is_ok_and(|status| status.success()) {
            fail(
                &format!("the target `{TARGET}` is not installed, and rustup could not add it"),
                &format!("run `rustup target add {TARGET}`, or install your distribution's package of it"),
            );
        }
    }

    fn compile(&self, plugin: &str) {
        let target_dir = self.out.join("target");
        let mut cargo = Command::new(variable("CARGO"));
        forget_outer_settings(&mut cargo);
        let output = cargo
            .current_dir(&self.workspace)
            .args(["rustc", "--locked", "--lib", "--crate-type", "cdylib"])
            .args(["--profile", "plugin", "--target", TARGET])
            .args(["--package", &format!("oast-{plugin}")])
            .arg("--target-dir")
            .arg(&target_dir)
            .args(["--", &format!("-Clink-arg=-zstack-size={STACK_BYTES}")])
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-component-ld")
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags())
            .env("RUSTC_WRAPPER", this_program())
            .env(IN_FRONT_OF_COMPILER, "1")
            .output();
        match output {
            Ok(output) if output.status.success() => {}
            Ok(output) => fail(
                &format!("the plugin `{plugin}` does not compile:\n{}", String::from_utf8_lossy(&output.stderr)),
                &format!("`cargo check -p oast-{plugin}` shows the same faults sooner"),
            ),
            Err(error) => fail(&format!("cargo does not start: {error}"), ""),
        }
        let built = target_dir.join(TARGET).join("plugin").join(format!("oast_{}.wasm", plugin.replace('-', "_")));
        copy(&built, &self.component(plugin));
    }

    /// Panic messages quote source files; these flags take the folders of this machine out of them.
    fn flags(&self) -> String {
        let cargo_home = env::var_os("CARGO_HOME").map_or_else(default_cargo_home, PathBuf::from);
        let remap = |from: &Path, to| format!("--remap-path-prefix={}={to}", from.display());
        [remap(&cargo_home, "/cargo"), remap(&self.workspace, "/oast")].join("\u{1f}")
    }

    fn component(&self, plugin: &str) -> PathBuf {
        self.out.join(format!("{plugin}.wasm"))
    }

    /// Writes the list that `lib.rs` includes.
    fn write_index(&self) {
        let mut index = "&[".to_owned();
        for plugin in &self.plugins {
            let path = self.component(plugin);
            write!(index, "StandardPlugin {{ name: {plugin:?}, component: include_bytes!({path:?}) }},")
                .expect("a string takes whatever is written to it");
        }
        index.push(']');
        if let Err(error) = fs::write(self.out.join("standard.rs"), index) {
            fail(&format!("the list of components cannot be written: {error}"), "");
        }
    }
}

fn plugins(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| fail(&format!("the plugins cannot be listed: {error}"), ""));
    let mut plugins: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    plugins.sort();
    plugins
}

/// Runs the compiler with crate identities that are the same on every host.
///
/// Cargo mixes the host's name into the identity of every crate, and the compiler orders its output by it, so that the same
/// sources would give other bytes on x86-64 and on aarch64. Package, version and crate name identify a crate as well.
fn compile_as_anywhere() -> ! {
    let mut args = env::args_os().skip(1);
    let compiler = args.next().unwrap_or_else(|| fail("there is no compiler to run", ""));
    let status = Command::new(compiler).args(args.map(|arg| identity(&arg).unwrap_or(arg))).status();
    match status {
        Ok(status) => exit(status.code().unwrap_or(1)),
        Err(error) => fail(&format!("the compiler does not start: {error}"), ""),
    }
}

/// What stands in for the argument `metadata=…`; nothing for any other.
fn identity(arg: &OsStr) -> Option<OsString> {
    arg.to_str()?.strip_prefix("metadata=")?;
    let package = env::var("CARGO_PKG_NAME").ok()?;
    let version = env::var("CARGO_PKG_VERSION").ok()?;
    let name = env::var("CARGO_CRATE_NAME").ok()?;
    Some(format!("metadata={package}-{version}-{name}").into())
}

fn this_program() -> PathBuf {
    env::current_exe().unwrap_or_else(|error| fail(&format!("the build script cannot find itself: {error}"), ""))
}

fn forget_outer_settings(cargo: &mut Command) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if OUTER_SETTINGS.iter().any(|prefix| text.starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
}

fn default_cargo_home() -> PathBuf {
    env::home_dir().unwrap_or_default().join(".cargo")
}

fn copy(from: &Path, to: &Path) {
    if let Err(error) = fs::copy(from, to) {
        fail(&format!("`{}` cannot be copied: {error}", from.display()), "");
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("cargo did not set `{name}`"), ""))
}

/// Ends the build with a message and, if there is one, a hint.
fn fail(message: &str, hint: &str) -> ! {
    eprintln!("error: {message}");
    if !hint.is_empty() {
        eprintln!("hint: {hint}");
    }
    exit(1)
}
