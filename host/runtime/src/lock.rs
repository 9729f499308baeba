use std::{collections::BTreeMap, path::Path};

use oast_core::ComponentHash;
use serde::{Deserialize, Serialize};

use crate::RuntimeError;

/// `oast.lock`: the component that each plugin reference was resolved to, so that the next `apply` resolves it alike.
/// It belongs into version control beside `oast.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockFile {
    /// The format of the file.
    #[serde(default = "current_format")]
    format: u32,
    /// Component hashes by plugin reference as the definitions write it.
    #[serde(default)]
    plugins: BTreeMap<String, ComponentHash>,
}

fn current_format() -> u32 {
    1
}

const HEADER: &str =
    "# Written by `oast apply`; commit it beside oast.toml. Delete a line to resolve that plugin anew.\n";

impl LockFile {
    /// Reads the file; a missing one pins nothing.
    pub fn read(path: &Path) -> Result<Self, RuntimeError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { format: 1, ..Self::default() });
            }
            Err(source) => return Err(RuntimeError::File { action: "read", path: path.to_owned(), source }),
        };
        toml::from_str(&text).map_err(|error| RuntimeError::Resolve {
            location: path.display().to_string(),
            message: error.message().to_owned(),
            hint: Some("restore the file from version control, or delete it to resolve every plugin anew".to_owned()),
        })
    }

    /// Writes the file aside and puts it in place, unless it says the same already.
    pub fn write(&self, path: &Path) -> Result<(), RuntimeError> {
        let body = toml::to_string(self).expect("numbers, names and hashes are TOML");
        let text = format!("{HEADER}{body}");
        if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
            return Ok(());
        }
        Ok(oast_store::write_whole(path, text.as_bytes())?)
    }

    /// The plugins that it pins, as the definitions write them.
    pub fn plugins(&self) -> impl Iterator<Item = &str> {
        self.plugins.keys().map(String::as_str)
    }

    pub(crate) fn pinned(&self, reference: &str) -> Option<ComponentHash> {
        self.plugins.get(reference).copied()
    }

    pub(crate) fn pin(&mut self, reference: String, hash: ComponentHash) {
        self.plugins.insert(reference, hash);
    }
}
