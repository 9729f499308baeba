//! Giving space back: sled uses space again but never returns it, so a state that has become much larger than what is in it is
//! written anew, into another folder that then takes its place.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{BATCH, LOCK_PATIENCE, batch, entry, failed, open_sled, sync_new};
use crate::{Result, StoreError, disk};

/// A state smaller than this is left as it is.
const BYTES_MIN: u64 = 64 << 20;

/// How much larger than its entries a state may be.
const FACTOR: u64 = 3;

/// Finishes or undoes what a crash interrupted: the state is where it was, or where it was to go.
pub(super) fn recover(path: &Path) -> Result<()> {
    let (fresh, old) = (fresh(path), old(path));
    if !path.exists() && old.exists() {
        fs::rename(&old, path).map_err(StoreError::io("rename a folder to", path))?;
        disk::sync_folder_of(path)?;
    }
    clear_away(&fresh);
    clear_away(&old);
    Ok(())
}

/// Writes the state anew if it takes much more space than what is in it. That only gives space back: if it cannot be done, on a
/// full disk, say, the state stays as it was.
pub(super) fn compact_if_large(path: &Path, db: sled::Db) -> Result<sled::Db> {
    let size = db.size_on_disk().map_err(failed(path))?;
    if size < BYTES_MIN || size <= FACTOR * live_bytes(&db).map_err(failed(path))? {
        return Ok(db);
    }
    let compacted = rewrite(path, db)?;
    let after = compacted.size_on_disk().map_err(failed(path))?;
    if after < size {
        tracing::info!(before = size, after, "wrote the state anew");
    }
    Ok(compacted)
}

fn rewrite(path: &Path, db: sled::Db) -> Result<sled::Db> {
    let fresh = fresh(path);
    if let Err(error) = write_fresh(&db, &fresh) {
        not_compacted(&error);
        clear_away(&fresh);
        return Ok(db);
    }
    drop(db);
    if let Err(error) = exchange(path) {
        not_compacted(&error);
        // Whichever of the two is in place is whole.
        recover(path)?;
    }
    open_sled(path, LOCK_PATIENCE)
}

fn not_compacted(error: &StoreError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "the state cannot be written anew and stays as large as it is"
    );
}

/// Copies all of a database into another folder, durably.
fn write_fresh(db: &sled::Db, fresh: &Path) -> Result<()> {
    if fresh.exists() {
        // What could not be removed would get into the copy.
        return Err(StoreError::io("write", fresh)(std::io::ErrorKind::AlreadyExists.into()));
    }
    let new = open_sled(fresh, LOCK_PATIENCE)?;
    sync_new(fresh)?;
    copy(db, &new).map_err(failed(fresh))?;
    new.flush().map_err(failed(fresh))?;
    let file = fresh.join("db");
    fs::File::open(&file).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", &file))
}

/// Has the copy take the place of the database, which nobody has open.
fn exchange(path: &Path) -> Result<()> {
    let (fresh, old) = (fresh(path), old(path));
    fs::rename(path, &old).map_err(StoreError::io("rename", path))?;
    fs::rename(&fresh, path).map_err(StoreError::io("rename a folder to", path))?;
    disk::sync_folder_of(path)?;
    clear_away(&old);
    Ok(())
}

fn live_bytes(db: &sled::Db) -> sled::Result<u64> {
    let mut bytes = 0;
    for name in db.tree_names() {
        for entry in &db.open_tree(name)? {
            let (key, value) = entry?;
            bytes += (key.len() + value.len()) as u64;
        }
    }
    Ok(bytes)
}

fn copy(from: &sled::Db, to: &sled::Db) -> sled::Result<()> {
    for name in from.tree_names() {
        let (source, target) = (from.open_tree(&name)?, to.open_tree(&name)?);
        let mut changes = Vec::new();
        for entry in &source {
            let (key, value) = entry?;
            changes.extend(entry::moved(&source, &key, &value, || to.generate_id())?);
            if changes.len() >= BATCH {
                target.apply_batch(batch(&changes))?;
                changes.clear();
            }
        }
        target.apply_batch(batch(&changes))?;
    }
    Ok(())
}

