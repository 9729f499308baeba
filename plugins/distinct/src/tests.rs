//! The golden vectors, the estimate against true counts, the laws of merging, and that the state depends on the set
//! alone.

use std::ops::Range;

use oast_oracle::laws;
use oast_sdk::State;
use oast_sdk::testing::{Aggregation, check_aggregate, json};

use super::{Distinct, Sketch};

const PRECISION: u32 = 12;

#[test]
fn golden() {
    check_aggregate::<Distinct>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_aggregate::<Distinct>(include_str!("../oracle.json"));
}

#[test]
fn the_laws_hold() {
    let mut random = laws::Random(1);
    let rows = (0..1000).map(|_| json!([random.below(2000)])).collect();
    laws::check::<Distinct>(laws::Trial { params: json!({}), offered: "x: int64", rows });
}

fn hashes(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|value| oast_sdk::hash(&value.to_le_bytes()))
}

fn sketch(hashes: impl Iterator<Item = u64>, precision: u32) -> Sketch {
    let mut sketch = Sketch::default();
    sketch.insert(hashes, precision).expect("the precision is one");
    sketch
}

#[test]
fn the_estimate_has_the_error_that_theory_gives() {
    const SETS: u64 = 100;
    for (precision, counts) in [(4, &[10, 100, 5_000][..]), (12, &[1_000, 4_000, 10_000])] {
        let expected = 1.04 / f64::from(1 << precision).sqrt();
        for count in counts {
            let errors: Vec<f64> =
                (0..SETS).map(|set| relative_error(set * count..(set + 1) * count, precision)).collect();
            let bias = errors.iter().sum::<f64>() / SETS as f64;
            let deviation = (errors.iter().map(|e| e * e).sum::<f64>() / SETS as f64).sqrt();
            let seen = format!("precision {precision}, {count} values: {bias} and {deviation}");
            assert!(bias.abs() < 0.4 * expected, "the bias of {seen}");
            assert!(deviation < 1.4 * expected, "the deviation of {seen}");
        }
    }
}

fn relative_error(values: Range<u64>, precision: u32) -> f64 {
    let count = (values.end - values.start) as f64;
    let hashes = values.map(|value| oast_sdk::hash(&value.to_le_bytes()));
    let found = sketch(hashes, precision).count(precision);
    (found.expect("it counts") as f64 - count) / count
}

#[test]
fn the_sparse_form_counts_exactly() {
    for count in 0..=768 {
        let sketch = sketch(hashes(count), PRECISION);
        assert!(matches!(sketch, Sketch::Sparse(_)), "{count} fit the sparse form");
        assert_eq!(sketch.count(PRECISION), Ok(count as i64));
    }
}

#[test]
fn the_state_depends_on_the_set_alone() {
    // Below, at and above the change of form, and with one part in each form.
    for count in [5, 700, 768, 769, 5_000] {
        let whole = sketch(hashes(count), PRECISION);
        for cut in [1, count / 2, count - 1] {
            let mut left = sketch(hashes(count).skip(cut as usize), PRECISION);
            let right = sketch(hashes(count).take(cut as usize + 1), PRECISION);
            let mut swapped = right.clone();
            swapped.merge(left.clone(), PRECISION).expect("one precision");
            left.merge(right, PRECISION).expect("one precision");
            assert_eq!(left, whole, "{count} cut at {cut}");
            assert_eq!(swapped, whole, "{count} cut at {cut}, the other way round");
        }
    }
}

#[test]
fn states_survive_their_encoding() {
    for count in [0, 1, 768, 769, 20_000] {
        for precision in [4, PRECISION, 18] {
            let sketch = sketch(hashes(count), precision);
            let bytes = oast_sdk::state::to_bytes(&sketch);
            assert_eq!(oast_sdk::state::from_bytes(&bytes), Ok(sketch));
        }
    }
}

#[test]
fn broken_states_are_errors() {
    let check = |bytes: &[u8], expect: &str| {
        let error = Sketch::decode(&mut &bytes[..]).expect_err(expect);
        assert_eq!(error.to_string(), format!("the state is corrupt: {expect}"));
    };
    check(&[3], "a sketch has another form");
    check(&[1], "the entries of a sketch are out of order");
    check(&[1, 65, 0, 0], "the entries of a sketch are out of order");
    check(&[1, 65, 0, 0, 0, 65, 0, 0, 0], "the entries of a sketch are out of order");
    check(&[1, 0, 0, 0, 0], "the entries of a sketch are out of order");
    check(&[2], "the registers of a sketch are out of range");
    check(&[&[2][..], &[255; 12]].concat(), "the registers of a sketch are out of range");
}

#[test]
fn another_precision_is_an_error() {
    let plugin = |precision: u32| {
        Aggregation::<Distinct>::new(json!({ "precision": precision }), "x: int64").expect("it configures")
    };
    let rows = (0..100).map(|value| json!([value])).collect();
    let state = plugin(4).states(&rows, &[]).bytes;
    let error = plugin(12).try_finish(&state).expect_err("it has 16 registers");
    assert_eq!(error.to_string(), "the state is corrupt: it has another precision");
}
