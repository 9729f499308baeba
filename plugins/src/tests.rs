//! What the embedded components must be.

use std::env;
use std::fmt::Write as _;
use std::fs;

use super::{plugin, standard};

const HASHES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hashes.txt");

/// Setting this writes the file instead of checking it.
const UPDATE: &str = "OAST_UPDATE_HASHES";

#[test]
fn the_components_are_the_published_bytes() {
    let found = hashes();
    if env::var_os(UPDATE).is_some() {
        fs::write(HASHES, &found).expect("hashes.txt can be written");
    }
    let expected = fs::read_to_string(HASHES).expect("hashes.txt can be read");
    assert_eq!(
        found, expected,
        "the bytes of a standard plugin changed, so its component hash did and every definition that pins it stays with \
         the old one. If that is meant, run the test again with {UPDATE}=1 and commit hashes.txt. If not, look for what \
         differs: the toolchain, Cargo.lock, the profile `plugin`, or a path of this machine in the bytes"
    );
}

fn hashes() -> String {
    let mut text = String::new();
    for plugin in standard() {
        let mut hasher = blake3::Hasher::new_derive_key("oast 2026 component hash v1");
        hasher.update(plugin.component);
        writeln!(text, "{} {}", plugin.name, hasher.finalize().to_hex())
            .expect("a string takes whatever is written to it");
    }
    text
}

#[test]
fn every_component_is_a_component() {
    // The header of a component: magic number, version 13, layer 1. A core module has layer 0.
    for plugin in standard() {
        assert_eq!(&plugin.component[..8], b"\0asm\x0d\0\x01\0", "{}", plugin.name);
    }
}

#[test]
fn no_path_of_the_machine_is_in_the_bytes() {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let workspace = fs::canonicalize(workspace).expect("the workspace is there");
    let workspace = workspace.to_str().expect("the folder's name is UTF-8");
    for plugin in standard() {
        for folder in [workspace, "/.cargo/registry"] {
            let found = plugin.component.windows(folder.len()).any(|w| w == folder.as_bytes());
            assert!(!found, "{} has `{folder}` in its bytes", plugin.name);
        }
    }
}

#[test]
fn plugins_are_found_by_name() {
    assert_eq!(plugin("ratio").map(|plugin| plugin.name), Some("ratio"));
    assert!(plugin("no-such-plugin").is_none());
}
