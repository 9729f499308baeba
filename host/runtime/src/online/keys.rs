//! How the state of an entity key lies on disk: entries that begin with the entity key, each of them one of the following.
//!
//! | after the entity key | value |
//! |---|---|
//! | series, level, index | the state of a tile or block |
//! | `fd`, series, time of the first event | time of the last event, then the state of the session, or why there is none |
//! | `fe`, series, event time, offset | the state of one of the newest events |
//! | `ff` | the entity's own record |
//!
//! Series and level are a byte each. Numbers are 8 bytes, big-endian, and signed ones have their sign bit flipped, so that
//! entries are in order.

use oast_core::{Block, EntityKey, Failure, Timestamp};
use oast_store::{Op, State as StateStore};
use serde::{Deserialize, Serialize};

use crate::{
    RuntimeError,
    fold::{EventOrder, KeyState, LatestRow, Session, State},
    json,
    view::View,
};

/// What is kept of an entity beside the states of its events.
#[derive(Serialize, Deserialize)]
pub(super) struct EntityRecord {
    pub(super) newest: Option<Timestamp>,
    pub(super) latest: Option<(Timestamp, u64, Vec<serde_json::Value>)>,
}

/// What an entry holds of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Record,
    Block(usize, Block),
    Recent(usize, EventOrder),
    Session(usize, Timestamp),
}

/// A view has fewer series than the first of these.
const SESSION: u8 = 0xfd;
const RECENT: u8 = 0xfe;
const RECORD: u8 = 0xff;

/// The first byte of the session in the value of an entry, after the time of its last event.
const STATE: u8 = 0;
const FAILURE: u8 = 1;

impl Entry {
    fn at(self, key: &EntityKey) -> Vec<u8> {
        let mut at = key.as_bytes().to_vec();
        let number = |series: usize| u8::try_from(series).expect("a view has fewer than 253 series");
        match self {
            Self::Record => at.push(RECORD),
            Self::Block(series, block) => {
                at.extend_from_slice(&[number(series), block.level]);
                at.extend_from_slice(&signed(block.index));
            }
            Self::Recent(series, (time, offset)) => {
                at.extend_from_slice(&[RECENT, number(series)]);
                at.extend_from_slice(&signed(time.as_micros()));
                at.extend_from_slice(&offset.to_be_bytes());
            }
            Self::Session(series, first) => {
                at.extend_from_slice(&[SESSION, number(series)]);
                at.extend_from_slice(&signed(first.as_micros()));
            }
        }
        at
    }

    /// The entry with this after the entity key; nothing if there is none such.
    pub(super) fn read(rest: &[u8]) -> Option<Self> {
        match *rest {
            [RECORD] => Some(Self::Record),
            [RECENT, series, ref order @ ..] => {
                let (time, offset) = order.split_first_chunk()?;
                let time = Timestamp::from_micros(read_signed(*time));
                Some(Self::Recent(usize::from(series), (time, u64::from_be_bytes(offset.try_into().ok()?))))
            }
            [SESSION, series, ref first @ ..] => {
                let first = Timestamp::from_micros(read_signed(first.try_into().ok()?));
                Some(Self::Session(usize::from(series), first))
            }
            [series, level, ref index @ ..] => {
                let index = read_signed(index.try_into().ok()?);
                Some(Self::Block(usize::from(series), Block { level, index }))
            }
            _ => None,
        }
    }
}

fn signed(number: i64) -> [u8; 8] {
    (number as u64 ^ 1 << 63).to_be_bytes()
}

fn read_signed(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ 1 << 63) as i64
}

/// Adds what writes the changes of a key's state to disk.
pub(super) fn write_key(ops: &mut Vec<Op>, key: &EntityKey, state: &KeyState) {
    let mut write = |entry: Entry, value: Option<Vec<u8>>| {
        ops.push(match value {
            Some(value) => Op::Put(entry.at(key), value),
            None => Op::Delete(entry.at(key)),
        });
    };
    for &(series, block) in &state.changed {
        write(Entry::Block(series, block), state.series[series].get(block).and_then(known));
    }
    for (series, recent) in state.recent.iter().enumerate() {
        for order in &recent.changed {
            write(Entry::Recent(series, *order), recent.states.get(order).and_then(known));
        }
    }
    for (series, sessions) in state.sessions.iter().enumerate() {
        for first in &sessions.changed {
            write(Entry::Session(series, *first), sessions.sessions.get(first).and_then(session_bytes));
        }
    }
    write(Entry::Record, Some(record_bytes(state)));
}

fn known(state: &State) -> Option<Vec<u8>> {
    if let State::Known(bytes) = state { Some(bytes.to_vec()) } else { None }
}

