//! The same in Rust, with the SDK: `tests/misbehave` does what its rows say.

use super::*;

const MISBEHAVE: &[u8] = include_bytes!(env!("OAST_MISBEHAVE"));

fn misbehaving() -> Plugin {
    let offered = Schema::new(vec![Field::new("deed", DataType::Utf8)]).expect("one name");
    engine().load(MISBEHAVE).and_then(|component| component.configure("{}", &offered, limits())).expect("it configures")
}

fn deeds(names: &[&str]) -> Batch {
    let rows: Vec<_> = names.iter().map(|name| vec![Some(Value::Utf8((*name).to_owned()))]).collect();
    let schema = Schema::new(vec![Field::new("deed", DataType::Utf8)]).expect("one name");
    crate::engine::batch_of(&schema, &rows)
}

/// What each deed comes to, alone and in one batch with all the others.
#[test]
fn deeds_end_as_documented_and_spare_their_neighbours() {
    let trap = "trapped: wasm `unreachable` instruction executed";
    let expected = [
        ("nothing", "kept 0"),
        ("loop", "ran out of fuel"),
        // Rust keeps what has an address on a stack of its own, in memory, and that one ends first.
        ("recurse", "trapped: out of bounds memory access"),
        ("allocate", "ran out of memory"),
        ("panic", trap),
        ("index", trap),
        ("lie", "rejected: 3 and 4099 bytes"),
        ("boast", "rejected: 4099 and 0 bytes"),
        ("clock", trap),
        ("file", "kept 0"),
        ("variable", "kept 0"),
        ("network", "kept 0"),
        ("thread", "kept 0"),
        ("exit", trap),
    ];
    let plugin = misbehaving();
    let transform = plugin.transform().expect("a transform");
    for (deed, expected) in expected {
        assert_eq!(told(&transform.apply(&deeds(&[deed])).expect("the host carries on")), [expected], "{deed}");
    }
    let (names, outcomes): (Vec<_>, Vec<_>) = expected.into_iter().unzip();
    // An instance that took calls before is no excuse: what fails in it is done again in fresh ones.
    for transform in [transform, transform.lasting(), transform.lasting()] {
        assert_eq!(told(&transform.apply(&deeds(&["nothing"; 3])).expect("the host carries on")), ["kept 0"; 3]);
        assert_eq!(told(&transform.apply(&deeds(&names)).expect("the host carries on")), outcomes);
    }
}

fn told(applied: &Applied) -> Vec<String> {
    let mut kept = 0..;
    let outcomes = applied.outcomes.iter().map(|outcome| match outcome {
        Outcome::Keep => match applied.rows.columns[0].get(kept.next().expect("numbers do not end")) {
            Some(Value::Int64(answer)) => format!("kept {answer}"),
            other => panic!("{other:?} is no answer"),
        },
        Outcome::Drop => "dropped".to_owned(),
        Outcome::Reject(why) => format!("rejected: {} and {} bytes", why.code.len(), why.message.len()),
        Outcome::Fail(failure) => failure.to_string(),
    });
    outcomes.collect()
}

/// Whatever a plugin keeps in statics, or hashes by an address, is the same on every instance, and shows in a batch alone, which
/// in a replay may be of several calls.
#[test]
fn nothing_outlives_an_instance() {
    let plugin = misbehaving();
    let transform = plugin.transform().expect("a transform");
    let answers = |names: &[&str]| told(&transform.apply(&deeds(names)).expect("the host carries on"));
    assert_eq!(answers(&["count", "count"]), ["kept 0", "kept 1"]);
    assert_eq!(answers(&["count"]), ["kept 0"]);
    let lasting = |names: &[&str]| told(&transform.lasting().apply(&deeds(names)).expect("the host carries on"));
    assert_eq!(lasting(&["count", "count"]), ["kept 0", "kept 1"]);
    assert_eq!(lasting(&["count", "count"]), ["kept 2", "kept 3"], "a replay's calls are parts of one batch");
    assert_eq!(lasting(&["count"]), ["kept 0"], "a row alone is canonical");
    assert_eq!(answers(&["count"]), ["kept 0"]);
    for deed in ["seed", "order"] {
        assert_eq!(answers(&[deed]), answers(&[deed]), "{deed}");
    }
}
