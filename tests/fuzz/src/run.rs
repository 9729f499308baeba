//! Runs a plugin on rows made of nothing but its schema, and checks what every outcome must be like.

use oast_core::{Batch, Column, ColumnBuilder, DataType, Field, Fuel, Limits, Outcome, Schema, Timestamp, Value};
use oast_engine::{Aggregate, Engine, EngineError, Groups, Plugin, Transform};

/// Little enough that a guest which loops does not slow the fuzzer down.
pub(crate) fn limits() -> Limits {
    Limits { budget_fuel: Fuel(200_000), ..Limits::default() }
}

/// Any bytes as a component: they are refused, or they run within their limits. An error that is no refusal is a bug.
pub fn component_bytes(bytes: &[u8]) {
    let engine = Engine::shared().expect("an engine");
    let Some(component) = refused(engine.load(bytes)) else { return };
    let Some(plugin) = refused(component.configure("{}", &Schema::default(), limits())) else { return };
    let Some(rows) = rows(&plugin.descriptor().input, 3) else { return };
    if let Some(transform) = plugin.transform() {
        check_applied(&plugin, transform, &rows);
    }
    if let Some(aggregate) = plugin.aggregate() {
        check_folded(aggregate, &rows);
    }
}

fn refused<T>(loaded: Result<T, EngineError>) -> Option<T> {
    match loaded {
        Ok(loaded) => Some(loaded),
        Err(error @ (EngineError::Start(_) | EngineError::Invoke { .. })) => panic!("{error:?}"),
        Err(_) => None,
    }
}

/// What is kept is in canonical form, and each row comes out alone as it came out before.
pub(crate) fn check_applied(plugin: &Plugin, transform: Transform<'_>, rows: &Batch) {
    let schema = &plugin.descriptor().output;
    let applied = transform.apply(rows).expect("whatever a guest does, the host carries on");
    assert_eq!(applied.outcomes.len(), rows.rows);
    assert_eq!(applied.kept.len(), applied.rows.rows);
    assert_eq!(applied.outcomes.iter().filter(|outcome| **outcome == Outcome::Keep).count(), applied.rows.rows);
    let canonical = applied.rows.clone().into_canonical(schema).expect("what was kept fits the schema");
    assert_same(&canonical, &applied.rows);
    let again = transform.apply(rows).expect("whatever a guest does, the host carries on");
    assert_eq!(again.outcomes, applied.outcomes);
    assert_same(&again.rows, &applied.rows);
}

fn check_folded(aggregate: Aggregate<'_>, rows: &Batch) {
    let updated = aggregate.update(&[&[]], &[rows.rows as u32], rows).expect("the host carries on");
    let states = updated.states;
    assert_eq!(states.len(), 1);
    let merged = aggregate.merge(Groups::new(&states, &[1])).expect("the host carries on");
    assert_eq!(merged.states.len(), 1);
    let finished = aggregate.finish(Groups::new(&states, &[1])).expect("the host carries on");
    assert_eq!((finished.rows.rows, finished.failures.len()), (1, 1));
}

fn assert_same(found: &Batch, expected: &Batch) {
    assert_eq!((found.rows, found.columns.len()), (expected.rows, expected.columns.len()));
    for (found, expected) in found.columns.iter().zip(&expected.columns) {
        assert!((0..expected.len()).all(|row| found.same_bits(row, expected, row)), "{found:?} {expected:?}");
    }
}

/// So many equal rows of a schema, unless it has vectors that alone are larger than any plugin has.
fn rows(schema: &Schema, rows: usize) -> Option<Batch> {
    let is_wide = |field: &Field| matches!(field.data_type, DataType::Vector(width) if width > 4096);
    if schema.fields().iter().any(is_wide) {
        return None;
    }
    let column = |field: &Field| -> Column {
        let mut builder = ColumnBuilder::new(field.data_type);
        let value = value(field.data_type);
        (0..rows).for_each(|_| builder.push(Some(&value)));
        builder.finish()
    };
    Some(Batch { rows, columns: schema.fields().iter().map(column).collect() })
}

fn value(data_type: DataType) -> Value {
    match data_type {
        DataType::Bool => Value::Bool(true),
        DataType::Int64 => Value::Int64(7),
        DataType::Float64 => Value::Float64(0.5),
        DataType::Utf8 => Value::Utf8("seven".to_owned()),
        DataType::Binary => Value::Binary(vec![7; 7]),
        DataType::Timestamp => Value::Timestamp(Timestamp::from_micros(7)),
        DataType::Vector(width) => Value::Vector(vec![0.5; width as usize]),
    }
}
