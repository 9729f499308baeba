//! What the fuzz targets begin with, so that they need not find by chance what a component looks like.

use std::{env, fs};

use super::{
    components::{Answer, Column, Guest, configure, int64s, utf8},
    *,
};
use crate::{golden::UPDATE, support::repository};

/// Each seed by the name of its file below `tests/fuzz/seeds`.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let components = components().into_iter().map(|(name, bytes)| (format!("component_bytes/{name}"), bytes));
    let values = values().into_iter().map(|(name, bytes)| (format!("returned_values/{name}"), bytes));
    let code = (1..=16).map(|seed| (format!("generated_code/{seed:02}"), noise(seed, 2048)));
    components.chain(values).chain(code).collect()
}

fn components() -> Vec<(&'static str, Vec<u8>)> {
    let hostile = include_str!("../components/hostile.wat").to_owned();
    let hostile = Guest { configure: configure(&[DataType::Int64], &[]), apply: hostile, options: "" };
    vec![
        ("empty", b"\0asm\x0d\0\x01\0".to_vec()),
        ("honest", components::answers_with_its_value()),
        ("hostile", hostile.component()),
        ("keeps_state", components::keeps_state_across_rows()),
    ]
}

/// A byte that chooses the output, and what the memory holds of an answer of one row.
fn values() -> Vec<(&'static str, Vec<u8>)> {
    let bytes = |case: u32, values: &[u8], items: usize| {
        let mut answer = Answer::new();
        let (start, items) = answer.put(values, items);
        answer.into_memory(1, &[Column(case, [start, items, 0, 0], None)])
    };
    let text = |case: u32| {
        let mut answer = Answer::new();
        let (offsets, bytes) = (answer.put_words(&[0, 3]), answer.put_bytes(b"abc"));
        let Column(_, words, _) = utf8(offsets, bytes);
        answer.into_memory(1, &[Column(case, words, None)])
    };
    let vector = || {
        let mut answer = Answer::new();
        let (start, items) = answer.put_words(&[0x7fc0_0001, 0]);
        answer.into_memory(1, &[Column(6, [2, start, items, 0], None)])
    };
    let two = || {
        let mut answer = Answer::new();
        let Column(_, times, _) = int64s(answer.put_int64s(&[7]));
        let (offsets, bytes) = (answer.put_words(&[0, 3]), answer.put_bytes(b"abc"));
        answer.into_memory(1, &[Column(3, times, None), utf8(offsets, bytes)])
    };
    let answers = [
        ("nothing", Answer::new().into_memory(1, &[])),
        ("bool", bytes(0, &[1], 1)),
        ("int64", bytes(1, &7_i64.to_le_bytes(), 1)),
        ("float64", bytes(2, &0x7ff8_0000_0000_0001_u64.to_le_bytes(), 1)),
        ("utf8", text(4)),
        ("binary", text(5)),
        ("vector", vector()),
        ("two_columns", two()),
    ];
    let chosen = |(at, (name, memory)): (usize, (&'static str, Vec<u8>))| (name, [vec![at as u8], memory].concat());
    answers.into_iter().enumerate().map(chosen).collect()
}

/// Bytes without a pattern, the same for a seed on every machine.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn fuzzing_begins_with_these_guests() {
    for (name, bytes) in seeds() {
        let path = repository("tests/fuzz/seeds").join(&name);
        if env::var_os(UPDATE).is_some() {
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
            fs::write(&path, &bytes).expect("a seed can be written");
        }
        let found = fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}; set {UPDATE}=1 to write it"));
        assert!(found == bytes, "{name} is not what the tests make of it; set {UPDATE}=1 to write it anew");
    }
}
