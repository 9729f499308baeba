//! The SDKs and templates that the binary carries, see `build.rs`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{args::Language, report::Failure};

/// Every packed file by its path, in the order of paths within each packed folder.
const PACKED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/packed.rs"));

/// Where a project keeps its SDK.
pub(crate) const FOLDER: &str = "vendor/oast-sdk";

/// The compiler that the standard plugins are compiled with, and new projects pin.
pub(crate) const TOOLCHAIN: &str = env!("OAST_TOOLCHAIN");

/// The text of a template.
pub(crate) fn template(path: &str) -> &'static str {
    let packed = PACKED.iter().find(|(name, _)| name.strip_prefix("templates/") == Some(path));
    let (_, bytes) = packed.unwrap_or_else(|| panic!("the template `{path}` is packed"));
    std::str::from_utf8(bytes).expect("a template is text")
}

/// The files of one language's SDK, by their paths inside the project's folder for it.
fn files(language: Language) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    let folder = match language {
        Language::Rust => "rust/",
        Language::Python => "python/",
        Language::Js => "js/",
    };
    let files = PACKED.iter().filter_map(|(path, bytes)| Some((path.strip_prefix("sdk/")?, *bytes)));
    files.filter(move |(path, _)| path.starts_with(folder) || path.starts_with("wit/"))
}

/// Writes the SDK into a project that has none.
pub(crate) fn require(language: Language, project: &Path) -> anyhow::Result<()> {
    let folder = project.join(FOLDER);
    if folder.exists() {
        return Ok(());
    }
    for (path, bytes) in files(language) {
        write(&folder.join(path), bytes)?;
    }
    Ok(())
}

/// Writes a file and the folders above it.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
    let parent = path.parent().expect("a file is in a folder");
    fs::create_dir_all(parent).and_then(|()| fs::write(path, bytes)).map_err(|error| {
        Failure::environment(format!("cannot write `{}`: {error}", path.display()), "check permissions and free space")
    })
}

/// The hash of the SDK that this binary carries.
pub(crate) fn hash(language: Language) -> String {
    hash_of(files(language).map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).collect())
}

/// The hash of the SDK in a project.
pub(crate) fn hash_in(project: &Path) -> std::io::Result<String> {
    let folder = project.join(FOLDER);
    let mut found = Vec::new();
    collect(&folder, &folder, &mut found)?;
    Ok(hash_of(found))
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<(String, Vec<u8>)>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path: PathBuf = entry?.path();
        match path.file_name().and_then(|name| name.to_str()) {
            // What interpreters leave behind is no source.
            Some("__pycache__" | "node_modules" | "target" | "Cargo.lock") => {}
            _ if path.is_dir() => collect(root, &path, found)?,
            _ => {
                let name = path.strip_prefix(root).expect("the path is below its root").to_string_lossy().into_owned();
                found.push((name, fs::read(&path)?));
            }
        }
    }
    Ok(())
}

/// The hash of files by their paths.
pub(crate) fn hash_of(mut files: Vec<(String, Vec<u8>)>) -> String {
    files.sort();
    let mut hasher = blake3::Hasher::new_derive_key("oast 2026-11 sdk");
    for (path, bytes) in &files {
        hasher.update(&(path.len() as u64).to_le_bytes()).update(path.as_bytes());
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }
    hasher.finalize().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_the_sdk_that_the_binary_carries() {
        for language in [Language::Rust, Language::Python, Language::Js] {
            let project = tempfile::tempdir().expect("a temporary folder");
            require(language, project.path()).expect("the SDK is laid down");
            assert_eq!(hash_in(project.path()).expect("it can be read"), hash(language), "{language:?}");
            let contract = project.path().join(FOLDER).join("wit/transform.wit");
            fs::write(&contract, "package other:contract;").expect("it can be written");
            assert_ne!(hash_in(project.path()).expect("it can be read"), hash(language), "{language:?}");
        }
    }

    #[test]
    fn manifests_inherit_nothing() {
        let manifests: Vec<_> = PACKED.iter().filter(|(path, _)| path.ends_with("/Cargo.toml")).collect();
        assert_eq!(manifests.len(), 3);
        for (path, bytes) in manifests {
            let text = std::str::from_utf8(bytes).expect("text");
            assert!(!text.contains("workspace"), "{path}:\n{text}");
        }
    }
}
