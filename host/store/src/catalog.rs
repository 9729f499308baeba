use std::{
    io,
    path::PathBuf,
    sync::{Mutex, MutexGuard},
};

use oast_core::{ComponentHash, HashParseError, Timestamp};
use serde_json::Value;

use crate::{DataDir, Result, StoreError, disk};

/// Components by hash, records by kind and hash, and the history of the names that point at them.
///
/// | path | what |
/// |---|---|
/// | `components/<hash>.wasm` | the bytes of a component, checked against the hash whenever they are read |
/// | `components/<hash>.quarantined` | why that component may not run, if it may not |
/// | `catalog/records/<kind>/<hash>.json` | an immutable record |
/// | `catalog/names/<kind>/<name>.json` | what a name has pointed at, oldest first; the last is current |
///
/// Nothing published changes: a hash that stands for something stands for it for ever. The catalog does not know what a
/// record says; the caller made its hash and can check it.
pub struct Catalog {
    components: PathBuf,
    catalog: PathBuf,
    /// Held while something is written.
    writing: Mutex<()>,
    _dir: DataDir,
}

/// A record of the catalog.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// What it is: a view or a service, say.
    pub kind: String,
    /// The name it was published under.
    pub name: String,
    /// Its identity.
    pub hash: String,
    /// What it says.
    pub record: Value,
}

/// One entry in the history of a name.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Publication {
    /// What the name pointed at.
    pub hash: String,
    /// From when on.
    pub published_at: Timestamp,
}

impl Catalog {
    /// Opens the catalog of a data directory.
    pub fn open(dir: &DataDir) -> Result<Self> {
        let catalog =
            Self { components: dir.components(), catalog: dir.catalog(), writing: Mutex::new(()), _dir: dir.clone() };
        disk::create_folder(&catalog.components)?;
        disk::remove_unfinished(&catalog.components)?;
        for folder in ["records", "names"] {
            let folder = catalog.catalog.join(folder);
            disk::create_folder(&folder)?;
            disk::list(&folder)?.iter().try_for_each(|kind| disk::remove_unfinished(kind))?;
        }
        Ok(catalog)
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().expect("nothing panics under this lock")
    }

    /// Where the bytes of a component are.
    pub fn component_path(&self, hash: ComponentHash) -> PathBuf {
        self.components.join(format!("{hash}.wasm"))
    }

    /// Stores the bytes of a component. One that was altered on the disk is put right.
    pub fn put_component(&self, bytes: &[u8]) -> Result<ComponentHash> {
        let hash = ComponentHash::of(bytes);
        let _writing = self.lock();
        let path = self.component_path(hash);
        if disk::read_if_there(&path)?.as_deref() != Some(bytes) {
            disk::write_whole(&path, bytes)?;
        }
        Ok(hash)
    }

    /// The bytes of a component, which have this hash.
    pub fn component(&self, hash: ComponentHash) -> Result<Vec<u8>> {
        let path = self.component_path(hash);
        let unknown = || StoreError::UnknownHash { kind: "component".to_owned(), hash: hash.to_string() };
        let bytes = disk::read_if_there(&path)?.ok_or_else(unknown)?;
        let found = ComponentHash::of(&bytes);
        if found == hash {
            return Ok(bytes);
        }
        Err(StoreError::Altered { path, expected: hash.to_string(), found: found.to_string() })
    }

    /// The components there are, sorted.
    pub fn components(&self) -> Result<Vec<ComponentHash>> {
        let files = disk::list(&self.components)?;
        Ok(files.iter().filter_map(|path| disk::name_of(path).strip_suffix(".wasm")?.parse().ok()).collect())
    }

    /// The file that keeps a component in quarantine while it is there.
    pub fn quarantine_path(&self, hash: ComponentHash) -> PathBuf {
        self.components.join(format!("{hash}.quarantined"))
    }

    /// Keeps a component from running, with the reason in words. The first reason stays.
    pub fn quarantine(&self, hash: ComponentHash, reason: &str) -> Result<()> {
        let _writing = self.lock();
        let path = self.quarantine_path(hash);
        if disk::read_if_there(&path)?.is_some() { Ok(()) } else { disk::write_whole(&path, reason.as_bytes()) }
    }

    /// Why a component may not run, if it may not.
    pub fn quarantined(&self, hash: ComponentHash) -> Result<Option<String>> {
        let reason = disk::read_if_there(&self.quarantine_path(hash))?;
        Ok(reason.map(|reason| String::from_utf8_lossy(&reason).into_owned()))
    }

