//! The golden vectors, what DuckDB computes where the summary is exact, its error elsewhere, and the laws of merging.

use std::collections::BTreeMap;

use oast_oracle::laws;
use oast_sdk::Json;
use oast_sdk::testing::{check_aggregate, json};

use super::TopK;

#[test]
fn golden() {
    check_aggregate::<TopK>(include_str!("../golden.json"));
}

#[test]
fn the_oracle_agrees() {
    oast_oracle::check_aggregate::<TopK>(include_str!("../oracle.json"));
}

/// Values of which small ones are frequent.
fn values(count: usize) -> Vec<i64> {
    let mut random = laws::Random(1);
    (0..count).map(|_| (400.0 / (1.0 + random.below(400) as f64)) as i64 + random.below(3) as i64).collect()
}

#[test]
fn the_laws_hold_beyond_the_capacity() {
    const CAPACITY: u64 = 20;
    let values = values(1500);
    let mut truth: BTreeMap<i64, u64> = BTreeMap::new();
    values.iter().for_each(|value| *truth.entry(*value).or_default() += 1);
    assert!(truth.len() > 2 * CAPACITY as usize, "the summary must let go of values");
    let is_within = |found: &Json| {
        let error = found[6].as_u64().expect("an error");
        let counted = (0..3).all(|place| {
            let (value, count) = (&found[2 * place], &found[2 * place + 1]);
            let (Some(value), Some(count)) = (value.as_i64(), count.as_u64()) else { return true };
            (count..=count + error).contains(&truth[&value])
        });
        let most = truth.iter().max_by_key(|(_, count)| **count).expect("there are values");
        counted && found[0].as_i64() == Some(*most.0) && 0 < error && error <= 1500 / (CAPACITY + 1)
    };
    let rows = values.into_iter().map(|value| json!([value])).collect();
    let trial = laws::Trial { params: json!({ "capacity": CAPACITY }), offered: "x: int64", rows };
    laws::check_within::<TopK>(trial, is_within);
}

#[test]
fn the_laws_hold_exactly_within_the_capacity() {
    let rows: Vec<Json> = values(300).into_iter().map(|value| json!([value % 50])).collect();
    let plugin = oast_sdk::testing::Aggregation::<TopK>::new(json!({}), "x: int64").expect("it configures");
    let whole = plugin.fold(Json::Array(rows.clone()), &[]);
    let trial = laws::Trial { params: json!({}), offered: "x: int64", rows };
    laws::check_within::<TopK>(trial, |found| *found == whole);
}
