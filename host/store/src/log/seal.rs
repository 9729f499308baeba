//! Sealing: a write-ahead file that is no longer written to becomes one segment a source and schema, and a line of the chain.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
};

use oast_core::Schema;

use super::{
    EventBatch, Seal, Segment, Shared,
    chain::ChainFile,
    frame::decode_events,
    segment::SegmentWriter,
    wal::{Wal, WalReader},
};
use crate::{LogClock, Result, disk};

/// A request to seal every closed write-ahead file.
pub(super) struct SealCommand {
    /// Where the outcome goes; nowhere when the log asked for it itself.
    pub(super) reply: Option<mpsc::Sender<Result<Vec<Seal>>>>,
}

/// The thread that seals.
pub(super) struct Sealer {
    pub(super) folder: PathBuf,
    pub(super) chain: ChainFile,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: LogClock,
}

impl Sealer {
    /// Seals on command until nobody can command any more.
    pub(super) fn run(mut self, commands: mpsc::Receiver<SealCommand>) {
        for command in commands {
            let sealed = self.seal_closed();
            match (command.reply, sealed) {
                // Whoever asked may be gone; the seal stands all the same.
                (Some(reply), sealed) => drop(reply.send(sealed)),
                (None, Err(error)) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "cannot seal the log; it goes on unsealed"
                    );
                }
                (None, Ok(_)) => {}
            }
        }
    }

    fn seal_closed(&mut self) -> Result<Vec<Seal>> {
        let mut seals = Vec::new();
        while let Some((wal, previous)) = self.shared.oldest_closed() {
            seals.push(self.seal(&wal, previous.as_deref())?);
        }
        Ok(seals)
    }

    fn seal(&mut self, wal: &Wal, previous: Option<&Seal>) -> Result<Seal> {
        // What the seal before retired had until now to be read by scans that were under way.
        self.remove_retired()?;
        let segments = write_segments(&self.folder, wal.read()?)?;
        disk::sync_folder(&self.folder)?;
        let retired = self.shared.lock().too_old(self.clock.last());
        let seal = Seal::new(previous, (wal.first_offset, wal.end_offset - 1), wal.log_time, segments, retired);
        self.chain.append(&seal)?;
        self.shared.sealed(Arc::new(seal.clone()));
        disk::remove(&wal.path)?;
        if !seal.retired.is_empty() {
            tracing::info!(segments = seal.retired.len(), "retired what is older than its source keeps");
        }
        tracing::info!(seal = seal.seal, through_offset = seal.through_offset, "sealed");
        Ok(seal)
    }
}

impl Sealer {
    /// Removes the files of segments that earlier seals retired.
    fn remove_retired(&self) -> Result<()> {
        let paths: Vec<_> = {
            let state = self.shared.lock();
            let all = state.seals.iter().flat_map(|seal| &seal.segments);
            let retired = all.filter(|segment| state.retired.contains(&segment.hash));
            retired.map(|segment| self.folder.join(segment.file_name())).collect()
        };
        paths.iter().filter(|path| path.exists()).try_for_each(|path| disk::remove(path))
    }
}

/// Writes the events of a write-ahead file as segments, by first offset.
fn write_segments(folder: &Path, mut wal: WalReader) -> Result<Vec<Segment>> {
    let mut writers: Vec<(Arc<Schema>, SegmentWriter)> = Vec::new();
    let mut sources: Vec<Arc<str>> = Vec::new();
    while let Some(payload) = wal.next(|frame| frame.rows > 0)? {
        let events = decode_events(&payload).ok_or_else(|| wal.damaged())?;
        let fits = |index: usize| sources[index] == events.source && *writers[index].0 == *events.schema;
        let index = match (0..writers.len()).find(|index| fits(*index)) {
            Some(index) => index,
            None => {
                writers.push(start(folder, &events)?);
                sources.push(Arc::clone(&events.source));
                writers.len() - 1
            }
        };
        writers[index].1.write(events)?;
    }
    writers.into_iter().map(|(_, writer)| writer.finish(folder)).collect()
}

fn start(folder: &Path, events: &EventBatch) -> Result<(Arc<Schema>, SegmentWriter)> {
    let writer = SegmentWriter::create(folder, &events.source, &events.schema)?;
    Ok((Arc::clone(&events.schema), writer))
}
