//! Compiled components on disk.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use oast_core::{ComponentHash, EngineFingerprint};

use crate::{Component, Engine, EngineError};

const KEY: &str = "KEY";
const KEY_BYTES: usize = 32;
const MAC_BYTES: usize = 32;

/// A folder of compiled components: each is compiled once a machine and mapped into memory from then on.
///
/// An artefact is native code that runs with the rights of the host, so that nothing is run which this cache did not write
/// itself: the folder is private to its owner, and a file is the artefact followed by a hash of it that is keyed with a secret of this folder, and covers component
/// hash and engine fingerprint as well. Whatever does not match (a truncated file, one of another machine, of another
/// build, or of another component) is compiled again and replaced. Files are written aside and renamed, so that no reader
/// sees half of one. Whoever can read the key can forge artefacts; it is readable by its owner alone, who could replace the
/// host as well.
#[derive(Debug, Clone)]
pub struct Artefacts {
    folder: PathBuf,
    key: [u8; KEY_BYTES],
}

impl Artefacts {
    /// Opens the cache, making the folder and its key if they are not there.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, EngineError> {
        let folder = folder.into();
        let failed = |source| EngineError::Artefacts { folder: folder.clone(), source };
        make_private(&folder).map_err(failed)?;
        let key = match read_key(&folder) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
                make_key(&folder)
            }
            key => key,
        };
        let key = key.map_err(failed)?;
        Ok(Self { folder, key })
    }

    /// The component out of the cache, or compiled and put there.
    pub(crate) fn load(
        &self,
        engine: &Engine,
        component: ComponentHash,
        compile: impl FnOnce() -> Result<Vec<u8>, EngineError>,
    ) -> Result<Component, EngineError> {
        let path = self.path(component, engine.fingerprint());
        if let Some(file) = self.open_genuine(&path, component, engine.fingerprint()) {
            match Component::from_artefact_file(engine, component, &file) {
                Ok(component) => return Ok(component),
                // Compiled for a processor with other features, say.
                Err(error) => tracing::debug!(%component, error = &error as &dyn std::error::Error, "artefact refused"),
            }
        }
        let artefact = compile()?;
        if let Err(error) = self.store(&path, component, engine.fingerprint(), &artefact) {
            let path = path.display();
            tracing::warn!(%path, %error, "a compiled component cannot be kept, and will be compiled again");
        }
        // What was just compiled runs, and not what may be in the file by now.
        Component::from_artefact(engine, component, &artefact)
    }

    fn path(&self, component: ComponentHash, fingerprint: EngineFingerprint) -> PathBuf {
        self.folder.join(format!("{component}-{}.artefact", fingerprint.short()))
    }

    /// The file, opened, if it is what [`Self::store`] wrote. What is mapped later is the file that was read here, also when
    /// another one has taken its name.
    fn open_genuine(&self, path: &Path, component: ComponentHash, fingerprint: EngineFingerprint) -> Option<File> {
        let mut file = File::open(path).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let (artefact, mac) = bytes.split_last_chunk::<MAC_BYTES>()?;
        // Hashes compare in constant time.
        (self.mac(component, fingerprint, artefact) == blake3::Hash::from_bytes(*mac)).then_some(file)
    }

    fn mac(&self, component: ComponentHash, fingerprint: EngineFingerprint, artefact: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(component.as_bytes()).update(fingerprint.as_bytes()).update(artefact);
        hasher.finalize()
    }

    fn store(
        &self,
        path: &Path,
        component: ComponentHash,
        fingerprint: EngineFingerprint,
        artefact: &[u8],
    ) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(artefact)?;
        file.write_all(self.mac(component, fingerprint, artefact).as_bytes())?;
        file.persist(path)?;
        self.remove_other_fingerprints(path, component)
    }

    /// Another build of the host left artefacts of its own, which nobody runs again.
    fn remove_other_fingerprints(&self, kept: &Path, component: ComponentHash) -> io::Result<()> {
        let prefix = format!("{component}-");
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path != kept && name.starts_with(&prefix) {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Makes the folder one that only this user can write to and read: who could put a file in place of one that was just found
/// to be genuine would have the host run it.
fn make_private(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

fn read_key(folder: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let mut key = Vec::new();
    File::open(folder.join(KEY))?.take(KEY_BYTES as u64 + 1).read_to_end(&mut key)?;
    key.try_into().map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Makes a key that only this user can read. With a new key, everything is compiled anew.
fn make_key(folder: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    // Temporary files are readable by their owner alone.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&key)?;
    file.persist(folder.join(KEY))?;
    Ok(key)
}

#[cfg(test)]
mod tests;
