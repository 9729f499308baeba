use std::{env, fs, path::PathBuf};

use crate::workshop::{Workshop, compiled, copy_folder, succeeded};

/// Builds of one source in two folders, of two names, with two cargo homes.
#[test]
fn a_rust_plugin_has_the_same_bytes_wherever_it_is_built() {
    let elsewhere = Workshop::new();
    let home = env::var_os("CARGO_HOME").map_or_else(|| env::home_dir().expect("a home").join(".cargo"), PathBuf::from);
    let other_home = elsewhere.path("cargo");
    fs::create_dir(&other_home).expect("another cargo home");
    copy_folder(&home.join("registry"), &other_home.join("registry"));
    if home.join("config.toml").exists() {
        fs::copy(home.join("config.toml"), other_home.join("config.toml")).expect("cargo's settings are copied");
    }
    elsewhere.oast(&["plugin", "new", "a/deeper/folder/wild"]);
    let args = ["plugin", "build", "a/deeper/folder/wild"];
    let built = elsewhere.command(&args).env("CARGO_HOME", &other_home).output().expect("the command starts");
    succeeded(&args, &built);

    let bytes = fs::read(elsewhere.path("a/deeper/folder/wild/wild.wasm")).expect("the component");
    assert_eq!(blake3::hash(&bytes), blake3::hash(&compiled().bytes("rust")));
    let provenance = |folder: PathBuf| fs::read_to_string(folder.join("wild.provenance.json")).expect("the provenance");
    let there = provenance(elsewhere.path("a/deeper/folder/wild"));
    assert_eq!(there, provenance(compiled().workshop.path("rust/wild")));
    let json: serde_json::Value = serde_json::from_str(&there).expect("JSON");
    assert_eq!(json["component"], blake3_context(&bytes), "{json}");
    assert!(json["toolchain"]["rustc"].as_str().is_some_and(|version| version.starts_with("rustc ")), "{json}");
}

/// The component hash, as the runtime makes it.
fn blake3_context(bytes: &[u8]) -> String {
    oast_runtime::ComponentHash::of(bytes).to_string()
}

#[test]
fn an_aggregate_is_made_tested_and_corrected() {
    let workshop = Workshop::new();
    workshop.oast(&["plugin", "new", "highest", "--kind", "aggregate"]);
    let said = workshop.oast(&["plugin", "test", "highest"]);
    assert!(said.contains("2 cases, all as golden.json says\n") && said.ends_with(": it can be published\n"), "{said}");

    let golden = workshop.path("highest/golden.json");
    let right = fs::read_to_string(&golden).expect("the golden file");
    fs::write(&golden, right.replace("\"expect\": [3, 7.5]", "\"expect\": [3, 8]")).expect("it is changed");
    let failed = workshop.command(&["plugin", "test", "highest"]).output().expect("the command starts");
    let said = String::from_utf8_lossy(&failed.stdout);
    assert_eq!(failed.status.code(), Some(1), "{said}");
    for line in
        ["FAILED  the largest value", "splits []", "expected  [3,8.0]", "got       [3,7.5]", "1 of 2 cases failed"]
    {
        assert!(said.contains(line), "`{line}` is in:\n{said}");
    }
    workshop.oast(&["plugin", "test", "highest", "--update"]);
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(parsed(&fs::read_to_string(&golden).expect("the golden file")), parsed(&right));

    let source = workshop.path("highest/src/lib.rs");
    let text = fs::read_to_string(&source).expect("the source");
    fs::write(&source, text.replace("self.count += later.count;", "self.count += later;")).expect("it is changed");
    let failed = workshop.command(&["plugin", "build", "highest"]).output().expect("the command starts");
    let said = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1), "{said}");
    assert!(said.contains("src/lib.rs:") && said.contains("error: compiling failed"), "{said}");
}
