//! Compiles the misbehaving plugin in Rust for the end-to-end tests, by the recipe of the standard plugins.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::exit,
};

use recipe::Recipe;

#[expect(unreachable_pub, reason = "it is a public module of another crate as well")]
#[path = "../plugins/src/recipe.rs"]
mod recipe;

fn main() {
    if recipe::is_in_front_of_compiler() {
        let status = recipe::compile_as_anywhere().expect("the compiler starts");
        exit(status.code().unwrap_or(1));
    }
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("..");
    for path in ["Cargo.lock", "guest-sdk", "wit", "tests/misbehave", "tests/build.rs", "plugins/src/recipe.rs"] {
        println!("cargo:rerun-if-changed={}", root.join(path).display());
    }
    if let Err(fault) = recipe::require_target(&variable("RUSTC"), &root) {
        panic!("{}; {}", fault.message, fault.hint);
    }
    println!("cargo:rustc-env=OAST_MISBEHAVE={}", compile(&root).display());
}

fn compile(root: &Path) -> PathBuf {
    let wrapper = env::current_exe().expect("a program knows where it is");
    let (cargo, target_dir) = (variable("CARGO"), PathBuf::from(variable("OUT_DIR")).join("target"));
    let recipe = Recipe {
        cargo: &cargo,
        wrapper: &wrapper,
        root,
        root_name: "/oast",
        package: "oast-misbehave",
        target_dir: &target_dir,
    };
    let output = recipe.command().output().expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    recipe.component()
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("cargo sets `{name}`"))
}
