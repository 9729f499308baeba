//! The golden vectors, and what pandas computes.

use oast_sdk::testing::check_transform;
use oast_sdk::{Blobs, Buffer, Column, Field, Json};

use super::Filter;
use super::test::{Op, Test};

/// Texts of every length up to 20, each beside those that differ from it in one byte.
fn texts() -> Vec<String> {
    let whole = "abcdefghijklmnopqrst";
    let cut = (0..=whole.len()).map(|length| whole[..length].to_owned());
    cut.flat_map(|text| {
        let others = (0..text.len()).map(|at| format!("{}-{}", &text[..at], &text[at + 1..])).collect::<Vec<_>>();
        std::iter::once(text).chain(others)
    })
    .collect()
}

fn marks(column: &Column, rows: usize, op: Op, value: Json) -> Vec<bool> {
    let field = Field::new("x", column.buffer.data_type());
    let mut keep = vec![true; rows];
    Test::new(&field, op, Some(&value)).and_then(|test| test.apply(column, &mut keep)).expect("it is a condition");
    keep
}

#[test]
fn texts_of_every_length_compare_as_their_bytes() {
    let texts = texts();
    let mut blobs = Blobs::default();
    texts.iter().for_each(|text| blobs.push(text.as_bytes()));
    let column = Column { buffer: Buffer::Utf8(blobs), validity: None };
    for right in &texts {
        let expect = |op, holds: fn(&str, &str) -> bool| {
            let expected: Vec<bool> = texts.iter().map(|text| holds(text, right)).collect();
            assert_eq!(marks(&column, texts.len(), op, right.as_str().into()), expected, "{op:?} {right:?}");
        };
        expect(Op::Equal, |text, right| text == right);
        expect(Op::NotEqual, |text, right| text != right);
        expect(Op::Less, |text, right| text < right);
        expect(Op::LessOrEqual, |text, right| text <= right);
        expect(Op::Greater, |text, right| text > right);
        expect(Op::GreaterOrEqual, |text, right| text >= right);
        let expected: Vec<bool> = texts.iter().map(|text| text == right || text == "abc").collect();
        assert_eq!(marks(&column, texts.len(), Op::In, vec![right.as_str(), "abc"].into()), expected, "{right:?}");
    }
}

#[test]
fn every_number_is_compared_however_many_there_are() {
    for rows in 0..20_u8 {
        let values: Vec<f64> = (0..rows).map(f64::from).collect();
        let column = Column { buffer: Buffer::Float64s(values.clone()), validity: None };
        let expected: Vec<bool> = values.iter().map(|value| *value >= 7.0).collect();
        assert_eq!(marks(&column, values.len(), Op::GreaterOrEqual, 7.0.into()), expected);
    }
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_transform::<Filter>(include_str!("../oracle.json"));
}

#[test]
fn golden() {
    check_transform::<Filter>(include_str!("../golden.json"));
}