    /// Lets a component run again.
    pub fn release(&self, hash: ComponentHash) -> Result<()> {
        let _writing = self.lock();
        let path = self.quarantine_path(hash);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    /// Stores a record under its hash. Storing it again changes nothing; another one under the same hash is
    /// [`StoreError::RecordConflict`].
    pub fn put_record(&self, kind: &str, name: &str, hash: &str, record: &Value) -> Result<()> {
        disk::check_name(name)?;
        let path = self.record_path(kind, hash)?;
        let _writing = self.lock();
        match self.record(kind, hash)? {
            Some(stored) if stored.record == *record && stored.name == name => Ok(()),
            Some(_) => Err(StoreError::RecordConflict { kind: kind.to_owned(), hash: hash.to_owned() }),
            None => {
                let (kind, name, hash) = (kind.to_owned(), name.to_owned(), hash.to_owned());
                write_json(&path, &Record { kind, name, hash, record: record.clone() })
            }
        }
    }

    /// The record under a hash, if there is one.
    pub fn record(&self, kind: &str, hash: &str) -> Result<Option<Record>> {
        let path = self.record_path(kind, hash)?;
        let record: Option<Record> = read_json(&path)?;
        match record {
            Some(record) if record.kind != kind || record.hash != hash => {
                Err(StoreError::damaged(&path, 0, "it is the record of another hash"))
            }
            record => Ok(record),
        }
    }

    /// The records of a kind, by hash.
    pub fn records(&self, kind: &str) -> Result<Vec<Record>> {
        let hashes = self.list("records", kind)?;
        let records = hashes.iter().map(|hash| self.record(kind, hash));
        records.filter_map(Result::transpose).collect()
    }

    /// Makes a record the current one of a name. When it is current already, this changes nothing.
    pub fn publish(&self, kind: &str, name: &str, hash: &str, at: Timestamp) -> Result<()> {
        if self.record(kind, hash)?.is_none() {
            return Err(StoreError::UnknownHash { kind: kind.to_owned(), hash: hash.to_owned() });
        }
        let path = self.name_path(kind, name)?;
        let _writing = self.lock();
        let mut history = self.history(kind, name)?;
        if history.last().is_some_and(|current| current.hash == hash) {
            return Ok(());
        }
        history.push(Publication { hash: hash.to_owned(), published_at: at });
        write_json(&path, &history)
    }

    /// What a name points at now.
    pub fn current(&self, kind: &str, name: &str) -> Result<Option<Publication>> {
        Ok(self.history(kind, name)?.pop())
    }

    /// What a name has pointed at, oldest first.
    pub fn history(&self, kind: &str, name: &str) -> Result<Vec<Publication>> {
        let history: Option<_> = read_json(&self.name_path(kind, name)?)?;
        Ok(history.unwrap_or_else(Vec::new))
    }

    /// The names of a kind, sorted.
    pub fn names(&self, kind: &str) -> Result<Vec<String>> {
        self.list("names", kind)
    }

    fn list(&self, folder: &str, kind: &str) -> Result<Vec<String>> {
        disk::check_name(kind)?;
        let folder = self.catalog.join(folder).join(kind);
        let paths = if folder.is_dir() { disk::list(&folder)? } else { Vec::new() };
        let names = paths.iter().map(|path| disk::name_of(path)).filter(|name| !name.starts_with('.'));
        let mut names: Vec<_> = names.filter_map(|name| name.strip_suffix(".json")).map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    fn record_path(&self, kind: &str, hash: &str) -> Result<PathBuf> {
        disk::check_name(kind)?;
        let parsed: Result<ComponentHash, HashParseError> = hash.parse();
        if parsed.is_err() {
            return Err(StoreError::UnknownHash { kind: kind.to_owned(), hash: hash.to_owned() });
        }
        Ok(self.catalog.join("records").join(kind).join(format!("{hash}.json")))
    }

    fn name_path(&self, kind: &str, name: &str) -> Result<PathBuf> {
        disk::check_name(kind)?;
        disk::check_name(name)?;
        Ok(self.catalog.join("names").join(kind).join(format!("{name}.json")))
    }
}

fn write_json<T: serde::Serialize>(path: &std::path::Path, value: &T) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(io::Error::from).map_err(StoreError::io("write", path))?;
    bytes.push(b'\n');
    path.parent().map_or(Ok(()), disk::create_folder)?;
    disk::write_whole(path, &bytes)
}

fn read_json<T: serde::de::DeserializeOwned>(path: &std::path::Path) -> Result<Option<T>> {
    let Some(bytes) = disk::read_if_there(path)? else { return Ok(None) };
    let damaged = |error: serde_json::Error| StoreError::damaged(path, 0, error.to_string());
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    fn catalog(root: &std::path::Path) -> Catalog {
        Catalog::open(&DataDir::open(root).unwrap()).unwrap()
    }

    #[test]
    fn components_are_found_by_hash_and_tampering_is_noticed() {
        let temp = tempfile::tempdir().unwrap();
        let catalog = catalog(temp.path());
        let hash = catalog.put_component(b"\0asm kiln").unwrap();
        assert_eq!(hash, ComponentHash::of(b"\0asm kiln"));
        assert_eq!(catalog.component(hash).unwrap(), b"\0asm kiln");
        assert_eq!(catalog.components().unwrap(), [hash]);
        let path = catalog.component_path(hash);
        fs::write(&path, b"\0asm kilo").unwrap();
        let error = catalog.component(hash).unwrap_err();
        assert!(matches!(&error, StoreError::Altered { path: named, .. } if *named == path), "{error}");
        catalog.put_component(b"\0asm kiln").unwrap();
        assert_eq!(catalog.component(hash).unwrap(), b"\0asm kiln");
        let other = catalog.component(ComponentHash::of(b"other")).unwrap_err();
        assert!(matches!(other, StoreError::UnknownHash { .. }));
    }

    #[test]
    fn a_component_stays_in_quarantine_until_it_is_released() {
        let temp = tempfile::tempdir().unwrap();
        let (sound, broken) = (ComponentHash::of(b"sound"), ComponentHash::of(b"broken"));
        catalog(temp.path()).quarantine(broken, "row 7 differs").unwrap();
        let catalog = catalog(temp.path());
        catalog.quarantine(broken, "row 8 differs").unwrap();
        assert_eq!(catalog.quarantined(broken).unwrap().as_deref(), Some("row 7 differs"));
        assert_eq!(catalog.quarantined(sound).unwrap(), None);
        assert_eq!(catalog.components().unwrap(), []);
        catalog.release(broken).unwrap();
        catalog.release(broken).unwrap();
        assert_eq!(catalog.quarantined(broken).unwrap(), None);
    }

    #[test]
    fn records_never_change() {
        let temp = tempfile::tempdir().unwrap();
        let catalog = catalog(temp.path());
        let hash = "a".repeat(64);
        assert_eq!(catalog.record("view", &hash).unwrap(), None);
        catalog.put_record("view", "delay", &hash, &json!({"ttl": 1})).unwrap();
        catalog.put_record("view", "delay", &hash, &json!({"ttl": 1})).unwrap();
        let conflict = catalog.put_record("view", "delay", &hash, &json!({"ttl": 2})).unwrap_err();
        assert!(matches!(conflict, StoreError::RecordConflict { .. }));
        let stored = catalog.record("view", &hash).unwrap().unwrap();
        assert_eq!((stored.name.as_str(), stored.record), ("delay", json!({"ttl": 1})));
        assert_eq!(catalog.records("view").unwrap().len(), 1);
        assert_eq!(catalog.records("service").unwrap(), []);
        let path = catalog.record_path("view", &hash).unwrap();
        fs::write(&path, "{").unwrap();
        assert!(matches!(catalog.record("view", &hash), Err(StoreError::Damaged { path: named, .. }) if named == path));
    }

    #[test]
    fn names_have_a_history_in_order() {
        let temp = tempfile::tempdir().unwrap();
        let (first, second) = ("1".repeat(64), "2".repeat(64));
        let times = [1, 2, 3].map(Timestamp::from_micros);
        {
            let catalog = catalog(temp.path());
            for hash in [&first, &second] {
                catalog.put_record("view", "delay", hash, &json!({})).unwrap();
            }
            catalog.publish("view", "delay", &second, times[0]).unwrap();
            catalog.publish("view", "delay", &second, times[1]).unwrap();
            catalog.publish("view", "delay", &first, times[1]).unwrap();
            catalog.publish("view", "delay", &second, times[2]).unwrap();
        }
        fs::write(temp.path().join("catalog/names/view/.delay.json.7-0.aside"), "[").unwrap();
        let catalog = catalog(temp.path());
        let history = catalog.history("view", "delay").unwrap();
        let history: Vec<_> = history.iter().map(|entry| (&entry.hash, entry.published_at)).collect();
        assert_eq!(history, [(&second, times[0]), (&first, times[1]), (&second, times[2])]);
        assert_eq!(catalog.current("view", "delay").unwrap().unwrap().hash, second);
        assert_eq!(catalog.current("view", "other").unwrap(), None);
        assert_eq!(catalog.names("view").unwrap(), ["delay"]);
        assert_eq!(fs::read_dir(temp.path().join("catalog/names/view")).unwrap().count(), 1);
    }

    #[test]
    fn names_that_are_no_file_names_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let catalog = catalog(temp.path());
        for name in ["", ".", "..", "../x", "a/b", "ü", &"x".repeat(129)] {
            assert!(matches!(catalog.history("view", name), Err(StoreError::Name(refused)) if refused == name));
            assert!(matches!(catalog.names(name), Err(StoreError::Name(_))));
        }
        let unknown = catalog.publish("view", "x", "../../etc", Timestamp::from_micros(0)).unwrap_err();
        assert!(matches!(unknown, StoreError::UnknownHash { .. }));
    }
}
