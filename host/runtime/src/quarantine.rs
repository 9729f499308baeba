mod leaving;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use oast_store::StoreError;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{
    Arrival, Runtime, RuntimeError,
    ingest::{Quarantined, Refused, Source},
    runtime::IngestState,
};

/// How many events are driven again in one append, which is all or nothing.
const EVENTS_PER_RETRY: usize = oast_store::BATCH_ROWS;

/// An event that was refused, as it is kept: the event as it came, and why it is here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuarantinedEvent {
    /// Names the event among those of its source.
    pub id: String,
    /// When it was refused.
    pub at: String,
    /// How it came, and so when it becomes known once it passes.
    pub arrival: Arrival,
    /// The version of the source that refused it.
    pub version: String,
    /// Why.
    #[serde(flatten)]
    pub reason: Quarantined,
    /// The event: a JSON object, or the text of a line that is none.
    pub event: Json,
}

/// What is in quarantine for one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineEntry {
    /// The source.
    pub source: String,
    /// How many events there are.
    pub events: u64,
    /// When the first of them was refused.
    pub oldest: String,
    /// When the last of them was refused.
    pub newest: String,
    /// How many there are for each reason, as `field code`.
    pub reasons: BTreeMap<String, u64>,
}

/// An event that takes the place of a quarantined one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Correction {
    /// Which event.
    pub id: String,
    /// What it should have been.
    pub event: Json,
}

/// What became of events that were driven again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RetryReport {
    /// Events that are in the log now.
    pub accepted: u64,
    /// Events that were in the log before, by their idempotency key.
    pub duplicates: u64,
    /// Events that stay in quarantine, and why.
    pub quarantined: Vec<QuarantinedEvent>,
}

impl Runtime {
    /// What is in quarantine, by source.
    pub fn quarantine_list(&self) -> Result<Vec<QuarantineEntry>, RuntimeError> {
        let entry = |source: &String| Ok(entry_of(source, &self.quarantined(source)?));
        let entries: Vec<_> = self.quarantine.sources()?.iter().map(entry).collect::<Result<_, RuntimeError>>()?;
        Ok(entries.into_iter().flatten().collect())
    }

    /// The quarantined events of a source, oldest first.
    pub fn quarantined(&self, source: &str) -> Result<Vec<QuarantinedEvent>, RuntimeError> {
        self.source(source)?;
        let records = self.quarantine.records(source)?;
        records.into_iter().map(|record| read_record(source, record)).collect()
    }

    /// Drives the quarantined events of a source again under its current definition, corrected ones as corrected. Those that
    /// pass are logged and leave the quarantine; the others stay, with the reason of today.
    pub fn quarantine_retry(&self, source: &str, corrections: Vec<Correction>) -> Result<RetryReport, RuntimeError> {
        let mut state = self.quiet_intake();
        // Whether a failed log has the events of a note is only known when it is opened again.
        if let Some(source) = self.flights.failure() {
            return Err(StoreError::LogFailed { source }.into());
        }
        self.recover_quarantine()?;
        let source = self.source(source)?;
        let mut corrections: HashMap<String, Json> =
            corrections.into_iter().map(|correction| (correction.id, correction.event)).collect();
        let mut report = RetryReport::default();
        let name = source.spec.name.clone();
        let mut waiting = Vec::new();
        for mut event in self.quarantined(&name)? {
            if let Some(corrected) = corrections.remove(&event.id) {
                event.event = corrected;
            }
            waiting.push(event);
        }
        if let Some(unknown) = corrections.keys().min() {
            return Err(RuntimeError::request(
                format!("no quarantined event of `{name}` has the id `{unknown}`"),
                format!("see `oast quarantine list {name} --json` for the ids"),
            ));
        }
        for arrival in [Arrival::History, Arrival::Live] {
            let mine: Vec<_> = waiting.iter().filter(|event| event.arrival == arrival).cloned().collect();
            for part in mine.chunks(EVENTS_PER_RETRY) {
                self.retry_part(&mut state, &source, part, arrival, &mut report)?;
            }
        }
        Ok(report)
    }

    fn retry_part(
        &self,
        state: &mut IngestState,
        source: &Arc<Source>,
        part: &[QuarantinedEvent],
        arrival: Arrival,
        report: &mut RetryReport,
    ) -> Result<(), RuntimeError> {
        let name = &source.spec.name;
        let lines: Vec<Vec<u8>> = part.iter().map(|event| line_of(&event.event)).collect();
        // A blank line is an event, too: what is not logged must stay.
        let (rows, numbers, unreadable) = source.read_lines(lines.iter().map(Vec::as_slice).zip(1..));
        let admitted = self.admit(state, source, rows, &numbers, arrival)?;
        self.log_leaving(state, source, part, &admitted, arrival)?;
        report.accepted += admitted.passed.rows as u64;
        report.duplicates += admitted.duplicates;
        let now = oast_store::LogClock::system().tick().to_string();
        let version = self.current_hash("source", name)?;
        let mut stay: HashMap<&str, QuarantinedEvent> = HashMap::new();
        for Refused { report: reason, .. } in unreadable.into_iter().chain(admitted.refused) {
            let event = &part[reason.row as usize - 1];
            let reason = Quarantined { row: event.reason.row, ..reason };
            let again = QuarantinedEvent { at: now.clone(), version: version.clone(), reason, ..event.clone() };
            report.quarantined.push(again.clone());
            stay.insert(&event.id, again);
        }
        self.settle_quarantine(name, part, &stay)?;
        self.finish_leaving()
    }

