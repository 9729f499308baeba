//! How the caller's keys and values stand in sled, and the long values cut into pieces.
//!
//! An entry's value is a byte 0 and the value, or a byte 1, a generation (u64) and the number of pieces (u32). Piece `n` is
//! under the byte 2, the generation (u64) and `n` (u32). All numbers are big-endian. Every long value has a generation of its
//! own, and its pieces are there before it is and go after it, so that a reader never takes pieces of two values for one.

use std::collections::BTreeMap;

use super::{Op, journal::Change};

/// The key of a tree's checkpoint.
pub(super) const CHECKPOINT: &[u8] = &[0];
const ENTRY: u8 = 1;
const PIECE: u8 = 2;
const WHOLE: u8 = 0;
const IN_PIECES: u8 = 1;
/// Well below the 128 KB from which on sled keeps values in files of their own.
pub(super) const PIECE_BYTES: usize = 64 << 10;

/// Where an entry stands.
pub(super) fn key(key: &[u8]) -> Vec<u8> {
    [&[ENTRY], key].concat()
}

/// Behind every entry.
pub(super) fn end_of_keys() -> Vec<u8> {
    vec![PIECE]
}

/// A value that stands in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pieces {
    generation: u64,
    count: u32,
}

impl Pieces {
    /// What a stored value refers to, if it is in pieces.
    fn decode(stored: &[u8]) -> Option<Self> {
        let (tag, numbers) = stored.split_first()?;
        let (generation, count) = numbers.split_first_chunk().filter(|_| *tag == IN_PIECES)?;
        let count = u32::from_be_bytes(count.try_into().ok()?);
        Some(Self { generation: u64::from_be_bytes(*generation), count })
    }

    fn encode(self) -> Vec<u8> {
        [&[IN_PIECES][..], &self.generation.to_be_bytes(), &self.count.to_be_bytes()].concat()
    }

    fn keys(self) -> impl Iterator<Item = Vec<u8>> {
        (0..self.count).map(move |n| [&[PIECE][..], &self.generation.to_be_bytes(), &n.to_be_bytes()].concat())
    }
}

/// The value of a key.
pub(super) fn get(tree: &sled::Tree, user_key: &[u8]) -> sled::Result<Option<Vec<u8>>> {
    let key = key(user_key);
    match tree.get(&key)? {
        Some(stored) => resolve(tree, &key, stored),
        None => Ok(None),
    }
}

/// The entry that an iterator found under a key of the tree, or nothing when it has been removed since.
pub(super) fn read(tree: &sled::Tree, key: &[u8], stored: sled::IVec) -> sled::Result<Option<(Vec<u8>, Vec<u8>)>> {
    Ok(resolve(tree, key, stored)?.map(|value| (key[1..].to_vec(), value)))
}

/// Puts a value together. When pieces are missing it was replaced meanwhile, so its key is read again.
fn resolve(tree: &sled::Tree, key: &[u8], mut stored: sled::IVec) -> sled::Result<Option<Vec<u8>>> {
    loop {
        let Some(pieces) = Pieces::decode(&stored) else { return Ok(Some(stored[1..].to_vec())) };
        if let Some(value) = join(tree, pieces)? {
            return Ok(Some(value));
        }
        match tree.get(key)? {
            None => return Ok(None),
            Some(again) if again == stored => {
                return Err(sled::Error::ReportableBug("pieces of a value are missing".to_owned()));
            }
            Some(again) => stored = again,
        }
    }
}

fn join(tree: &sled::Tree, pieces: Pieces) -> sled::Result<Option<Vec<u8>>> {
    let mut value = Vec::new();
    for key in pieces.keys() {
        match tree.get(key)? {
            Some(piece) => value.extend_from_slice(&piece),
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}

/// What the operations and the checkpoint come to in sled, one change a key; the checkpoint is last. Of several operations on
/// one key the last counts.
pub(super) fn changes(
    tree: &sled::Tree,
    ops: &[Op],
    checkpoint: &[u8],
    new_generation: impl Fn() -> sled::Result<u64>,
) -> sled::Result<Vec<Change>> {
    let ops: BTreeMap<_, _> = ops.iter().map(|op| (op.key(), op.value())).collect();
    let mut changes = Vec::with_capacity(ops.len() + 1);
    for (user_key, value) in ops {
        let key = key(user_key);
        let replaced = tree.get(&key)?.as_deref().and_then(Pieces::decode);
        match value {
            Some(value) if value.len() > PIECE_BYTES => put_in_pieces(&mut changes, key, value, new_generation()?),
            Some(value) => changes.push(Change { key, value: Some([&[WHOLE], value].concat()) }),
            None => changes.push(Change { key, value: None }),
        }
        changes.extend(replaced.into_iter().flat_map(Pieces::keys).map(|key| Change { key, value: None }));
    }
    changes.push(Change { key: CHECKPOINT.to_vec(), value: Some(checkpoint.to_vec()) });
    Ok(changes)
}

/// What an entry of one database comes to in another, where generations are counted anew; nothing for a piece, which goes with
/// the value that it is of.
pub(super) fn moved(
    tree: &sled::Tree,
    key: &[u8],
    stored: &[u8],
    new_generation: impl Fn() -> sled::Result<u64>,
) -> sled::Result<Vec<Change>> {
    let mut changes = Vec::new();
    match (key.first(), Pieces::decode(stored)) {
        (Some(&PIECE), _) => {}
        (Some(&ENTRY), Some(pieces)) => {
            let missing = || sled::Error::ReportableBug("pieces of a value are missing".to_owned());
            let value = join(tree, pieces)?.ok_or_else(missing)?;
            put_in_pieces(&mut changes, key.to_vec(), &value, new_generation()?);
        }
        _ => changes.push(Change { key: key.to_vec(), value: Some(stored.to_vec()) }),
    }
    Ok(changes)
}

fn put_in_pieces(changes: &mut Vec<Change>, key: Vec<u8>, value: &[u8], generation: u64) {
    let parts = value.chunks(PIECE_BYTES);
    let pieces = Pieces { generation, count: parts.len() as u32 };
    changes.extend(pieces.keys().zip(parts).map(|(key, part)| Change { key, value: Some(part.to_vec()) }));
    changes.push(Change { key, value: Some(pieces.encode()) });
}
