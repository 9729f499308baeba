//! Whether a component was built from what stands in its project now.

use std::{fs, io, path::Path};

use serde_json::Value as Json;

use super::{project::Project, sdk};
use crate::report::Failure;

/// Folders that hold what is installed or built. The SDK in `vendor` has a hash of its own.
const NOT_SOURCE: [&str; 4] = ["target", "node_modules", "vendor", "__pycache__"];

/// The hash of a project's files, without what builds leave, documentation, and what begins with a dot.
pub(crate) fn hash(project: &Path) -> io::Result<String> {
    let mut found = Vec::new();
    collect(project, "", &mut found)?;
    Ok(sdk::hash_of(found))
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let made = [".wasm", ".provenance.json", ".md"].iter().any(|end| name.ends_with(end));
        if made || name.starts_with('.') || NOT_SOURCE.contains(&name.as_str()) {
            continue;
        }
        let (path, name) = (entry.path(), format!("{prefix}{name}"));
        match path.is_dir() {
            true => collect(&path, &format!("{name}/"), found)?,
            false => found.push((name, fs::read(&path)?)),
        }
    }
    Ok(())
}

/// Refuses a project whose component was built from something else.
pub(crate) fn require_built(folder: &Path) -> anyhow::Result<()> {
    match built_before(folder)? {
        Some(message) => {
            let hint = format!("run `oast plugin test {}`, which builds it again", folder.display());
            Err(Failure::input(message, hint).into())
        }
        None => Ok(()),
    }
}

/// Says that a project's component was built from something else. Nothing is said of a folder that is no project, nor of a
/// component that does not say what it was built from.
pub(crate) fn built_before(folder: &Path) -> anyhow::Result<Option<String>> {
    let Ok(project) = Project::open(folder) else { return Ok(None) };
    let provenance = fs::read_to_string(project.provenance()).ok();
    let provenance = provenance.and_then(|text| serde_json::from_str::<Json>(&text).ok());
    let Some(built_from) = provenance.as_ref().and_then(|provenance| provenance["files"].as_str()) else {
        return Ok(None);
    };
    if hash(&project.dir)? == built_from {
        return Ok(None);
    }
    let (component, dir) = (project.component(), folder.display());
    let component = component.strip_prefix(&project.dir).unwrap_or(&component).display();
    Ok(Some(format!("`{component}` was built before the source in `{dir}` changed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_installed_or_told_is_no_source() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let write = |path: &str, text: &str| sdk::write(&folder.path().join(path), text).expect("it can be written");
        write("src/lib.rs", "fn a() {}");
        let first = hash(folder.path())?;
        for other in ["late.wasm", "late.provenance.json", "README.md", ".oast/a", "target/b", "vendor/c.rs"] {
            write(other, "x");
            assert_eq!(hash(folder.path())?, first, "{other}");
        }
        write("src/lib.rs", "fn b() {}");
        let second = hash(folder.path())?;
        write("golden.json", "{}");
        assert_ne!(first, second);
        assert_ne!(second, hash(folder.path())?);
        Ok(())
    }
}
