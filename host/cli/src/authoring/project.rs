use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value as Json;

use crate::{args::Language, report::Failure};

/// A folder with the source of one plugin.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) dir: PathBuf,
    pub(crate) language: Language,
    pub(crate) name: String,
    pub(crate) version: String,
}

impl Project {
    /// Reads what a project says of itself in the manifest of its language.
    pub(crate) fn open(dir: &Path) -> Result<Self, Failure> {
        let dir = dir.canonicalize().map_err(|error| {
            Failure::input(format!("cannot open `{}`: {error}", dir.display()), "name a plugin project's folder")
        })?;
        let manifests =
            [("Cargo.toml", Language::Rust), ("pyproject.toml", Language::Python), ("package.json", Language::Js)];
        let Some((manifest, language)) = manifests.into_iter().find(|(manifest, _)| dir.join(manifest).is_file())
        else {
            let message = format!("`{}` is no plugin project", dir.display());
            return Err(Failure::input(message, "make one with `oast plugin new NAME`, and build it in its folder"));
        };
        let declared = Declared::read(&dir.join(manifest), language)?;
        Ok(Self { dir, language, name: declared.name, version: declared.version })
    }

    /// The component that a build leaves.
    pub(crate) fn component(&self) -> PathBuf {
        self.dir.join(format!("{}.wasm", self.name))
    }

    /// Where a build says what it was made from.
    pub(crate) fn provenance(&self) -> PathBuf {
        self.dir.join(format!("{}.provenance.json", self.name))
    }

    /// The author's sample rows.
    pub(crate) fn golden(&self) -> PathBuf {
        self.dir.join("golden.json")
    }

    /// Where builds leave what can be made again.
    pub(crate) fn work(&self) -> PathBuf {
        self.dir.join(".oast")
    }

    /// Where the engine keeps what it has compiled.
    pub(crate) fn artefacts(&self) -> PathBuf {
        self.work().join("artefacts")
    }
}

/// Name and version, as a manifest declares them.
struct Declared {
    name: String,
    version: String,
}

impl Declared {
    fn read(path: &Path, language: Language) -> Result<Self, Failure> {
        let table = match language {
            Language::Rust => "package",
            Language::Python => "project",
            Language::Js => "",
        };
        let faulty =
            |what: String| Failure::input(format!("`{}` {what}", path.display()), "compare it with a new project's");
        let text = fs::read_to_string(path).map_err(|error| faulty(format!("cannot be read: {error}")))?;
        let manifest: Json = match language {
            Language::Js => serde_json::from_str(&text).map_err(|error| faulty(format!("is not valid: {error}")))?,
            _ => toml::from_str(&text).map_err(|error| faulty(format!("is not valid: {error}")))?,
        };
        let declared = if table.is_empty() { &manifest } else { &manifest[table] };
        let text = |key: &str| match declared[key].as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(faulty(format!("does not say the plugin's {key}"))),
        };
        Ok(Self { name: text("name")?, version: text("version")? })
    }
}
