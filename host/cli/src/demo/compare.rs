use std::path::Path;

use anyhow::{Context, ensure};
use oast_runtime::{Column, Value};
use serde::Serialize;
use serde_json::Value as Json;

use super::{
    flights::{Flights, Table},
    live::Served,
    steps::Steps,
};
use crate::output::thousands;

/// What was served beside what the replay gives for the same moments.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    pub(super) values: u64,
    pub(super) differences: u64,
    /// The first difference in spine order.
    pub(super) first: Option<String>,
}

/// Compares every value that the daemon served with the dataset, bit for bit.
pub(super) fn compare(served: &Served, flights: &Flights, dataset: &Path, steps: &Steps) -> anyhow::Result<Comparison> {
    let dataset = Table::read(dataset)?;
    let rows = (dataset.rows.rows, flights.asked.len());
    ensure!(rows.0 == rows.1, "the dataset has {} rows for {} of the spine", rows.0, rows.1);
    let column = |name: &String| {
        let at = dataset.schema.index_of(name).with_context(|| format!("the dataset lacks the column `{name}`"))?;
        Ok(&dataset.rows.columns[at])
    };
    let columns = served.features.iter().map(column).collect::<anyhow::Result<Vec<&Column>>>()?;
    let mut comparison = Comparison { values: 0, differences: 0, first: None };
    for (row, values) in &served.rows {
        let flight = &flights.asked[*row].flight;
        ensure!(dataset.text(*row, "flight_id").as_ref() == Some(flight), "row {row} of the dataset is not {flight}");
        for ((feature, column), value) in served.features.iter().zip(&columns).zip(values) {
            let stored = column.get(*row);
            comparison.count(same_bits(value, stored.as_ref()), || {
                format!("{feature} of flight {flight}: the daemon served {value}, the dataset has {stored:?}")
            });
        }
    }
    let (values, differences) = (thousands(comparison.values), comparison.differences);
    steps.done(
        "compare",
        &format!("{values} served values with the training set, bit for bit: {differences} differences"),
    )?;
    Ok(comparison)
}

impl Comparison {
    fn count(&mut self, same: bool, describe: impl FnOnce() -> String) {
        self.values += 1;
        if !same {
            self.differences += 1;
            self.first.get_or_insert_with(describe);
        }
    }
}

/// Whether a served value is the stored one. Numbers come back from JSON to the bits that were sent.
fn same_bits(served: &Json, stored: Option<&Value>) -> bool {
    match (served, stored) {
        (Json::Null, None) => true,
        (Json::Number(served), Some(Value::Float64(stored))) => {
            served.as_f64().is_some_and(|served| served.to_bits() == stored.to_bits())
        }
        (Json::String(served), Some(Value::Float64(stored))) => match served.as_str() {
            "NaN" => stored.is_nan(),
            "Infinity" => *stored == f64::INFINITY,
            "-Infinity" => *stored == f64::NEG_INFINITY,
            _ => false,
        },
        (Json::Number(served), Some(Value::Int64(stored))) => served.as_i64() == Some(*stored),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_is_a_difference() {
        let check = |served: &str, stored: Option<Value>, same: bool| {
            let served: Json = serde_json::from_str(served).expect("the served value is JSON");
            assert_eq!(same_bits(&served, stored.as_ref()), same, "{served} and {stored:?}");
        };
        let next = f64::from_bits(0.1_f64.to_bits() + 1);
        check("0.1", Some(Value::Float64(0.1)), true);
        check("0.1", Some(Value::Float64(next)), false);
        check(&next.to_string(), Some(Value::Float64(next)), true);
        check("-0.0", Some(Value::Float64(0.0)), false);
        check("-0.0", Some(Value::Float64(-0.0)), true);
        check("\"NaN\"", Some(Value::Float64(f64::NAN)), true);
        check("7", Some(Value::Int64(7)), true);
        check("7", Some(Value::Int64(8)), false);
        check("null", None, true);
        check("null", Some(Value::Int64(0)), false);
        check("0", None, false);
    }
}
