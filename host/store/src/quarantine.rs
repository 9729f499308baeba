use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
};

use crate::{DataDir, Result, StoreError, disk};

/// Events that were not logged: one file of JSON lines a source, to be read, corrected and sent again.
#[derive(Debug)]
pub struct Quarantine {
    dir: DataDir,
    /// Held while files are written.
    writing: Mutex<()>,
}

impl Quarantine {
    /// The quarantine of a data directory. What a crash left half-written was never acknowledged, and is removed.
    pub fn open(dir: &DataDir) -> Result<Self> {
        let quarantine = Self { dir: dir.clone(), writing: Mutex::default() };
        let folder = quarantine.folder();
        if folder.is_dir() {
            disk::remove_unfinished(&folder)?;
        }
        for source in quarantine.sources()? {
            disk::cut_torn_line(&quarantine.path(&source))?;
        }
        Ok(quarantine)
    }

    fn folder(&self) -> PathBuf {
        self.dir.root().join("quarantine")
    }

    /// Where the events of a source are kept, whether there are any or not.
    pub fn path(&self, source: &str) -> PathBuf {
        self.folder().join(format!("{source}.jsonl"))
    }

    /// Adds records, which are on disk when this returns.
    pub fn append(&self, source: &str, records: &[serde_json::Value]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let _writing = self.lock();
        let (folder, path) = (self.folder(), self.path(source));
        disk::create_folder(&folder)?;
        let mut file =
            OpenOptions::new().create(true).append(true).open(&path).map_err(StoreError::io("open", &path))?;
        let before = disk::cut_torn_line(&path)?;
        if let Err(error) = file.write_all(lines(records).as_bytes()).and_then(|()| file.sync_all()) {
            // Half a line would spoil the next one.
            file.set_len(before).map_err(StoreError::io("cut", &path))?;
            return Err(StoreError::io("write", &path)(error));
        }
        disk::sync_folder(&folder)
    }

    /// Hands the records of a source to `change` and keeps those that it returns instead. Nothing is added meanwhile.
    pub fn replace<E: From<StoreError>>(
        &self,
        source: &str,
        change: impl FnOnce(Vec<serde_json::Value>) -> std::result::Result<Vec<serde_json::Value>, E>,
    ) -> std::result::Result<(), E> {
        let _writing = self.lock();
        let path = self.path(source);
        let kept = change(read(&path)?)?;
        if !kept.is_empty() {
            return Ok(disk::write_whole(&path, lines(&kept).as_bytes())?);
        }
        if path.exists() {
            disk::remove(&path)?;
            disk::sync_folder_of(&path)?;
        }
        Ok(())
    }

    /// The sources that have records, sorted.
    pub fn sources(&self) -> Result<Vec<String>> {
        let folder = self.folder();
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let name = |path: &PathBuf| disk::name_of(path).strip_suffix(".jsonl").map(str::to_owned);
        Ok(disk::list(&folder)?.iter().filter_map(name).filter(|name| !name.starts_with('.')).collect())
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The records of a source, oldest first: those of an append that is under way all or not at all.
    pub fn records(&self, source: &str) -> Result<Vec<serde_json::Value>> {
        let _writing = self.lock();
        read(&self.path(source))
    }
}

fn read(path: &Path) -> Result<Vec<serde_json::Value>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    let parse = |(at, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|source| StoreError::Json { line: at as u64 + 1, source: Some(source) })
    };
    text.lines().enumerate().map(parse).collect()
}

fn lines(records: &[serde_json::Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_are_kept_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::open(&DataDir::open(folder.path().join("data")).unwrap()).unwrap();
        assert_eq!(quarantine.records("clicks").unwrap(), Vec::<serde_json::Value>::new());
        quarantine.append("clicks", &[json!({"row": 1}), json!({"row": 2})]).unwrap();
        quarantine.append("clicks", &[json!({"row": 3})]).unwrap();
        assert_eq!(quarantine.records("clicks").unwrap(), [json!({"row": 1}), json!({"row": 2}), json!({"row": 3})]);
        assert_eq!(quarantine.sources().unwrap(), ["clicks"]);
        let keep_last = |records: Vec<_>| Ok::<_, StoreError>(records[2..].to_vec());
        quarantine.replace("clicks", keep_last).unwrap();
        assert_eq!(quarantine.records("clicks").unwrap(), [json!({"row": 3})]);
        quarantine.replace("clicks", |_| Ok::<_, StoreError>(Vec::new())).unwrap();
        assert_eq!(quarantine.sources().unwrap(), Vec::<String>::new());
    }
    #[test]
    fn a_kill_during_an_append_leaves_the_records_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::open(folder.path().join("data")).unwrap();
        let quarantine = Quarantine::open(&dir).unwrap();
        quarantine.append("clicks", &[json!({"row": 1})]).unwrap();
        let path = quarantine.path("clicks");
        OpenOptions::new().append(true).open(&path).unwrap().write_all("{\"row\": \"ä".as_bytes()).unwrap();
        fs::write(path.with_file_name(".clicks.jsonl.1-0.aside"), "half").unwrap();
        let quarantine = Quarantine::open(&dir).unwrap();
        assert_eq!(quarantine.records("clicks").unwrap(), [json!({"row": 1})]);
        quarantine.append("clicks", &[json!({"row": 2})]).unwrap();
        assert_eq!(quarantine.records("clicks").unwrap(), [json!({"row": 1}), json!({"row": 2})]);
        assert_eq!(disk::list(&quarantine.folder()).unwrap(), [path], "what was unfinished is gone");
    }
}