/// Unlike a block, a session cannot be computed anew, so that its failure is kept as well.
fn session_bytes(session: &Session) -> Option<Vec<u8>> {
    let mut bytes = signed(session.last.as_micros()).to_vec();
    match &session.state {
        State::Known(state) => {
            bytes.push(STATE);
            bytes.extend_from_slice(state);
        }
        State::Failed(failure) => {
            bytes.push(FAILURE);
            bytes.extend(serde_json::to_vec(failure.as_ref()).expect("a failure is JSON"));
        }
        State::Pending(_) => return None,
    }
    Some(bytes)
}

fn read_session(bytes: &[u8]) -> Option<Session> {
    let (last, rest) = bytes.split_first_chunk()?;
    let state = match rest.split_first()? {
        (&STATE, state) => State::Known(state.into()),
        (&FAILURE, failure) => State::Failed(serde_json::from_slice::<Failure>(failure).ok()?.into()),
        _ => return None,
    };
    Some(Session { last: Timestamp::from_micros(read_signed(*last)), state })
}

fn record_bytes(state: &KeyState) -> Vec<u8> {
    let latest = state.latest.as_ref().map(|row| {
        let values = row.values.iter().map(|value| json::to_json(value.as_ref())).collect();
        (row.event_time, row.offset, values)
    });
    let record = EntityRecord { newest: state.newest, latest };
    serde_json::to_vec(&record).expect("numbers and strings are JSON")
}

/// The state of a key as of the last checkpoint.
pub(super) fn read_key(view: &View, tree: &str, key: &EntityKey, store: &StateStore) -> Result<KeyState, RuntimeError> {
    let mut state = KeyState::new(view);
    for entry in store.scan_prefix(tree, key.as_bytes())? {
        let (at, bytes) = entry?;
        let entry = Entry::read(&at[key.as_bytes().len()..]).ok_or_else(|| damaged(view))?;
        read_entry(view, entry, &bytes, &mut state)?.ok_or_else(|| damaged(view))?;
    }
    Ok(state)
}

/// Puts an entry where it belongs; nothing if the view has no place for it.
fn read_entry(view: &View, entry: Entry, bytes: &[u8], state: &mut KeyState) -> Result<Option<()>, RuntimeError> {
    let known = || State::Known(bytes.into());
    let placed = match entry {
        Entry::Record => return read_record(view, bytes, state).map(Some),
        Entry::Block(series, block) => state.series.get_mut(series).map(|series| series.insert(block, known())),
        Entry::Recent(series, order) => {
            state.recent.get_mut(series).map(|recent| _ = recent.states.insert(order, known()))
        }
        Entry::Session(series, first) => {
            let place = state.sessions.get_mut(series).zip(read_session(bytes));
            place.map(|(sessions, session)| _ = sessions.sessions.insert(first, session))
        }
    };
    Ok(placed)
}

fn read_record(view: &View, bytes: &[u8], state: &mut KeyState) -> Result<(), RuntimeError> {
    let stored = |source| RuntimeError::Stored { what: format!("state of view `{}`", view.spec.name), source };
    let record: EntityRecord = serde_json::from_slice(bytes).map_err(stored)?;
    state.newest = record.newest;
    if let Some((event_time, offset, values)) = record.latest {
        let read = |(field, value)| json::from_json(field, Some(value)).map_err(|_| damaged(view));
        let values = view.features.iter().zip(&values).map(read).collect::<Result<_, _>>()?;
        state.latest = Some(LatestRow { event_time, offset, values });
    }
    Ok(())
}

pub(super) fn damaged(view: &View) -> RuntimeError {
    RuntimeError::Catalog { kind: "state of view", name: view.spec.name.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_they_were_written() {
        let time = Timestamp::from_micros;
        let key = EntityKey::encode([("user", Some(oast_core::Value::Utf8("ann".into())))]).expect("a key");
        let check = |entry: Entry, rest: &[u8]| {
            let at = entry.at(&key);
            assert_eq!(&at[key.as_bytes().len()..], rest, "{entry:?}");
            assert_eq!(Entry::read(rest), Some(entry));
            assert_eq!(Entry::read(&rest[..rest.len() - 1]), None, "{entry:?} without its last byte");
        };
        check(Entry::Record, &[0xff]);
        check(Entry::Block(3, Block { level: 1, index: -1 }), &[3, 1, 0x7f, 255, 255, 255, 255, 255, 255, 255]);
        check(Entry::Session(2, time(5)), &[0xfd, 2, 0x80, 0, 0, 0, 0, 0, 0, 5]);
        check(
            Entry::Recent(0, (time(-2), 258)),
            &[0xfe, 0, 0x7f, 255, 255, 255, 255, 255, 255, 254, 0, 0, 0, 0, 0, 0, 1, 2],
        );
    }

    #[test]
    fn a_session_keeps_its_failure() {
        for state in [State::Known([1, 2, 3][..].into()), State::Failed(Failure::Error("no".to_owned()).into())] {
            let session = Session { last: Timestamp::from_micros(-7), state };
            let read = session_bytes(&session).as_deref().and_then(read_session);
            assert_eq!(format!("{read:?}"), format!("{:?}", Some(session)));
        }
    }
}
