//! The files that a table is made of: one, those of a folder, or those that a pattern fits.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use super::Format;
use crate::{Result, StoreError};

/// How Hive and its heirs write a null into a path.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// Characters that make a path a pattern.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// How patterns are matched: a wildcard does not stand for a name that begins with a dot.
const MATCHING: glob::MatchOptions =
    glob::MatchOptions { case_sensitive: true, require_literal_separator: false, require_literal_leading_dot: true };

/// A file of a table, and the columns that its path stands for.
pub(super) struct TableFile {
    pub(super) path: PathBuf,
    /// Values of `key=value` folders, outermost first.
    pub(super) partitions: Vec<(String, Option<String>)>,
}

/// What a user names as a table.
///
/// A folder stands for all files in it and in its folders, except those whose names begin with `.` or `_`, which other
/// programs use for what is not data. A pattern has `*`, `?`, `[…]` or `**` and is one only where no file has that name.
/// Files are read in the order of their paths. Folders called `key=value` below the named folder, or from the first
/// wildcard on, give every row beneath them that value in a column `key`.
pub struct TableFiles {
    pub(super) files: Vec<TableFile>,
    /// Whether a file was named as it is.
    pub(super) is_single: bool,
}

impl TableFiles {
    /// Finds the files. A single file need not be there yet.
    pub fn find(path: &Path) -> Result<Self> {
        let (root, paths) = if path.is_dir() {
            let mut paths = Vec::new();
            walk(path, &mut paths)?;
            (path.to_owned(), paths)
        } else if is_pattern(path) {
            (literal_part(path), matches(path)?)
        } else {
            return Ok(Self {
                files: vec![TableFile { path: path.to_owned(), partitions: Vec::new() }],
                is_single: true,
            });
        };
        if paths.is_empty() {
            return Err(StoreError::NoTables { path: path.to_owned() });
        }
        let file =
            |path: PathBuf| TableFile { partitions: partitions(path.strip_prefix(&root).unwrap_or(&path)), path };
        let found = Self { files: paths.into_iter().map(file).collect(), is_single: false };
        found.check_keys()?;
        Ok(found)
    }

    /// Whether what a user names as a table would take a file in, were it there: a folder that it lies in, or a pattern that
    /// it fits.
    pub fn would_take_in(named: &Path, file: &Path) -> bool {
        let Some(file) = real_path(file) else { return false };
        if named.is_dir() {
            let below = named.canonicalize().ok().and_then(|folder| file.strip_prefix(folder).ok().map(Path::to_owned));
            return below.is_some_and(|below| !below.iter().any(|name| is_hidden(&name.to_string_lossy())));
        }
        is_pattern(named) && fits(named, &file)
    }

    /// The files, in the order in which they are read.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// The format that the extensions of all files stand for.
    pub fn format(&self) -> Result<Format> {
        let first = &self.files[0].path;
        let format = Format::of_path(first).or_else(|unknown| {
            // A file that is not there is more of a surprise than its name.
            fs::metadata(first).map_err(StoreError::io("open", first))?;
            Err(unknown)
        })?;
        for file in &self.files {
            if Format::of_path(&file.path)? != format {
                return Err(StoreError::MixedFormats { path: first.clone(), other: file.path.clone() });
            }
        }
        Ok(format)
    }

    /// Whether the paths say something of the rows.
    pub fn is_partitioned(&self) -> bool {
        !self.files[0].partitions.is_empty()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.files[0].partitions.iter().map(|(key, _)| key.as_str())
    }

    fn check_keys(&self) -> Result<()> {
        let uneven = |file: &&TableFile| !self.keys().eq(file.partitions.iter().map(|(key, _)| key.as_str()));
        match self.files.iter().find(uneven) {
            None => Ok(()),
            Some(file) => {
                Err(StoreError::UnevenPartitions { path: self.files[0].path.clone(), other: file.path.clone() })
            }
        }
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(StoreError::io("read", folder))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    let mut paths = paths.map_err(StoreError::io("read", folder))?;
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_hidden(&name) {
            continue;
        }
        if path.is_dir() { walk(&path, found)? } else { found.push(path) }
    }
    Ok(())
}

/// Whether a file or folder is passed over: other programs give such names to what is not data.
fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

/// The path of a file that need not be there, in a folder that is.
fn real_path(file: &Path) -> Option<PathBuf> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(file.file_name()?))
}

/// Whether a pattern fits a file, or a folder that it is in.
fn fits(pattern: &Path, file: &Path) -> bool {
    let literal = literal_part(pattern);
    let folder = if literal.as_os_str().is_empty() { Path::new(".") } else { &literal };
    let (Ok(folder), Ok(rest)) = (folder.canonicalize(), pattern.strip_prefix(&literal)) else { return false };
    let folder = glob::Pattern::escape(&folder.to_string_lossy());
    let Ok(pattern) = glob::Pattern::new(&format!("{folder}/{}", rest.display())) else { return false };
    let options = glob::MatchOptions { require_literal_separator: true, ..MATCHING };
    file.ancestors().any(|path| pattern.matches_path_with(path, options))
}

/// Whether a path is to be read as a pattern.
fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains(WILDCARDS)) && !path.exists()
}

/// The folders before the first wildcard.
fn literal_part(pattern: &Path) -> PathBuf {
    pattern.components().take_while(|part| !part.as_os_str().to_string_lossy().contains(WILDCARDS)).collect()
}

fn matches(pattern: &Path) -> Result<Vec<PathBuf>> {
    let text = pattern.to_str().unwrap_or_default();
    let refused = |source| StoreError::Pattern { pattern: text.to_owned(), source };
    let mut found = Vec::new();
    for path in glob::glob_with(text, MATCHING).map_err(refused)? {
        let path = path.map_err(|error| {
            let path = error.path().to_owned();
            StoreError::io("read", &path)(error.into())
        })?;
        if path.is_dir() { walk(&path, &mut found)? } else { found.push(path) }
    }
    // `**` finds a file and the folder that it is in.
    found.sort();
    found.dedup();
    Ok(found)
}

fn partitions(below_root: &Path) -> Vec<(String, Option<String>)> {
    let folders = below_root.parent().unwrap_or(Path::new("")).components();
    let partition = |part: Component<'_>| {
        let (key, value) = part.as_os_str().to_str()?.split_once('=')?;
        let value = (value != NULL_PARTITION).then(|| unescape(value));
        (!key.is_empty()).then(|| (unescape(key), value))
    };
    folders.filter_map(partition).collect()
}

/// Undoes the escapes `%3A` of a path.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let escaped = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match escaped {
            Some(byte) if bytes[at] == b'%' => {
                plain.push(byte);
                at += 3;
            }
            _ => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).unwrap_or_else(|_| text.to_owned())
}