    /// Takes the events of a part out of the quarantine but for those that stay, with their new reasons.
    fn settle_quarantine(
        &self,
        source: &str,
        part: &[QuarantinedEvent],
        stay: &HashMap<&str, QuarantinedEvent>,
    ) -> Result<(), RuntimeError> {
        let ids: HashMap<&str, ()> = part.iter().map(|event| (event.id.as_str(), ())).collect();
        self.quarantine.replace(source, |records| {
            let settle = |record: Json| {
                let event = read_record(source, record.clone())?;
                Ok(match stay.get(event.id.as_str()) {
                    Some(again) => Some(record_of(again)),
                    None if ids.contains_key(event.id.as_str()) => None,
                    None => Some(record),
                })
            };
            records.into_iter().filter_map(|record| settle(record).transpose()).collect::<Result<_, RuntimeError>>()
        })
    }

    /// Removes events from the quarantine for good: those with these ids, or all. Returns how many there were.
    pub fn quarantine_drop(&self, source: &str, ids: &[String]) -> Result<u64, RuntimeError> {
        let _quiet = self.quiet_intake();
        self.source(source)?;
        if self.flights.failure().is_none() {
            self.recover_quarantine()?;
        }
        let mut dropped = 0;
        self.quarantine.replace(source, |records| {
            let events = records.into_iter().map(|record| read_record(source, record));
            let events = events.collect::<Result<Vec<_>, RuntimeError>>()?;
            if let Some(unknown) = ids.iter().find(|id| !events.iter().any(|event| event.id == **id)) {
                return Err(RuntimeError::request(
                    format!("no quarantined event of `{source}` has the id `{unknown}`"),
                    format!("see `oast quarantine list {source}` for the ids"),
                ));
            }
            let (gone, kept): (Vec<_>, Vec<_>) =
                events.into_iter().partition(|event| ids.is_empty() || ids.contains(&event.id));
            dropped = gone.len() as u64;
            Ok(kept.iter().map(record_of).collect())
        })?;
        Ok(dropped)
    }

    /// Puts refused events into quarantine, with the reason and the time.
    pub(crate) fn keep(
        &self,
        source: &Source,
        refused: Vec<Refused>,
        arrival: Arrival,
    ) -> Result<Vec<Quarantined>, RuntimeError> {
        if refused.is_empty() {
            return Ok(Vec::new());
        }
        let at = oast_store::LogClock::system().tick().to_string();
        let version = self.current_hash("source", &source.spec.name)?;
        let record = |(number, each): (usize, &Refused)| {
            let id = blake3::hash(format!("{at} {number} {}", each.raw).as_bytes()).to_hex()[..16].to_owned();
            let (at, version) = (at.clone(), version.clone());
            record_of(&QuarantinedEvent {
                id,
                at,
                arrival,
                version,
                reason: each.report.clone(),
                event: each.raw.clone(),
            })
        };
        let records: Vec<_> = refused.iter().enumerate().map(record).collect();
        self.quarantine.append(&source.spec.name, &records)?;
        Ok(refused.into_iter().map(|each| each.report).collect())
    }
}

fn entry_of(source: &str, events: &[QuarantinedEvent]) -> Option<QuarantineEntry> {
    let (first, last) = (events.first()?, events.last()?);
    let mut reasons = BTreeMap::new();
    for Quarantined { field, code, .. } in events.iter().map(|event| &event.reason) {
        let reason = if field.is_empty() { code.clone() } else { format!("{field} {code}") };
        *reasons.entry(reason).or_default() += 1;
    }
    let (source, events) = (source.to_owned(), events.len() as u64);
    Some(QuarantineEntry { source, events, oldest: first.at.clone(), newest: last.at.clone(), reasons })
}

fn read_record(source: &str, record: Json) -> Result<QuarantinedEvent, RuntimeError> {
    let stored = |error| RuntimeError::Stored { what: format!("quarantine of `{source}`"), source: error };
    serde_json::from_value(record).map_err(stored)
}

fn record_of(event: &QuarantinedEvent) -> Json {
    serde_json::to_value(event).expect("a quarantined event is JSON")
}

/// An event as the line that it came as, or as one line of JSON.
fn line_of(event: &Json) -> Vec<u8> {
    match event {
        Json::String(line) => line.clone().into_bytes(),
        event => event.to_string().into_bytes(),
    }
}
