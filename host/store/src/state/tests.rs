use super::*;

fn open(root: &Path) -> (State, StateRecovery) {
    State::open(&DataDir::open(root).unwrap()).unwrap()
}

fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Op {
    Op::Put(key.as_ref().to_vec(), value.as_ref().to_vec())
}

fn all(state: &State, tree: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    state.scan_prefix(tree, b"").unwrap().collect::<Result<_>>().unwrap()
}

#[test]
fn entries_are_read_in_key_order() {
    let temp = tempfile::tempdir().unwrap();
    let (state, recovery) = open(temp.path());
    assert_eq!(recovery, StateRecovery { created: true, set_aside: None, redone: 0 });
    assert_eq!((state.get("v", b"a").unwrap(), state.checkpoint("v").unwrap()), (None, None));
    assert_eq!(state.trees(), Vec::<String>::new(), "reading makes no tree");
    state.apply("v", &[put("b", "2"), put("a", "1"), put("", "0"), put("ab", "3")], b"at 7").unwrap();
    let keys = |entries: Entries| entries.map(|entry| String::from_utf8(entry.unwrap().0).unwrap()).collect::<Vec<_>>();
    assert_eq!(keys(state.scan_prefix("v", b"").unwrap()), ["", "a", "ab", "b"]);
    assert_eq!(keys(state.scan_prefix("v", b"a").unwrap()), ["a", "ab"]);
    assert_eq!(keys(state.range("v", b"a", Some(b"b")).unwrap()), ["a", "ab"]);
    assert_eq!(keys(state.range("v", b"ab", None).unwrap()), ["ab", "b"]);
    assert_eq!(keys(state.range("v", b"b", Some(b"a")).unwrap()), Vec::<String>::new());
    assert_eq!(state.checkpoint("v").unwrap().as_deref(), Some(&b"at 7"[..]));
    state.apply("v", &[Op::Delete(b"a".to_vec()), put("b", "4"), Op::Delete(b"none".to_vec())], b"at 8").unwrap();
    assert_eq!((state.get("v", b"a").unwrap(), state.get("v", b"b").unwrap()), (None, Some(b"4".to_vec())));
    state.apply("w", &[], b"at 0").unwrap();
    assert_eq!(state.trees(), ["v", "w"]);
    state.drop_tree("v").unwrap();
    assert_eq!((state.trees(), state.get("v", b"b").unwrap()), (vec!["w".to_owned()], None));
    assert!(state.size_on_disk().unwrap() > 0);
}

#[test]
fn long_values_come_back_and_their_pieces_go_with_them() {
    let temp = tempfile::tempdir().unwrap();
    let (state, _) = open(temp.path());
    for length in [entry::PIECE_BYTES, entry::PIECE_BYTES + 1, 5 * entry::PIECE_BYTES, 3 * entry::PIECE_BYTES + 7, 1] {
        let value: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        state.apply("v", &[put("k", &value), put("l", "short")], b"").unwrap();
        assert_eq!(state.get("v", b"k").unwrap().unwrap(), value);
        assert_eq!(all(&state, "v"), [(b"k".to_vec(), value), (b"l".to_vec(), b"short".to_vec())]);
    }
    state.apply("v", &[put("k", vec![0; 200_000])], b"").unwrap();
    state.apply("v", &[Op::Delete(b"k".to_vec()), Op::Delete(b"l".to_vec())], b"").unwrap();
    assert_eq!(all(&state, "v"), []);
    assert_eq!(state.existing("v").unwrap().len(), 1, "only the checkpoint is left");
}

#[test]
fn state_survives_being_closed() {
    let temp = tempfile::tempdir().unwrap();
    let (state, _) = open(temp.path());
    state.apply("v", &[put("a", "1")], b"1").unwrap();
    state.flush_durable().unwrap();
    state.apply("v", &[put("b", "2")], b"2").unwrap();
    drop(state);
    let (state, recovery) = open(temp.path());
    assert_eq!(recovery, StateRecovery { created: false, set_aside: None, redone: 1 });
    assert_eq!((all(&state, "v").len(), state.checkpoint("v").unwrap().unwrap()), (2, b"2".to_vec()));
    drop(state);
    assert_eq!(open(temp.path()).1.redone, 0);
}

/// The whole of a checkpoint: 250 tiles, so that it takes three batches of sled.
fn tiles(value: &str) -> Vec<Op> {
    (0..250).map(|tile| put(format!("tile {tile:03}"), value)).collect()
}

