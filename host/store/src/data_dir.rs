use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{Result, StoreError, disk};

const FORMAT: &str = "oast-data 1";

/// A data directory, held by this process alone.
///
/// | path | what |
/// |---|---|
/// | `FORMAT` | the version of this layout |
/// | `LOCK` | locked by the process that uses the directory |
/// | `log/` | the event log: the source of truth |
/// | `state/` | what was derived from it; may be deleted |
/// | `catalog/` | definitions by hash, and the history of names |
/// | `components/` | components by hash |
/// | `artefacts/` | components compiled for this machine; may be deleted |
/// | `quarantine/` | events that were not logged, by source |
///
/// The lock is held until the last clone is dropped; what is opened in the directory keeps one.
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
    _lock: Arc<File>,
}

impl DataDir {
    /// Opens the data directory at `path`, creating it when there is none or the folder is empty.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let root = path.into();
        let new = !root.join("FORMAT").exists();
        if new && root.is_dir() && !is_vacant(&root)? {
            return Err(StoreError::NoDataDir { path: root });
        }
        disk::create_folder(&root)?;
        let dir = Self::lock(root)?;
        if new {
            dir.write_layout()?;
        }
        dir.check_format()?;
        Ok(dir)
    }

    /// Opens the data directory at `path` and never creates one.
    pub fn open_existing(path: impl Into<PathBuf>) -> Result<Self> {
        let root = path.into();
        if !root.join("FORMAT").is_file() {
            return Err(StoreError::NoDataDir { path: root });
        }
        let dir = Self::lock(root)?;
        dir.check_format()?;
        Ok(dir)
    }

    fn lock(root: PathBuf) -> Result<Self> {
        let path = root.join("LOCK");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StoreError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { root, _lock: Arc::new(file) }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: root }),
            Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &path)(error)),
        }
    }

    /// `FORMAT` comes last, so a directory that has it is whole.
    fn write_layout(&self) -> Result<()> {
        for folder in [self.log(), self.state(), self.catalog(), self.components()] {
            disk::create_folder(&folder)?;
        }
        disk::write_whole(&self.root.join("FORMAT"), format!("{FORMAT}\n").as_bytes())
    }

    fn check_format(&self) -> Result<()> {
        let path = self.root.join("FORMAT");
        let bytes = disk::read_if_there(&path)?.ok_or_else(|| StoreError::NoDataDir { path: self.root.clone() })?;
        let found = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        if found == FORMAT {
            return Ok(());
        }
        Err(StoreError::FormatVersion { path: self.root.clone(), found, expected: FORMAT })
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the event log.
    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// The folder of the derived state.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// The folder of definitions and names.
    pub fn catalog(&self) -> PathBuf {
        self.root.join("catalog")
    }

    /// The folder of compiled components.
    pub fn artefacts(&self) -> PathBuf {
        self.root.join("artefacts")
    }

    /// The folder of components.
    pub fn components(&self) -> PathBuf {
        self.root.join("components")
    }
}

/// Whether a folder holds nothing, or only what an interrupted creation left there.
fn is_vacant(root: &Path) -> Result<bool> {
    let ours = |path: &PathBuf| {
        let name = disk::name_of(path);
        matches!(name, "LOCK" | "log" | "state" | "catalog" | "components") || name.starts_with(".FORMAT.")
    };
    Ok(disk::list(root)?.iter().all(ours))
}

#[cfg(test)]
mod tests {
    use std::{error::Error, fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_second_open_is_told_to_go_elsewhere() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("oast-data");
        let first = DataDir::open(&root).unwrap();
        let error = DataDir::open(&root).unwrap_err();
        assert_eq!(error.to_string(), format!("another oast process uses `{}`", root.display()));
        assert!(error.hint().unwrap().contains("--url"));
        let clone = first.clone();
        drop(first);
        assert!(matches!(DataDir::open_existing(&root), Err(StoreError::Locked { .. })));
        drop(clone);
        assert_eq!(DataDir::open_existing(&root).unwrap().root(), root);
    }

    #[test]
    fn another_format_and_foreign_folders_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("data");
        assert!(matches!(DataDir::open_existing(&root), Err(StoreError::NoDataDir { .. })));
        assert!(!root.exists());
        drop(DataDir::open(&root).unwrap());
        fs::write(root.join("FORMAT"), "oast-data 9\n").unwrap();
        let error = DataDir::open(&root).unwrap_err();
        assert!(matches!(error, StoreError::FormatVersion { found, .. } if found == "oast-data 9"));
        fs::write(temp.path().join("thesis.tex"), "").unwrap();
        assert!(matches!(DataDir::open(temp.path()), Err(StoreError::NoDataDir { .. })));
    }

    #[test]
    fn an_interrupted_creation_is_finished() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("log")).unwrap();
        fs::write(temp.path().join(".FORMAT.1-0.aside"), "oa").unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        assert!(dir.components().is_dir());
    }

    #[test]
    fn missing_permission_names_the_path() {
        let temp = tempfile::tempdir().unwrap();
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o500)).unwrap();
        let root = temp.path().join("data");
        // Root may do everything, so the refusal is only there for others.
        if let Err(error) = DataDir::open(&root) {
            assert_eq!(error.to_string(), format!("cannot create `{}`", root.display()));
            assert!(error.source().is_some());
            assert!(error.hint().unwrap().contains("owns"));
        }
        let file = temp.path().join("a file");
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(&file, "").unwrap();
        let error = DataDir::open(file.join("data")).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot create `{}`", file.join("data").display()));
    }
}
