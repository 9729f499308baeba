use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::PathBuf,
};

use crate::{DataDir, Result, StoreError, disk};

/// Events that were not logged: one file of JSON lines a source, to be read, corrected and sent again.
#[derive(Debug, Clone)]
pub struct Quarantine {
    dir: DataDir,
}

impl Quarantine {
    /// The quarantine of a data directory.
    pub fn open(dir: &DataDir) -> Self {
        Self { dir: dir.clone() }
    }

    /// Where the events of a source are kept, whether there are any or not.
    pub fn path(&self, source: &str) -> PathBuf {
        self.dir.root().join("quarantine").join(format!("{source}.jsonl"))
    }

    /// Adds records, which are on disk when this returns.
    pub fn append(&self, source: &str, records: &[serde_json::Value]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let path = self.path(source);
        let folder = path.parent().unwrap_or(self.dir.root());
        disk::create_folder(folder)?;
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        let mut file =
            OpenOptions::new().create(true).append(true).open(&path).map_err(StoreError::io("open", &path))?;
        file.write_all(lines.as_bytes()).map_err(StoreError::io("write", &path))?;
        file.sync_all().map_err(StoreError::io("sync", &path))?;
        disk::sync_folder(folder)
    }

    /// The records of a source, oldest first.
    pub fn records(&self, source: &str) -> Result<Vec<serde_json::Value>> {
        let path = self.path(source);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("read", &path)(error)),
        };
        let parse = |(at, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|source| StoreError::Json { line: at as u64 + 1, source: Some(source) })
        };
        text.lines().enumerate().map(parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_are_kept_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::open(&DataDir::open(folder.path().join("data")).unwrap());
        assert_eq!(quarantine.records("clicks").unwrap(), Vec::<serde_json::Value>::new());
        quarantine.append("clicks", &[json!({"row": 1}), json!({"row": 2})]).unwrap();
        quarantine.append("clicks", &[json!({"row": 3})]).unwrap();
        assert_eq!(quarantine.records("clicks").unwrap(), [json!({"row": 1}), json!({"row": 2}), json!({"row": 3})]);
    }
}
