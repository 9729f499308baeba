//! The standard plugin `bucketize`.

use oast_sdk::{Json, Param, Params, Row, transform};

/// A number.
#[derive(Row)]
pub struct Input {
    /// What is put into a bucket; int64 is converted to the nearest double.
    pub value: Option<f64>,
}

/// Its bucket.
#[derive(Row)]
pub struct Output {
    /// From 0 to the number of edges; null for null and NaN.
    pub bucket: Option<i64>,
}

/// The parameters of [`bucketize()`].
#[derive(Debug, Params)]
pub struct Buckets {
    /// The edges between the buckets. Equal ones count once, so that quantiles can be given as they come.
    edges: Edges,
    /// Whether a value that equals an edge belongs to the bucket below it.
    #[param(default = false)]
    right: bool,
}

/// Numbers in ascending order, none twice.
#[derive(Debug)]
pub struct Edges(Vec<f64>);

impl Param for Edges {
    const EXPECTED: &'static str = "a list of numbers, none smaller than the one before it";
    const EXAMPLE: &'static str = "[0.0, 15.0, 60.0]";

    fn from_json(json: &Json) -> Option<Self> {
        let mut edges: Vec<f64> = json.as_array()?.iter().map(Json::as_f64).collect::<Option<_>>()?;
        if edges.is_empty() || !edges.is_sorted() {
            return None;
        }
        edges.dedup();
        Some(Self(edges))
    }
}

/// Puts a number into a bucket: `bucket` is how many edges are at most the value, so that bucket `i` holds
/// `edges[i - 1] <= value < edges[i]`, the first bucket everything below and the last everything from the last edge up.
///
/// With `right`, it is how many edges are below the value: `edges[i - 1] < value <= edges[i]`. For buckets of equal
/// numbers of rows give quantiles of the training data as edges. It is what `numpy.digitize` computes, and `pandas.cut`
/// for edges that enclose the values, except that NaN has no bucket.
#[transform]
pub fn bucketize(row: Input, buckets: &Buckets) -> Output {
    let edges = &buckets.edges.0;
    let bucket = |value: f64| {
        let below = edges.partition_point(|edge| if buckets.right { *edge < value } else { *edge <= value });
        below as i64
    };
    Output { bucket: row.value.filter(|value| !value.is_nan()).map(bucket) }
}

#[cfg(test)]
mod tests;
