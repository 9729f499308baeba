//! What an interrupted replay leaves beside its dataset, so that the same command goes on where it stopped.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use oast_core::{
    Batch, Column, ColumnBuilder, DataType, DatasetHash, DatasetHasher, EngineFingerprint, Field, Schema,
    ServiceVersion, SpineHash, Status, Timestamp, Value, Values,
};
use oast_store::{BATCH_ROWS, Columns, Format, TableReader, TableWriter, write_whole};
use serde::{Deserialize, Serialize};

use super::partition::{Chunk, STEPS_PER_CHUNK};
use crate::{RuntimeError, fold::Features, service::Service, view::View};

/// How far a replay has come: views that are done, in the order of the service, and chunks of the next one by their numbers.
#[derive(Default)]
pub(super) struct Work {
    pub(super) done: Vec<Features>,
    pub(super) chunks: BTreeMap<usize, Chunk>,
}

/// Everything that decides what a chunk comes to, and which rows it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub(super) service: ServiceVersion,
    pub(super) engine: EngineFingerprint,
    pub(super) spine: SpineHash,
    pub(super) events: BTreeMap<String, DatasetHash>,
    steps_per_chunk: usize,
}

impl Inputs {
    pub(super) fn new(
        service: ServiceVersion,
        engine: EngineFingerprint,
        spine: SpineHash,
        events: BTreeMap<String, DatasetHash>,
    ) -> Self {
        Self { service, engine, spine, events, steps_per_chunk: STEPS_PER_CHUNK }
    }

    /// What is not as it was.
    fn difference(&self, other: &Self) -> Option<&'static str> {
        [
            (self.service != other.service, "the definition of the service is another"),
            (self.spine != other.spine, "the spine is another"),
            (self.events != other.events, "the events are others"),
            (self != other, "another version of oast made it"),
        ]
        .into_iter()
        .find_map(|(differs, what)| differs.then_some(what))
    }
}

/// The folder of an unfinished replay.
pub(crate) struct Unfinished {
    folder: PathBuf,
    state: Option<State>,
}

#[derive(Serialize, Deserialize)]
struct State {
    inputs: Inputs,
    /// Where the log ended; the replay goes on with the same events, whatever came since.
    log_end: Option<u64>,
    views: Vec<SavedView>,
}

/// A view in a file of its own: its chunks one after the other, or all of its rows.
#[derive(Serialize, Deserialize)]
struct SavedView {
    file: String,
    hash: DatasetHash,
    pieces: Vec<SavedPiece>,
}

#[derive(Serialize, Deserialize)]
struct SavedPiece {
    /// The number of the chunk; none of a whole view.
    chunk: Option<usize>,
    rows: usize,
    failed_rows: u64,
    audited_rows: u64,
}

