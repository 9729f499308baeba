//! The one thread that appends. It writes all requests that wait as one group, syncs once and acknowledges them together.

use std::{
    fs::File,
    io::Write,
    mem,
    path::PathBuf,
    sync::{Arc, mpsc},
};

use oast_core::Timestamp;

use super::{Shared, frame::OpenFrame, seal::SealCommand, wal::Wal};
use crate::{Result, StoreError};

/// A group takes in waiting requests until it has this many bytes.
const GROUP_BYTES: usize = 8 << 20;

/// What callers ask of the thread.
pub(super) enum Command {
    Append(Pending),
    /// Close the active file, if it has events, and answer whether that is done.
    Rotate(mpsc::Sender<Result<()>>),
}

/// A request, encoded, and where the answer goes.
pub(super) struct Pending {
    pub(super) source: String,
    pub(super) frames: Vec<OpenFrame>,
    /// What the log's clock gives each frame, if it does.
    pub(super) ticks: Vec<Timestamp>,
    /// Is sent the offset of the first event.
    pub(super) reply: mpsc::Sender<Result<u64>>,
}

pub(super) struct Writer {
    pub(super) folder: PathBuf,
    pub(super) shared: Arc<Shared>,
    pub(super) seal_bytes: u64,
    pub(super) sealer: mpsc::Sender<SealCommand>,
    pub(super) wal: Wal,
    pub(super) file: File,
    pub(super) failure: Option<Arc<StoreError>>,
}

impl Writer {
    /// Serves until nobody can ask any more.
    pub(super) fn run(mut self, commands: mpsc::Receiver<Command>) {
        while let Ok(first) = commands.recv() {
            let mut rotations = Vec::new();
            let mut group = Vec::new();
            let mut bytes = 0;
            let waiting = std::iter::once(first).chain(commands.try_iter());
            for command in waiting {
                match command {
                    Command::Rotate(reply) => rotations.push(reply),
                    Command::Append(pending) => {
                        bytes += pending.frames.iter().map(OpenFrame::len).sum::<usize>();
                        group.push(pending);
                    }
                }
                if bytes >= GROUP_BYTES || !rotations.is_empty() {
                    break;
                }
            }
            self.append(group);
            self.rotate(rotations);
        }
    }

    fn append(&mut self, mut group: Vec<Pending>) {
        if group.is_empty() {
            return;
        }
        let outcome = self.check().and_then(|()| self.write(&mut group));
        match outcome {
            Ok(offsets) => {
                for (pending, first) in group.into_iter().zip(offsets) {
                    // A caller that is gone does not undo what is durable.
                    drop(pending.reply.send(Ok(first)));
                }
            }
            Err(failure) => {
                for pending in group {
                    drop(pending.reply.send(Err(StoreError::LogFailed { source: Arc::clone(&failure) })));
                }
            }
        }
    }

    /// Refuses everything after a failure: what a failed sync left on the disk is unknown.
    fn check(&self) -> Result<(), Arc<StoreError>> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// Returns the offset of each request's first event.
    fn write(&mut self, group: &mut [Pending]) -> Result<Vec<u64>, Arc<StoreError>> {
        let mut next = self.wal.clone();
        let mut bytes = Vec::with_capacity(group.iter().flat_map(|pending| &pending.frames).map(OpenFrame::len).sum());
        let mut offsets = Vec::with_capacity(group.len());
        for pending in group.iter_mut() {
            offsets.push(next.end_offset);
            for (at, frame) in pending.frames.iter_mut().enumerate() {
                let tick = pending.ticks.get(at).copied();
                bytes.extend_from_slice(frame.stamp(next.end_offset, tick, self.wal.length));
                next.end_offset += u64::from(frame.rows);
                next.log_time = next.log_time.max(tick);
            }
        }
        next.length += bytes.len() as u64;
        let durable = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        durable.map_err(|error| {
            let error = StoreError::io("write", &self.wal.path)(error);
            // Frames of the group may be whole on the disk, and must not come back as events that nobody acknowledged.
            if let Err(error) = self.wal.cut_torn_tail() {
                tracing::error!(error = &error as &dyn std::error::Error, "a refused append may come back in part");
            }
            self.fail(error)
        })?;
        self.wal = next;
        let sources = group.iter_mut().map(|pending| mem::take(&mut pending.source));
        self.shared.appended(self.wal.clone(), sources);
        if self.wal.length >= self.seal_bytes {
            self.rotate_and_seal();
        }
        Ok(offsets)
    }

    fn fail(&mut self, error: StoreError) -> Arc<StoreError> {
        tracing::error!(error = &error as &dyn std::error::Error, "the event log takes no more events");
        let failure = Arc::new(error);
        self.failure = Some(Arc::clone(&failure));
        failure
    }

    /// The file is closed by the log itself once it is long enough. A failure costs nothing but that it grows on.
    fn rotate_and_seal(&mut self) {
        match self.close_active() {
            Ok(()) => drop(self.sealer.send(SealCommand { reply: None })),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot begin another write-ahead file");
            }
        }
    }

    fn rotate(&mut self, replies: Vec<mpsc::Sender<Result<()>>>) {
        for reply in replies {
            let checked = self.check().map_err(|source| StoreError::LogFailed { source });
            drop(reply.send(checked.and_then(|()| self.close_active())));
        }
    }

    fn close_active(&mut self) -> Result<()> {
        if self.wal.is_empty() {
            return Ok(());
        }
        let (wal, file) = Wal::create(&self.folder, self.wal.end_offset)?;
        (self.wal, self.file) = (wal, file);
        self.shared.rotated(self.wal.clone());
        Ok(())
    }
}
