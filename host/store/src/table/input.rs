//! Where the bytes of a table come from.

use std::{
    fs::File,
    io::{BufRead, BufReader, Cursor, Read},
    path::{Path, PathBuf},
};

use arrow::{
    datatypes::SchemaRef,
    ipc::reader::{FileReader, StreamReader},
};
use bytes::Bytes;

use super::{Batches, Columns, typed};
use crate::{Result, StoreError};
use oast_core::Schema;

/// The bytes of a table. Only files and memory can be read twice, which is what guessing types takes.
pub(super) enum Input {
    File(PathBuf),
    Memory(PathBuf, Bytes),
    Stream(PathBuf, Box<dyn Read + Send>),
}

impl Input {
    /// A file, which must be there.
    pub(super) fn file(path: &Path) -> Result<Self> {
        File::open(path).map_err(StoreError::io("open", path))?;
        Ok(Self::File(path.to_owned()))
    }

    /// All that a reader has.
    pub(super) fn memory(path: &Path, mut input: impl Read) -> Result<Self> {
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes).map_err(StoreError::io("read", path))?;
        Ok(Self::Memory(path.to_owned(), bytes.into()))
    }

    /// A reader, as it comes.
    pub(super) fn stream(path: &Path, input: impl Read + Send + 'static) -> Self {
        Self::Stream(path.to_owned(), Box::new(input))
    }

    /// What the table is called in errors.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Memory(path, _) | Self::Stream(path, _) => path,
        }
    }

    /// A reader from the beginning, leaving this one as it is.
    ///
    /// # Panics
    ///
    /// When this is a stream.
    pub(super) fn again(&self) -> Result<Box<dyn BufRead + Send>> {
        match self {
            Self::File(path) => Self::File(path.clone()).into_read(),
            Self::Memory(path, bytes) => Self::Memory(path.clone(), bytes.clone()).into_read(),
            Self::Stream(path, _) => panic!("`{}` was to be taken into memory", path.display()),
        }
    }

    /// A reader from the beginning.
    pub(super) fn into_read(self) -> Result<Box<dyn BufRead + Send>> {
        Ok(match self {
            Self::File(path) => Box::new(buffered(File::open(&path).map_err(StoreError::io("open", &path))?)),
            Self::Memory(_, bytes) => Box::new(Cursor::new(bytes)),
            Self::Stream(_, input) => Box::new(buffered(input)),
        })
    }
}

fn buffered<R: Read>(input: R) -> BufReader<R> {
    BufReader::with_capacity(1 << 16, input)
}

/// The schema of a file of Arrow IPC.
pub(super) fn arrow_schema(path: &Path) -> Result<SchemaRef> {
    let mut read = Input::file(path)?.into_read()?;
    if !read.fill_buf().map_err(StoreError::io("read", path))?.starts_with(b"ARROW1") {
        return Ok(StreamReader::try_new(read, None)?.schema());
    }
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    Ok(FileReader::try_new_buffered(file, None)?.schema())
}

/// Reads Arrow IPC. A file begins with a magic, a stream does not.
pub(super) fn read_arrow(input: Input, columns: &Columns) -> Result<(Schema, Batches)> {
    let path = input.path().to_owned();
    let is_file = matches!(input, Input::File(_));
    let mut read = input.into_read()?;
    if !read.fill_buf().map_err(StoreError::io("read", &path))?.starts_with(b"ARROW1") {
        let records = StreamReader::try_new(read, None)?;
        let schema = columns.resolve(&records.schema())?;
        return Ok((schema.clone(), typed(records, schema)));
    }
    if is_file {
        let records = FileReader::try_new_buffered(File::open(&path).map_err(StoreError::io("open", &path))?, None)?;
        let schema = columns.resolve(&records.schema())?;
        return Ok((schema.clone(), typed(records, schema)));
    }
    let mut bytes = Vec::new();
    read.read_to_end(&mut bytes).map_err(StoreError::io("read", &path))?;
    let records = FileReader::try_new(Cursor::new(bytes), None)?;
    let schema = columns.resolve(&records.schema())?;
    Ok((schema.clone(), typed(records, schema)))
}
