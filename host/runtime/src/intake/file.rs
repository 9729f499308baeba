//! Reading files of events batch by batch, each row by itself where it can be told from the others.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use oast_core::{Batch, DataType, Field, Schema};
use oast_store::{BATCH_ROWS, Columns, Format, StoreError, TableFiles, TableReader};

use super::{
    ReadEvents,
    read::{exactly, push_row},
};
use crate::{ColumnNames, RuntimeError, ingest::Source};

/// Events as they are read, batch by batch.
pub(crate) type EventBatches<'a> = Box<dyn Iterator<Item = Result<ReadEvents, RuntimeError>> + Send + 'a>;

/// A file of events of a source, a folder of such files, or a pattern.
pub(crate) struct EventFile<'a> {
    source: &'a Source,
    path: &'a Path,
    names: &'a ColumnNames,
    format: Format,
    /// The files of JSON lines, each line of which can be judged by itself. Not those of a partitioned table, whose rows are
    /// not whole without their paths, nor where columns have other names: there, one line that cannot be read is an error of
    /// the whole.
    lines: Option<Vec<PathBuf>>,
}

impl<'a> EventFile<'a> {
    /// Finds what a path names.
    pub(crate) fn find(
        source: &'a Source,
        path: &'a Path,
        format: Option<Format>,
        names: &'a ColumnNames,
    ) -> Result<Self, RuntimeError> {
        let files = TableFiles::find(path)?;
        let format = format.map_or_else(|| files.format(), Ok)?;
        let by_line = format == Format::JsonLines && names.is_empty() && !files.is_partitioned();
        let lines = by_line.then(|| files.paths().map(Path::to_owned).collect());
        Ok(Self { source, path, names, format, lines })
    }

    /// The events, their numbers in the file, and the lines that are no events. A table of text may turn out not to have the
    /// source's types half-way, [`Self::is_for_each_row`]. Columns that lie apart are decoded on so many threads.
    pub(crate) fn batches(&self, threads: usize) -> Result<EventBatches<'a>, RuntimeError> {
        if let Some(files) = &self.lines {
            return Ok(Box::new(LineBatches::new(self.source, files.clone())));
        }
        let columns = self.names.in_table(&self.source.loose, &format!("`{}`", self.path.display()))?;
        let reader = match self.format {
            Format::Parquet => TableReader::open_apart(self.path, &columns, threads)?,
            _ => self.open(exactly(&columns))?,
        };
        let mut before = 0;
        Ok(Box::new(reader.map(move |rows| {
            let rows = rows?;
            let numbers = (before + 1..=before + rows.rows as u64).collect();
            before += rows.rows as u64;
            Ok((rows, numbers, Vec::new()))
        })))
    }

    /// Whether an error says that a cell of CSV is no value of its column. Such a file is read row by row, so that the rows at
    /// fault can be told from the others.
    pub(crate) fn is_for_each_row(&self, error: &RuntimeError) -> bool {
        let RuntimeError::Store(StoreError::Table { source, .. }) = error else { return false };
        self.format == Format::Csv && self.names.is_empty() && matches!(**source, StoreError::BadValue { .. })
    }

    /// The events of CSV, each judged by itself.
    pub(crate) fn row_by_row(&self) -> Result<EventBatches<'a>, RuntimeError> {
        let source = self.source;
        let texts = source.loose.fields().iter().map(|field| Field::nullable(&field.name, DataType::Utf8));
        let texts = Schema::new(texts.collect()).expect("the names are those of a schema");
        let mut before = 0;
        Ok(Box::new(self.open(exactly(&texts))?.map(move |rows| {
            let rows = rows?;
            let mut lines = String::new();
            (0..rows.rows).for_each(|row| push_row(&mut lines, source, &rows, row));
            let read = source.read_lines(lines.lines().map(str::as_bytes).zip(before + 1..));
            before += rows.rows as u64;
            Ok(read)
        })))
    }

    /// All events at once.
    pub(crate) fn read_all(&self) -> Result<ReadEvents, RuntimeError> {
        match self.gather(self.batches(1)?) {
            Err(error) if self.is_for_each_row(&error) => self.gather(self.row_by_row()?),
            read => read,
        }
    }

    fn gather(&self, batches: EventBatches<'_>) -> Result<ReadEvents, RuntimeError> {
        let (mut rows, mut numbers, mut refused) = (Batch::empty(&self.source.loose), Vec::new(), Vec::new());
        for batch in batches {
            let batch = batch?;
            rows.append(&batch.0);
            numbers.extend(batch.1);
            refused.extend(batch.2);
        }
        Ok((rows, numbers, refused))
    }

    fn open(&self, columns: Columns) -> Result<TableReader, RuntimeError> {
        Ok(TableReader::open(self.path, Some(self.format), columns)?)
    }
}

/// Lines of JSON from some files, one after the other.
struct LineBatches<'a> {
    source: &'a Source,
    files: std::vec::IntoIter<PathBuf>,
    open: Option<(PathBuf, FileLines)>,
    /// How many lines were read.
    lines: u64,
}

type FileLines = std::io::Split<BufReader<File>>;

impl<'a> LineBatches<'a> {
    fn new(source: &'a Source, files: Vec<PathBuf>) -> Self {
        Self { source, files: files.into_iter(), open: None, lines: 0 }
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>, RuntimeError> {
        loop {
            let Some((path, lines)) = &mut self.open else {
                let Some(path) = self.files.next() else { return Ok(None) };
                let file = File::open(&path).map_err(failed("open", &path))?;
                self.open = Some((path, BufReader::with_capacity(1 << 16, file).split(b'\n')));
                continue;
            };
            match lines.next() {
                Some(line) => return Ok(Some(line.map_err(failed("read", path))?)),
                None => self.open = None,
            }
        }
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> RuntimeError {
    move |source| RuntimeError::File { action, path: path.to_owned(), source }
}

impl Iterator for LineBatches<'_> {
    type Item = Result<ReadEvents, RuntimeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut lines = Vec::new();
        while lines.len() < BATCH_ROWS {
            match self.line() {
                Ok(Some(line)) => {
                    self.lines += 1;
                    if !line.trim_ascii().is_empty() {
                        lines.push((line, self.lines));
                    }
                }
                Ok(None) => break,
                Err(error) => return Some(Err(error)),
            }
        }
        let read = || self.source.read_lines(lines.iter().map(|(line, number)| (line.as_slice(), *number)));
        (!lines.is_empty()).then(|| Ok(read()))
    }
}