impl Unfinished {
    /// Finds what an earlier replay of a dataset left, if it did.
    pub(crate) fn beside(dataset: &Path) -> Result<Self, RuntimeError> {
        let mut folder = dataset.as_os_str().to_owned();
        folder.push(".unfinished");
        let folder = PathBuf::from(folder);
        let path = folder.join("state.json");
        let state = match std::fs::read(&path) {
            Ok(text) => Some(serde_json::from_slice(&text).map_err(|source| RuntimeError::Malformed {
                path,
                expected: "the state of an unfinished replay",
                source,
            })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(RuntimeError::File { action: "read", path, source }),
        };
        Ok(Self { folder, state })
    }

    /// Where the log ended for the replay that was interrupted.
    pub(crate) fn log_end(&self) -> Option<u64> {
        self.state.as_ref()?.log_end
    }

    /// Reads what is done already. It has to be of these inputs.
    pub(super) fn load(&self, inputs: &Inputs, service: &Service) -> Result<Work, RuntimeError> {
        let mut work = Work::default();
        let Some(state) = &self.state else { return Ok(work) };
        if let Some(what) = state.inputs.difference(inputs) {
            return Err(self.refused(what));
        }
        for (saved, view) in state.views.iter().zip(&service.views) {
            let rows = self.read(saved, view)?;
            let mut first = 0;
            for piece in &saved.pieces {
                let part = rows.slice(first, first + piece.rows);
                first += piece.rows;
                let chunk = from_table(view, &part, piece);
                match piece.chunk {
                    Some(number) => _ = work.chunks.insert(number, chunk),
                    None => work.done.extend(chunk.features),
                }
            }
        }
        Ok(work)
    }

    fn read(&self, saved: &SavedView, view: &View) -> Result<Batch, RuntimeError> {
        let schema = table_of(view);
        let mut rows = Batch::empty(&schema);
        for batch in TableReader::open(&self.folder.join(&saved.file), None, Columns::Exactly(schema.clone()))? {
            rows.append(&batch?);
        }
        let counted: usize = saved.pieces.iter().map(|piece| piece.rows).sum();
        if counted != rows.rows || hash(&schema, &rows) != saved.hash {
            return Err(self.refused("a file in it was edited"));
        }
        Ok(rows)
    }

    fn refused(&self, what: &str) -> RuntimeError {
        RuntimeError::request(
            format!("`{}` holds an unfinished replay that this one cannot go on with: {what}", self.folder.display()),
            "delete that folder to begin anew, or put back what was there",
        )
    }

    /// Keeps what is done.
    pub(super) fn save(
        &self,
        inputs: Inputs,
        log_end: Option<u64>,
        service: &Service,
        work: &Work,
    ) -> Result<(), RuntimeError> {
        std::fs::create_dir_all(&self.folder).map_err(|source| RuntimeError::File {
            action: "make",
            path: self.folder.clone(),
            source,
        })?;
        let mut views = Vec::new();
        for (at, view) in service.views.iter().enumerate().take(work.done.len() + 1) {
            let chunks: Vec<(Option<usize>, Vec<u32>, Vec<&Features>)> = match work.done.get(at) {
                Some(whole) => vec![(None, (0..whole.newest.len() as u32).collect(), vec![whole])],
                None => {
                    let numbered = work.chunks.iter();
                    numbered
                        .map(|(at, chunk)| (Some(*at), chunk.rows.clone(), chunk.features.iter().collect()))
                        .collect()
                }
            };
            let file = format!("{at}.arrow");
            views.push(self.write(file, view, &chunks)?);
        }
        let state = State { inputs, log_end, views };
        let text = serde_json::to_vec_pretty(&state).expect("the state is JSON");
        Ok(write_whole(&self.folder.join("state.json"), &text)?)
    }

    fn write(
        &self,
        file: String,
        view: &View,
        chunks: &[(Option<usize>, Vec<u32>, Vec<&Features>)],
    ) -> Result<SavedView, RuntimeError> {
        let schema = table_of(view);
        let mut all = Batch::empty(&schema);
        let mut pieces = Vec::new();
        for (chunk, rows, features) in chunks {
            let mut first = 0;
            for part in features {
                let end = first + part.newest.len();
                all.append(&to_table(&rows[first..end], part));
                first = end;
            }
            pieces.push(SavedPiece {
                chunk: *chunk,
                rows: rows.len(),
                failed_rows: features.iter().map(|part| part.failed_rows).sum(),
                audited_rows: features.iter().map(|part| part.audited_rows).sum(),
            });
        }
        let mut writer = TableWriter::create(&self.folder.join(&file), Format::Arrow, &schema)?;
        for start in (0..all.rows).step_by(BATCH_ROWS) {
            writer.write(&all.slice(start, all.rows.min(start + BATCH_ROWS)))?;
        }
        writer.finish()?;
        Ok(SavedView { file, hash: hash(&schema, &all), pieces })
    }

    /// Removes the folder, once the dataset is there.
    pub(crate) fn remove(&self) -> Result<(), RuntimeError> {
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(RuntimeError::File { action: "remove", path: self.folder.clone(), source: error })
            }
            _ => Ok(()),
        }
    }
}

/// Row, features, a status for each, and the time of the newest event.
fn table_of(view: &View) -> Schema {
    let features = view.features.iter().enumerate();
    let features = features.map(|(at, field)| Field::nullable(format!("feature_{at}"), field.data_type));
    let statuses = (0..view.features.len()).map(|at| Field::new(format!("status_{at}"), DataType::Int64));
    let row = std::iter::once(Field::new("row", DataType::Int64));
    let newest = std::iter::once(Field::nullable("newest", DataType::Timestamp));
    Schema::new(row.chain(features).chain(statuses).chain(newest).collect()).expect("the names are numbered")
}

fn to_table(rows: &[u32], features: &Features) -> Batch {
    let whole = |values: Vec<i64>| Column { values: Values::Int64(values), validity: None };
    let status = |status: &Status| Status::ALL.iter().position(|each| each == status).unwrap_or_default() as i64;
    let mut columns = vec![whole(rows.iter().map(|row| i64::from(*row)).collect())];
    columns.extend(features.columns.iter().cloned());
    columns.extend(features.statuses.iter().map(|statuses| whole(statuses.iter().map(status).collect())));
    let mut newest = ColumnBuilder::new(DataType::Timestamp);
    features.newest.iter().for_each(|time| newest.push(time.map(Value::Timestamp).as_ref()));
    columns.push(newest.finish());
    Batch { rows: rows.len(), columns }
}

/// What [`to_table`] made. The hash of the rows was checked.
fn from_table(view: &View, table: &Batch, piece: &SavedPiece) -> Chunk {
    let count = view.features.len();
    let whole = |column: &Column| match &column.values {
        Values::Int64(values) => values.clone(),
        _ => Vec::new(),
    };
    let status = |number: i64| Status::ALL[(number as usize).min(Status::ALL.len() - 1)];
    let time = |row: usize| match table.columns[2 * count + 1].get(row) {
        Some(Value::Timestamp(time)) => Some(time),
        _ => None::<Timestamp>,
    };
    let statuses = &table.columns[count + 1..2 * count + 1];
    let features = Features {
        columns: table.columns[1..=count].to_vec(),
        statuses: statuses.iter().map(|column| whole(column).into_iter().map(status).collect()).collect(),
        newest: (0..table.rows).map(time).collect(),
        failed_rows: piece.failed_rows,
        audited_rows: piece.audited_rows,
    };
    Chunk { rows: whole(&table.columns[0]).into_iter().map(|row| row as u32).collect(), features: vec![features] }
}

fn hash(schema: &Schema, rows: &Batch) -> DatasetHash {
    let mut hasher = DatasetHasher::new(schema);
    hasher.update(rows);
    hasher.finish()
}
