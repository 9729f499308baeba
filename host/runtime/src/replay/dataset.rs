//! The dataset of a replay, put together block by block in spine order: hashed, described and handed on.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, PoisonError},
};

use oast_core::{Batch, DatasetHash, DatasetHasher, Schema, Status};
use oast_store::{Format, TableWriter, Written};

use super::{
    Spine, in_parallel,
    results::{Blocks, Results},
    spine::SpineRows,
    storage::Storage,
};
use crate::{
    FeatureEntry, Progress, RuntimeError,
    manifest::Statistics,
    service::{Answer, Service},
};

/// Where the rows of a dataset go, in spine order.
pub(crate) trait Sink: Send {
    /// What is done with the rows, for people.
    fn phase(&self) -> &'static str;

    /// Begins a dataset of this schema over a spine.
    fn begin(&mut self, schema: &Schema, spine: &Spine) -> Result<(), RuntimeError>;

    /// Takes the next rows.
    fn take_in(&mut self, rows: &Batch) -> Result<(), RuntimeError>;
}

/// What all rows of a dataset come to.
pub(super) struct Assembled {
    pub(super) schema: Schema,
    pub(super) hash: DatasetHash,
    /// How many values have each status.
    pub(super) outcomes: BTreeMap<Status, u64>,
    pub(super) features: Vec<FeatureEntry>,
    pub(super) audited_rows: u64,
}

/// What a dataset is put together from.
pub(super) struct Assembly<'a> {
    pub(super) service: &'a Service,
    pub(super) spine: &'a Spine,
    /// The file of the spine, for errors.
    pub(super) path: &'a Path,
    pub(super) rows: SpineRows<'a>,
    pub(super) blocks: Blocks,
    /// By view, in the order of the service.
    pub(super) results: Vec<Results<'a>>,
}

impl Assembly<'_> {
    /// Puts the dataset together.
    pub(super) fn run(
        self,
        storage: &Storage,
        threads: usize,
        progress: &dyn Progress,
        sink: &mut dyn Sink,
    ) -> Result<Assembled, RuntimeError> {
        let schema = self.schema()?;
        sink.begin(&schema, self.spine)?;
        progress.phase(sink.phase(), Some(self.spine.rows));
        let mut hasher = DatasetHasher::new(&schema);
        let mut statistics = Statistics::new(&self.service.columns, storage);
        let mut outcomes: BTreeMap<Status, u64> = Status::ALL.into_iter().map(|status| (status, 0)).collect();
        let (mut audited_rows, mut next) = (0, 0);
        let mut spine = self.rows.take(self.blocks.rows);
        // Whoever stops the replay now has to wait: features that are put together cannot be kept.
        loop {
            let parts = spine.by_ref().take(threads).collect::<Result<Vec<_>, _>>()?;
            if parts.is_empty() {
                break;
            }
            let answers = in_parallel(threads, parts.len(), &|at| self.block(next + at, &parts[at]))?;
            next += parts.len();
            for (part, answer) in parts.into_iter().zip(answers) {
                audited_rows += answer.audited;
                answer.statuses.iter().flatten().for_each(|status| *outcomes.entry(*status).or_default() += 1);
                let mut rows = part;
                rows.columns.extend(answer.columns);
                hand_on(&rows, &mut hasher, &mut statistics, sink, threads)?;
                progress.advance(rows.rows as u64);
            }
        }
        let features = statistics.finish(threads)?;
        Ok(Assembled { schema, hash: hasher.finish(), outcomes, features, audited_rows })
    }

    fn schema(&self) -> Result<Schema, RuntimeError> {
        let fields = self.spine.schema.fields().iter().chain(&self.service.columns).cloned().collect();
        Schema::new(fields).map_err(|error| {
            RuntimeError::request(
                format!("the spine and the features collide: {error}"),
                "rename or drop that column of the spine",
            )
        })
    }

    /// The service's columns for the rows of a block.
    fn block(&self, block: usize, rows: &Batch) -> Result<Answer, RuntimeError> {
        let views = self.results.iter().map(|results| results.take_block(block)).collect::<Result<Vec<_>, _>>()?;
        let request = self.spine.request(self.path, self.service, rows)?;
        self.service.answer(&views, &request, Some((block * self.blocks.rows) as u64))
    }
}

/// Hashes rows, counts them in and hands them on, all at once.
fn hand_on(
    rows: &Batch,
    hasher: &mut DatasetHasher,
    statistics: &mut Statistics<'_>,
    sink: &mut dyn Sink,
    threads: usize,
) -> Result<(), RuntimeError> {
    let (hasher, statistics, sink) = (Mutex::new(hasher), Mutex::new(statistics), Mutex::new(sink));
    // Each is locked by one piece of work.
    in_parallel(threads, 3, &|piece| match piece {
        0 => sink.lock().unwrap_or_else(PoisonError::into_inner).take_in(rows),
        1 => {
            hasher.lock().unwrap_or_else(PoisonError::into_inner).update(rows);
            Ok(())
        }
        _ => statistics.lock().unwrap_or_else(PoisonError::into_inner).take_in(rows),
    })?;
    Ok(())
}

/// Writes a dataset as a table.
pub(super) struct Writer<'p> {
    path: &'p Path,
    format: Format,
    threads: usize,
    table: Option<TableWriter>,
}

impl<'p> Writer<'p> {
    /// A table that will be at `path` once it is finished, written on so many threads.
    pub(super) fn new(path: &'p Path, threads: usize) -> Result<Self, RuntimeError> {
        Ok(Self { path, format: Format::of_path(path)?, threads, table: None })
    }

    /// Gives the table its name.
    pub(super) fn finish(self) -> Result<Written, RuntimeError> {
        Ok(self.table.expect("a dataset was begun before it is finished").finish()?)
    }
}

impl Sink for Writer<'_> {
    fn phase(&self) -> &'static str {
        "writing"
    }

    fn begin(&mut self, schema: &Schema, spine: &Spine) -> Result<(), RuntimeError> {
        let table = TableWriter::create_narrow(self.path, self.format, schema, spine.narrow.clone())?;
        self.table = Some(table.on_threads(self.threads));
        Ok(())
    }

    fn take_in(&mut self, rows: &Batch) -> Result<(), RuntimeError> {
        let table = self.table.as_mut().expect("a dataset was begun before it has rows");
        for start in (0..rows.rows).step_by(oast_store::BATCH_ROWS) {
            table.write(&rows.slice(start, rows.rows.min(start + oast_store::BATCH_ROWS)))?;
        }
        Ok(())
    }
}
