//! Code that wasm-smith generated: it is valid, means nothing, and ends as it ended before.
//!
//! The components are committed in `tests/fixtures/generated`, so that these tests need neither the generator nor a rebuild of
//! the engine with what the generator needs; `tests/fuzz/generate` writes them.

use std::{env, fmt::Write, fs};

use super::*;
use crate::{golden::UPDATE, support::repository};

const TRANSFORMS: &[u8] = include_bytes!("../../fixtures/generated/transforms.bin");
const COMPONENTS: &[u8] = include_bytes!("../../fixtures/generated/components.bin");

/// Components that lie one after the other, each after its length in four bytes.
fn each(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (component, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        found.push(component);
        bytes = rest;
    }
    found
}

/// A transform of each, row by row: what comes out and what it costs is the same every time, and the same as ever.
#[test]
fn generated_code_ends_as_it_ended_before() {
    let mut text = String::new();
    for (number, component) in each(TRANSFORMS).into_iter().enumerate() {
        writeln!(text, "{number}: {}", ended_twice(component)).expect("a string takes text");
    }
    let path = repository("tests/golden/generated.txt");
    if env::var_os(UPDATE).is_some() {
        fs::write(&path, &text).expect("the golden file can be written");
    }
    let expected = fs::read_to_string(&path).expect("the golden file can be read");
    let changed = text.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(
        text == expected,
        "generated code ends otherwise than tests/golden/generated.txt says; first: {changed:?} (found, expected). If \
         wasmtime or a limit changed on purpose, run the test again with {UPDATE}=1 and commit the file"
    );
    for end in ["kept", "ran out of fuel", "trapped"] {
        assert!(text.contains(end), "some generated code has {end}");
    }
}

fn ended_twice(component: &[u8]) -> String {
    let plugin = match configured(component) {
        Ok(plugin) => plugin,
        Err(error) => return format!("refused: {:#}", anyhow::Error::new(error)),
    };
    let transform = plugin.transform().expect("a transform");
    let ends = [0, 1, -1, i64::MIN].map(|value| {
        let [once, again] = [(); 2].map(|()| transform.apply(&rows(&[value])).expect("the host carries on"));
        assert_eq!(once, again, "a row ends the same every time");
        match &once.outcomes[0] {
            Outcome::Keep => format!("kept {:?} for {}", once.rows.columns[0].get(0), once.consumed.0),
            Outcome::Fail(failure) => failure.to_string(),
            other => panic!("{other:?} is nothing that the frame around the code returns"),
        }
    });
    ends.join("; ")
}

/// Components of any kind export neither world, or want something from outside, or are made of more than is allowed.
#[test]
fn generated_components_are_refused() {
    for component in each(COMPONENTS) {
        let error = engine().load(component).err().expect("no generated component is a plugin");
        let refused = matches!(
            error,
            EngineError::Invalid(_) | EngineError::Imports(_) | EngineError::World(_) | EngineError::TooLarge { .. }
        );
        assert!(refused, "{error:?}");
    }
}
