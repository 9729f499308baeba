//! Compiles the standard plugins to components, which the crate then embeds.
//!
//! `src/recipe.rs` says how; `hashes.txt` holds what must come out.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::exit;

use recipe::Recipe;

#[expect(unreachable_pub, reason = "it is a public module of the crate as well")]
#[path = "src/recipe.rs"]
mod recipe;

const PLUGINS: [&str; 6] = ["distinct", "fill", "filter", "last", "moments", "ratio"];

/// The custom section of a component in which its samples are.
const SAMPLES_SECTION: &str = "oast:samples";

/// The id of a custom section.
const CUSTOM_SECTION: u8 = 0;

fn main() {
    if recipe::is_in_front_of_compiler() {
        match recipe::compile_as_anywhere() {
            Ok(status) => exit(status.code().unwrap_or(1)),
            Err(error) => fail(&format!("the compiler does not start: {error}"), ""),
        }
    }
    let house = House::find();
    house.watch();
    if let Err(fault) = recipe::require_target(variable("RUSTC").as_ref(), &house.workspace) {
        fail(&fault.message, &fault.hint);
    }
    for plugin in PLUGINS {
        house.compile(plugin);
    }
    house.write_index();
}

/// The folders that a build reads and writes.
struct House {
    workspace: PathBuf,
    out: PathBuf,
}

impl House {
    fn find() -> Self {
        let crate_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
        let workspace = crate_dir.parent().expect("the crate is in a workspace");
        Self { workspace: workspace.to_owned(), out: PathBuf::from(variable("OUT_DIR")) }
    }

    fn watch(&self) {
        let sdk = ["guest-sdk/Cargo.toml", "guest-sdk/aggregation", "guest-sdk/macros", "guest-sdk/src", "wit"];
        let shared = ["Cargo.lock", "Cargo.toml"].into_iter().chain(sdk).map(str::to_owned);
        let own = PLUGINS.map(|plugin| format!("plugins/{plugin}"));
        for path in shared.chain(own) {
            println!("cargo:rerun-if-changed={}", self.workspace.join(path).display());
        }
        println!("cargo:rerun-if-changed=build.rs");
        println!("cargo:rerun-if-changed=src/recipe.rs");
    }

    fn compile(&self, plugin: &str) {
        let (cargo, wrapper, target_dir) = (variable("CARGO"), this_program(), self.out.join("target"));
        let recipe = Recipe {
            cargo: cargo.as_ref(),
            wrapper: &wrapper,
            root: &self.workspace,
            root_name: "/oast",
            package: &format!("oast-{plugin}"),
            target_dir: &target_dir,
        };
        let output = recipe.command().output();
        match output {
            Ok(output) if output.status.success() => {}
            Ok(output) => fail(
                &format!("the plugin `{plugin}` does not compile:\n{}", String::from_utf8_lossy(&output.stderr)),
                &format!("`cargo check -p oast-{plugin}` shows the same faults sooner"),
            ),
            Err(error) => fail(&format!("cargo does not start: {error}"), ""),
        }
        copy(&recipe.component(), &self.component(plugin));
        self.append_samples(plugin);
    }

    /// Puts the plugin's golden file into a custom section at the end of its component, as `oast plugin build` does it, so
    /// that whoever publishes or inspects the component has its author's samples.
    fn append_samples(&self, plugin: &str) {
        let component = self.component(plugin);
        let golden = self.workspace.join("plugins").join(plugin).join("golden.json");
        let read = |path: &Path| {
            fs::read(path).unwrap_or_else(|error| fail(&format!("`{}` cannot be read: {error}", path.display()), ""))
        };
        let mut bytes = read(&component);
        let mut body = vec![SAMPLES_SECTION.len() as u8];
        body.extend_from_slice(SAMPLES_SECTION.as_bytes());
        body.extend_from_slice(&read(&golden));
        bytes.push(CUSTOM_SECTION);
        push_leb128(&mut bytes, body.len());
        bytes.extend_from_slice(&body);
        if let Err(error) = fs::write(&component, bytes) {
            fail(&format!("`{}` cannot be written: {error}", component.display()), "");
        }
    }

    fn component(&self, plugin: &str) -> PathBuf {
        self.out.join(format!("{plugin}.wasm"))
    }

    /// Writes the list that `lib.rs` includes.
    fn write_index(&self) {
        let mut index = "&[".to_owned();
        for plugin in PLUGINS {
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

fn this_program() -> PathBuf {
    env::current_exe().unwrap_or_else(|error| fail(&format!("the build script cannot find itself: {error}"), ""))
}

/// A number in the variable-length encoding of WebAssembly.
fn push_leb128(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
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
