//! Files that appear whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{Result, StoreError};

/// How the names of files that are being written end.
const ASIDE: &str = ".aside";

/// A file that is written under another name in the folder of its final one, and removed when it is dropped unfinished.
#[derive(Debug)]
pub(crate) struct AsideFile {
    file: File,
    aside: PathBuf,
    renamed: bool,
}

impl AsideFile {
    /// An empty file beside `path`.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = path.with_file_name(format!(".{name}.{}-{count}{ASIDE}", std::process::id()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&aside)
            .map_err(StoreError::io("create", path))?;
        Ok(Self { file, aside, renamed: false })
    }

    /// The file, to write into.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Where the file is for now.
    pub(crate) fn path(&self) -> &Path {
        &self.aside
    }

    /// Syncs the file and gives it its final name. The caller syncs the folder.
    pub(crate) fn commit(mut self, path: &Path) -> Result<()> {
        self.file.sync_all().map_err(StoreError::io("sync", path))?;
        fs::rename(&self.aside, path).map_err(StoreError::io("rename a file to", path))?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for AsideFile {
    fn drop(&mut self) {
        if !self.renamed
            && let Err(error) = fs::remove_file(&self.aside)
        {
            tracing::warn!(path = %self.aside.display(), %error, "cannot remove an unfinished file");
        }
    }
}

/// Puts a file of these bytes at `path`, durably and in one step.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = AsideFile::create(path)?;
    aside.file().write_all(bytes).map_err(StoreError::io("write", path))?;
    aside.commit(path)?;
    sync_folder_of(path)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", folder))
}

/// Makes the name of a file durable.
pub(crate) fn sync_folder_of(path: &Path) -> Result<()> {
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Creates a folder, durably, with those above it.
pub(crate) fn create_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
    sync_folder_of(folder)
}

/// The files in a folder, by name.
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(StoreError::io("read", folder))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(StoreError::io("read", folder))?;
    paths.sort();
    Ok(paths)
}

/// The name of a file, as far as it is UTF-8.
pub(crate) fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Removes what a crash left half-written.
pub(crate) fn remove_unfinished(folder: &Path) -> Result<()> {
    list(folder)?.iter().filter(|path| name_of(path).ends_with(ASIDE)).try_for_each(|path| remove(path))
}

/// Removes a file.
pub(crate) fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(StoreError::io("remove", path))
}

/// The bytes of a file, or nothing when there is none.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// Cuts off what a crash left of a line, and returns how long the file is then: it is empty or ends in a line break.
pub(crate) fn cut_torn_line(path: &Path) -> Result<u64> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let mut file = file.map_err(StoreError::io("open", path))?;
    let length = file.metadata().map_err(StoreError::io("read", path))?.len();
    let whole = end_of_lines(&mut file, length).map_err(StoreError::io("read", path))?;
    if whole < length {
        tracing::warn!(path = %path.display(), bytes = length - whole, "cut off a line that was not written to its end");
        file.set_len(whole).and_then(|()| file.sync_all()).map_err(StoreError::io("cut", path))?;
    }
    Ok(whole)
}

/// Where the last line of a file ends. Read from the end, since that is nearly always right there.
fn end_of_lines(file: &mut File, length: u64) -> io::Result<u64> {
    let mut buffer = vec![0; 64 << 10];
    let mut end = length;
    while end > 0 {
        let begin = end.saturating_sub(buffer.len() as u64);
        let part = &mut buffer[..(end - begin) as usize];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + at as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

/// Checks that a name can be part of a file name.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.');
    let good = (1..=128).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(allowed);
    if good { Ok(()) } else { Err(StoreError::Name(name.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_cut_off_however_long_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let check = |whole: &str, torn: usize| {
            fs::write(&path, format!("{whole}{}", "x".repeat(torn))).unwrap();
            assert_eq!(cut_torn_line(&path).unwrap(), whole.len() as u64);
            assert_eq!(fs::read_to_string(&path).unwrap(), whole);
        };
        check("", 0);
        check("", 5);
        check("a\n\nb\n", 0);
        check("a\n\nb\n", 1);
        check("a\n", 300_000);
        check(&format!("{}\n", "y".repeat(300_000)), 65_536);
    }
}
