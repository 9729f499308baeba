//! Tries a plugin natively, with rows as JSON.
//!
//! Values are written as the daemon writes them: integers and timestamps (microseconds) as numbers, floats as numbers or
//! the texts `"NaN"`, `"Infinity"` and `"-Infinity"`, binary as lower-case hexadecimal, vectors as lists. Whatever is wrong
//! with a test's own rows or schemas is a panic.

use crate::{BatchAggregate, BatchTransform, Blobs, Error, Field, Output, Params, Schemas, Verdict, aggregate};
pub use json_rows::{batch, rows, schema};
pub use serde_json::json;
use serde_json::{Value as Json, from_str};

mod golden;
mod json_rows;

pub use golden::{check_aggregate, check_transform};

/// A configured transform.
#[derive(Debug)]
pub struct Transform<T> {
    plugin: T,
    /// The schemas it settled on.
    pub schemas: Schemas,
}

impl<T: BatchTransform> Transform<T> {
    /// Configures a transform for columns such as `"distance: float64, tail: utf8?"`.
    pub fn new(params: Json, offered: &str) -> Result<Self, Error> {
        Self::offer(&params, &schema(offered))
    }

    fn offer(params: &Json, offered: &[Field]) -> Result<Self, Error> {
        let (plugin, schemas) = T::configure(T::Params::parse(&params.to_string())?, offered)?;
        Ok(Self { plugin, schemas })
    }

    /// Transforms rows, which are lists in the order of the input schema. Each becomes a list in the order of the output
    /// schema, `"drop"`, or `{"reject": code}`.
    pub fn apply(&self, rows: Json) -> Json {
        let input = batch(&self.schemas.input, &rows);
        match self.plugin.apply(input) {
            Ok(output) => self.outcomes(&output),
            Err(error) => panic!("the batch failed: {error}"),
        }
    }

    fn outcomes(&self, output: &Output) -> Json {
        let mut values = rows(&self.schemas.output, &output.rows);
        let mut rejections = output.rejections.iter();
        for (row, verdict) in output.verdicts.iter().flatten().enumerate() {
            match verdict {
                Verdict::Keep => {}
                Verdict::Drop => values[row] = json!("drop"),
                Verdict::Reject => {
                    let (place, reject) = rejections.next().expect("a rejection a rejected row");
                    assert_eq!(*place as usize, row, "rejections are in row order");
                    values[row] = json!({ "reject": reject.code });
                }
            }
        }
        Json::Array(values)
    }
}

/// A configured aggregate.
#[derive(Debug)]
pub struct Aggregation<A> {
    plugin: A,
    /// The schemas it settled on.
    pub schemas: Schemas,
}

impl<A: BatchAggregate> Aggregation<A> {
    /// Configures an aggregate for columns such as `"distance: float64"`.
    pub fn new(params: Json, offered: &str) -> Result<Self, Error> {
        Self::offer(&params, &schema(offered))
    }

    fn offer(params: &Json, offered: &[Field]) -> Result<Self, Error> {
        let (plugin, schemas) = A::configure(A::Params::parse(&params.to_string())?, offered)?;
        Ok(Self { plugin, schemas })
    }

    /// Folds rows into states, a new one beginning at each of the `splits`, merges the states and finishes the result.
    pub fn fold(&self, rows: Json, splits: &[usize]) -> Json {
        self.finish(&self.states(&rows, splits))
    }

    /// The states of runs of rows, a new run beginning at each of the `splits`.
    pub fn states(&self, rows: &Json, splits: &[usize]) -> Blobs {
        let input = batch(&self.schemas.input, rows);
        let mut starts = vec![0];
        starts.extend(splits);
        let ends = splits.iter().copied().chain([input.rows]);
        let runs: Vec<u32> =
            starts.iter().zip(ends).map(|(start, end)| u32::try_from(end - start).expect("splits ascend")).collect();
        let mut empty = Blobs::default();
        runs.iter().for_each(|_| empty.push(b""));
        aggregate::update(&self.plugin, &empty, &runs, input).expect("the rows fold")
    }

    /// Folds rows into one state that is there already.
    pub fn update(&self, state: &[u8], rows: &Json) -> Result<Vec<u8>, Error> {
        let input = batch(&self.schemas.input, rows);
        let runs = [u32::try_from(input.rows).expect("few rows")];
        Ok(aggregate::update(&self.plugin, &one(state), &runs, input)?.bytes)
    }

    /// Merges states into one.
    pub fn merge(&self, states: &Blobs) -> Result<Vec<u8>, Error> {
        let runs = [u32::try_from(states.len()).expect("few states")];
        Ok(aggregate::merge(&self.plugin, states, &runs)?.bytes)
    }

    /// Merges states into one and finishes it into a row of the output schema.
    pub fn finish(&self, states: &Blobs) -> Json {
        let runs = [u32::try_from(states.len()).expect("few states")];
        let batch = aggregate::finish(&self.plugin, states, &runs).expect("the states finish");
        rows(&self.schemas.output, &batch).remove(0)
    }

    /// Finishes bytes that may not be a state.
    pub fn try_finish(&self, state: &[u8]) -> Result<Json, Error> {
        let batch = aggregate::finish(&self.plugin, &one(state), &[1])?;
        Ok(rows(&self.schemas.output, &batch).remove(0))
    }
}

fn one(state: &[u8]) -> Blobs {
    let mut blobs = Blobs::default();
    blobs.push(state);
    blobs
}

/// Parses a golden file; its own mistakes are panics.
fn parse(text: &str) -> Json {
    from_str(text).expect("a golden file is JSON")
}