/// Puts the journal that was cut at some byte, and the batches that sled had seen by then, before an opening.
#[test]
fn a_checkpoint_is_whole_wherever_it_was_cut() {
    let temp = tempfile::tempdir().unwrap();
    let (state, _) = open(temp.path());
    state.apply("v", &tiles("old"), b"old").unwrap();
    state.flush_durable().unwrap();
    let sled = state.existing("v").unwrap();
    let mut ops = tiles("new");
    ops[7] = Op::Delete(b"tile 007".to_vec());
    let changes = entry::changes(&sled, &ops, b"new", || Ok(0)).unwrap();
    drop(sled);
    let record = Redo::Apply { tree: "v".to_owned(), changes: changes.clone() };
    state.lock().append(&record).unwrap();
    let journal = temp.path().join("state/journal.redo");
    let whole = fs::read(&journal).unwrap();
    // The record is not complete: sled has seen nothing of it.
    let mut state = reopen(state, &journal, &whole[..0]);
    for end in (1..whole.len()).step_by(whole.len() / 10).chain([23, 24, 25, whole.len() - 1]) {
        state = reopen(state, &journal, &whole[..end]);
        check_tiles(&state, "old");
    }
    // The record is complete: sled has seen some of its batches, or all.
    for batches in 0..=changes.len().div_ceil(BATCH) {
        state.apply("v", &tiles("old"), b"old").unwrap();
        state.flush_durable().unwrap();
        let sled = state.existing("v").unwrap();
        changes.chunks(BATCH).take(batches).for_each(|part| sled.apply_batch(batch(part)).unwrap());
        drop(sled);
        state = reopen(state, &journal, &whole);
        check_tiles(&state, "new");
    }
}

fn reopen(state: State, journal: &Path, bytes: &[u8]) -> State {
    let root = state._dir.root().to_owned();
    drop(state);
    fs::write(journal, bytes).unwrap();
    open(&root).0
}

fn check_tiles(state: &State, expected: &str) {
    let entries = all(state, "v");
    assert_eq!(state.checkpoint("v").unwrap().unwrap(), expected.as_bytes());
    assert!(entries.iter().all(|(_, value)| value == expected.as_bytes()));
    assert_eq!(entries.len(), if expected == "old" { 250 } else { 249 });
}

#[test]
fn a_dropped_tree_does_not_come_back_from_the_journal() {
    let temp = tempfile::tempdir().unwrap();
    let (state, _) = open(temp.path());
    state.apply("v", &tiles("old"), b"old").unwrap();
    state.apply("w", &[put("a", "1")], b"1").unwrap();
    state.drop_tree("v").unwrap();
    drop(state);
    let (state, recovery) = open(temp.path());
    assert_eq!((recovery.redone, state.trees()), (3, vec!["w".to_owned()]));
}

#[test]
fn a_record_behind_a_gap_is_not_redone() {
    let temp = tempfile::tempdir().unwrap();
    let (state, _) = open(temp.path());
    state.apply("v", &[put("a", "1")], b"1").unwrap();
    let journal = temp.path().join("state/journal.redo");
    let first = fs::read(&journal).unwrap();
    state.apply("v", &[put("a", "2")], b"2").unwrap();
    state.apply("v", &[put("a", "3")], b"3").unwrap();
    let whole = fs::read(&journal).unwrap();
    drop(state);
    let second = (whole.len() - first.len()) / 2;
    fs::write(&journal, [&first, &whole[first.len() + second..]].concat()).unwrap();
    assert_eq!(open(temp.path()).1.redone, 1);
}

#[test]
fn a_state_that_does_not_open_is_set_aside() {
    let temp = tempfile::tempdir().unwrap();
    let (state, _) = open(temp.path());
    state.apply("v", &tiles("old"), b"old").unwrap();
    drop(state);
    let sled = temp.path().join("state/sled");
    fs::write(sled.join("snap.0000.generating"), "half").unwrap();
    let (state, recovery) = open(temp.path());
    assert_eq!((recovery.set_aside, all(&state, "v").len()), (None, 250));
    drop(state);
    fs::remove_dir_all(&sled).unwrap();
    fs::write(&sled, "not a folder").unwrap();
    let (state, recovery) = open(temp.path());
    let aside = temp.path().join("state.broken-1");
    assert_eq!(recovery, StateRecovery { created: true, set_aside: Some(aside.clone()), redone: 0 });
    assert_eq!((state.trees(), state.checkpoint("v").unwrap()), (Vec::<String>::new(), None));
    assert_eq!(fs::read(aside.join("sled")).unwrap(), b"not a folder");
}

#[test]
fn a_state_that_is_in_use_is_not_set_aside() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    let (state, _) = State::open(&dir).unwrap();
    state.apply("v", &tiles("old"), b"old").unwrap();
    let Err(error) = open_sled(&state.folder, Duration::ZERO) else { panic!("sled was opened twice") };
    assert!(matches!(&error, StoreError::State { source, .. } if !is_damage(source)), "{error:?}");
}

#[test]
fn a_journal_without_its_sled_is_not_redone() {
    let temp = tempfile::tempdir().unwrap();
    let (state, _) = open(temp.path());
    state.apply("v", &tiles("old"), b"old").unwrap();
    state.flush_durable().unwrap();
    state.apply("v", &[put("tile 000", "new")], b"new").unwrap();
    drop(state);
    fs::remove_dir_all(temp.path().join("state/sled")).unwrap();
    let (state, recovery) = open(temp.path());
    assert_eq!(recovery, StateRecovery { created: true, set_aside: None, redone: 0 });
    assert_eq!(state.checkpoint("v").unwrap(), None);
}
