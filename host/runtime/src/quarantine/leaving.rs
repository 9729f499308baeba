//! Events leave the quarantine for the log once: whatever breaks off on the way, they are in one of the two and not in both.
//!
//! Before they are appended, a note says which events are about to be logged, and at which offset; it goes when they have left
//! the quarantine. Whoever finds a note, at the next start or the next retry, looks into the log for whether they are there.

use std::{io::ErrorKind, path::PathBuf, sync::Arc};

use oast_core::{DatasetHash, DatasetHasher};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::QuarantinedEvent;
use crate::{Arrival, Runtime, RuntimeError, ingest::Source, intake::Admitted, runtime::IngestState};

/// The note.
#[derive(Serialize, Deserialize)]
struct Leaving {
    source: String,
    /// The offset that the next event had.
    offset: u64,
    /// The hash of the events as they are logged. Notes of older releases have none.
    events: Option<DatasetHash>,
    ids: Vec<String>,
}

impl Runtime {
    /// Logs those events of a part of the quarantine that were admitted. The note stays until they have left it.
    pub(super) fn log_leaving(
        &self,
        state: &mut IngestState,
        source: &Arc<Source>,
        part: &[QuarantinedEvent],
        admitted: &Admitted,
        arrival: Arrival,
    ) -> Result<(), RuntimeError> {
        if admitted.passed.rows == 0 {
            return Ok(());
        }
        let mut hasher = DatasetHasher::new(&source.schema);
        hasher.update(&admitted.passed);
        let leaving = Leaving {
            source: source.spec.name.clone(),
            offset: self.log.next_offset(),
            events: Some(hasher.finish()),
            ids: admitted.numbers.iter().map(|row| part[*row as usize - 1].id.clone()).collect(),
        };
        let note = serde_json::to_vec(&leaving).expect("a note is JSON");
        if let Err(error) = oast_store::write_whole(&self.leaving_path(), &note) {
            self.forget(state, source, &admitted.passed)?;
            return Err(error.into());
        }
        self.log_admitted(state, source, admitted, arrival)
    }

    /// Finishes what was interrupted while events left the quarantine: if they reached the log, they leave. Nothing may be logged
    /// meanwhile.
    pub(crate) fn recover_quarantine(&self) -> Result<(), RuntimeError> {
        let path = self.leaving_path();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(RuntimeError::File { action: "read", path, source }),
        };
        let malformed = |source| RuntimeError::Malformed { path: path.clone(), expected: "a list of events", source };
        let leaving: Leaving = serde_json::from_slice(&bytes).map_err(malformed)?;
        if self.is_logged(&leaving)? {
            self.quarantine.replace(&leaving.source, |records| {
                let stays = |record: &Json| !leaving.ids.iter().any(|id| record["id"] == id.as_str());
                Ok::<_, RuntimeError>(records.into_iter().filter(stays).collect())
            })?;
        }
        self.finish_leaving()
    }

    /// Whether the events of a note are in the log. That it has grown does not say so: the append may have been given up, and
    /// others may have come.
    fn is_logged(&self, leaving: &Leaving) -> Result<bool, RuntimeError> {
        if self.log.next_offset() <= leaving.offset {
            return Ok(false);
        }
        let Some(expected) = leaving.events else { return Ok(true) };
        let offsets = leaving.offset..leaving.offset + leaving.ids.len() as u64;
        let mut found: Option<DatasetHasher> = None;
        for events in self.log.scan(None, offsets)? {
            let events = events?;
            if *events.source != *leaving.source {
                return Ok(false);
            }
            found.get_or_insert_with(|| DatasetHasher::new(&events.schema)).update(&events.rows);
        }
        // Where no events are any more, retention has removed these.
        Ok(found.is_none_or(|found| found.finish() == expected))
    }

    /// Removes the note, if there is one.
    pub(super) fn finish_leaving(&self) -> Result<(), RuntimeError> {
        let path = self.leaving_path();
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(RuntimeError::File { action: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    fn leaving_path(&self) -> PathBuf {
        self.quarantine.path("leaving").with_extension("json")
    }
}
