//! What merging may change: nothing, rounding, or as much as a sketch's documentation says.

use oast_core::{Batch, Column, MergeLaw, Value, Values};

/// How far apart two floats may be that differ by rounding, relative to the larger of them.
const ROUNDING: f64 = 1e-9;

/// The same for the singles of a vector.
const ROUNDING_SINGLE: f64 = 1e-5;

/// How far apart they may be where they are differences of large numbers, relative to the largest number that went in.
const CANCELLED: f64 = 1e-12;

/// Whether two rows of features are the same as far as the law asks.
pub(super) fn same(law: MergeLaw, scale: f64, left: &Batch, right: &Batch) -> bool {
    match law {
        MergeLaw::Exact => left.columns.iter().zip(&right.columns).all(|(left, right)| left.same_bits(0, right, 0)),
        MergeLaw::Rounded => left
            .columns
            .iter()
            .zip(&right.columns)
            .all(|(left, right)| left.same_bits(0, right, 0) || rounded_alike(left.get(0), right.get(0), scale)),
        MergeLaw::Approximate => {
            left.columns.iter().zip(&right.columns).all(|(left, right)| kind_of(left.get(0)) == kind_of(right.get(0)))
        }
    }
}

/// What no error bound can make of another: null, NaN or a value.
fn kind_of(value: Option<Value>) -> u8 {
    match value {
        None => 0,
        Some(Value::Float64(value)) if value.is_nan() => 1,
        Some(_) => 2,
    }
}

fn rounded_alike(left: Option<Value>, right: Option<Value>, scale: f64) -> bool {
    match (left, right) {
        (Some(Value::Float64(left)), Some(Value::Float64(right))) => close(left, right, ROUNDING, scale),
        (Some(Value::Vector(left)), Some(Value::Vector(right))) => {
            let pairs = left.iter().zip(&right);
            left.len() == right.len()
                && pairs.into_iter().all(|(l, r)| close(f64::from(*l), f64::from(*r), ROUNDING_SINGLE, scale))
        }
        _ => false,
    }
}

fn close(left: f64, right: f64, relative: f64, scale: f64) -> bool {
    if left == right || (left.is_nan() && right.is_nan()) {
        return true;
    }
    if !left.is_finite() || !right.is_finite() {
        return false;
    }
    let apart = (left - right).abs();
    apart <= relative * left.abs().max(right.abs()) || apart <= CANCELLED * scale
}

/// The largest finite number in the rows, and at least 1.
pub(super) fn scale_of(rows: &Batch) -> f64 {
    let largest = |column: &Column| match &column.values {
        Values::Float64(values) => values.iter().copied().fold(1.0, larger),
        Values::Int64(values) => values.iter().map(|value| *value as f64).fold(1.0, larger),
        Values::Vector { values, .. } => values.iter().map(|value| f64::from(*value)).fold(1.0, larger),
        _ => 1.0,
    };
    rows.columns.iter().map(largest).fold(1.0, f64::max)
}

fn larger(largest: f64, value: f64) -> f64 {
    if value.is_finite() { largest.max(value.abs()) } else { largest }
}

#[cfg(test)]
mod tests {
    use oast_core::{ColumnBuilder, DataType};

    use super::*;

    fn row(value: Option<Value>) -> Batch {
        let mut builder = ColumnBuilder::new(value.as_ref().map_or(DataType::Float64, Value::data_type));
        builder.push(value.as_ref());
        Batch { rows: 1, columns: vec![builder.finish()] }
    }

    #[test]
    fn a_law_allows_as_much_as_it_says() {
        let check = |left: Option<Value>, right: Option<Value>, exact: bool, rounded: bool, approximate: bool| {
            let (left, right) = (row(left), row(right));
            assert_eq!(same(MergeLaw::Exact, 1.0, &left, &right), exact, "{left:?} {right:?}");
            assert_eq!(same(MergeLaw::Rounded, 1.0, &left, &right), rounded, "{left:?} {right:?}");
            assert_eq!(same(MergeLaw::Approximate, 1.0, &left, &right), approximate, "{left:?} {right:?}");
        };
        let float = |value| Some(Value::Float64(value));
        check(float(0.1 + 0.2), float(0.3), false, true, true);
        check(float(1.0), float(1.0 + 1e-8), false, false, true);
        check(float(f64::NAN), float(f64::NAN), true, true, true);
        check(float(f64::NAN), float(1.0), false, false, false);
        check(float(0.0), float(-0.0), false, true, true);
        check(float(f64::INFINITY), float(f64::NEG_INFINITY), false, false, true);
        check(float(1.0), None, false, false, false);
        check(Some(Value::Int64(1)), Some(Value::Int64(2)), false, false, true);
        check(Some(Value::Vector(vec![1.0])), Some(Value::Vector(vec![1.000_001])), false, true, true);
    }
}