fn fresh(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn old(path: &Path) -> PathBuf {
    path.with_extension("old")
}

/// Removes what is of no more use. Where that cannot be done it costs space, and is tried again at the next start.
fn clear_away(folder: &Path) {
    if folder.exists()
        && let Err(error) = fs::remove_dir_all(folder)
    {
        tracing::warn!(path = %folder.display(), %error, "cannot remove what is left of writing the state anew");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DataDir,
        state::{Op, State},
    };

    /// A state in which one entry was written again and again.
    fn churned(path: &Path) -> sled::Db {
        let db = open_sled(path, LOCK_PATIENCE).unwrap();
        let tree = db.open_tree("view").unwrap();
        for round in 0..200_u32 {
            for key in 0..100_u32 {
                tree.insert(key.to_be_bytes(), [round as u8; 256].as_slice()).unwrap();
            }
            db.flush().unwrap();
        }
        db
    }

    fn entries(db: &sled::Db) -> Vec<(Vec<u8>, Vec<u8>)> {
        let tree = db.open_tree("view").unwrap();
        tree.iter().map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())).unwrap()).collect()
    }

    #[test]
    fn a_large_state_is_written_anew_with_all_that_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sled");
        let db = churned(&path);
        let (before, expected) = (db.size_on_disk().unwrap(), entries(&db));
        let db = rewrite(&path, db).unwrap();
        assert!(db.size_on_disk().unwrap() < before / 2, "{} of {before} bytes", db.size_on_disk().unwrap());
        assert_eq!(entries(&db), expected);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    /// A new database counts the generations of long values from the beginning.
    #[test]
    fn long_values_written_after_the_move_leave_those_before_alone() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::open(folder.path().join("data")).unwrap();
        let long = |byte: u8| vec![byte; 3 * entry::PIECE_BYTES];
        let put = |state: &State, key: u8| state.apply("view", &[Op::Put(vec![key], long(key))], b"").unwrap();
        let (state, _) = State::open(&dir).unwrap();
        (0..4).for_each(|key| put(&state, key));
        let path = state.folder.clone();
        state.flush_durable().unwrap();
        drop(state);
        drop(rewrite(&path, open_sled(&path, LOCK_PATIENCE).unwrap()).unwrap());
        let (state, _) = State::open(&dir).unwrap();
        (4..8).for_each(|key| put(&state, key));
        let values: Vec<_> = (0..8).map(|key| state.get("view", &[key]).unwrap()).collect();
        assert!((0..8).zip(values).all(|(key, value)| value == Some(long(key))));
    }

    #[test]
    fn a_crash_in_the_middle_leaves_one_whole_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sled");
        let expected = entries(&churned(&path));
        // Between the two renames: the old state has given way, and the new one is not there yet.
        fs::rename(&path, old(&path)).unwrap();
        fs::create_dir(fresh(&path)).unwrap();
        recover(&path).unwrap();
        assert_eq!(entries(&open_sled(&path, LOCK_PATIENCE).unwrap()), expected);
        // After both: the old state is not removed yet.
        fs::create_dir(old(&path)).unwrap();
        recover(&path).unwrap();
        assert_eq!(entries(&open_sled(&path, LOCK_PATIENCE).unwrap()), expected);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }
    /// A file is in the way of the copy, which is as much as a disk that is full of others' files can do.
    #[test]
    fn a_state_that_cannot_be_written_anew_opens_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sled");
        let db = churned(&path);
        let expected = entries(&db);
        fs::write(fresh(&path), "in the way").unwrap();
        let db = rewrite(&path, db).unwrap();
        assert_eq!(entries(&db), expected, "the copy cannot begin");
        drop(db);
        recover(&path).unwrap();
        fs::remove_file(fresh(&path)).unwrap();
        fs::write(old(&path), "in the way").unwrap();
        let db = rewrite(&path, open_sled(&path, LOCK_PATIENCE).unwrap()).unwrap();
        assert_eq!(entries(&db), expected, "the copy cannot take its place");
        assert!(!fresh(&path).exists(), "no half copy is left");
    }
}
