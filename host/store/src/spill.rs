use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use oast_core::{Batch, DataType};

use crate::{
    Result, StoreError,
    log::{ColumnReader, put_column},
};

/// A file for rows that do not fit into memory. It has no name once it is made, so that its space is free again when the
/// process is gone, however that ends. Threads can write and read at once.
#[derive(Debug)]
pub struct SpillFile {
    file: File,
    folder: PathBuf,
    length: AtomicU64,
}

/// Where rows lie in a [`SpillFile`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpilledRows {
    start: u64,
    bytes: u64,
    rows: usize,
    crc: u32,
}

impl SpilledRows {
    /// How many bytes of the file they take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

impl SpillFile {
    /// An empty file in a folder, which must be there.
    pub fn create(folder: &Path) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".oast-spill.{}-{count}", std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(StoreError::io("create a file for what memory cannot hold in", folder))?;
        fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
        Ok(Self { file, folder: folder.to_owned(), length: AtomicU64::new(0) })
    }

    /// Adds rows.
    pub fn write(&self, rows: &Batch) -> Result<SpilledRows> {
        let mut bytes = Vec::new();
        rows.columns.iter().for_each(|column| put_column(&mut bytes, column, 0, rows.rows));
        let start = self.length.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let written = self.file.write_all_at(&bytes, start);
        written.map_err(StoreError::io("write what memory cannot hold to a file in", &self.folder))?;
        Ok(SpilledRows { start, bytes: bytes.len() as u64, rows: rows.rows, crc: crc32fast::hash(&bytes) })
    }

    /// Reads rows whose columns are of these types.
    pub fn read(&self, spilled: &SpilledRows, types: &[DataType]) -> Result<Batch> {
        let mut bytes = vec![0; spilled.bytes as usize];
        let read = self.file.read_exact_at(&mut bytes, spilled.start);
        read.map_err(StoreError::io("read what memory could not hold from a file in", &self.folder))?;
        let damaged = || StoreError::damaged(&self.folder, spilled.start, "rows in a spill file are not as written");
        if crc32fast::hash(&bytes) != spilled.crc {
            return Err(damaged());
        }
        let mut reader = ColumnReader { bytes: &bytes };
        let columns = types.iter().map(|data_type| reader.column(*data_type, spilled.rows));
        let columns = columns.collect::<Option<_>>().ok_or_else(damaged)?;
        Ok(Batch { rows: spilled.rows, columns })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arrow::tests::{any_table, same_rows};

    proptest! {
        #[test]
        fn rows_come_back_as_they_were((schema, rows) in any_table(), again in 1_usize..4) {
            let folder = tempfile::tempdir().unwrap();
            let file = SpillFile::create(folder.path()).unwrap();
            let types: Vec<_> = schema.fields().iter().map(|field| field.data_type).collect();
            let written: Vec<_> = (0..again).map(|_| file.write(&rows).unwrap()).collect();
            for spilled in written.iter().rev() {
                prop_assert!(same_rows(&file.read(spilled, &types).unwrap(), &rows));
                prop_assert_eq!(spilled.rows(), rows.rows);
            }
        }
    }

    #[test]
    fn a_spill_file_is_never_seen_and_a_folder_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = SpillFile::create(folder.path()).unwrap();
        file.write(&Batch::default()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let missing = folder.path().join("none");
        let error = SpillFile::create(&missing).unwrap_err();
        let expected = format!("cannot create a file for what memory cannot hold in `{}`", missing.display());
        assert_eq!((error.to_string(), error.hint()), (expected, Some("check the path".to_owned())));
    }
}
