//! The standard plugin `filter`.

use oast_sdk::schema::find;
use oast_sdk::{
    Batch, BatchTransform, Column, Error, Field, Json, Map, Output, Params, Schemas, Verdict, batch_transform,
};

mod test;

use test::Test;

/// Drops the rows that fail a condition: `{ "where": [{ "column": "dep_delay", "op": ">=", "value": 0.0 }] }`.
///
/// A row is kept when every condition holds. The operators:
///
/// - `==`, `!=`, `<`, `<=`, `>`, `>=` compare with `value`, which is of the column's type: a number for float64, an integer
///   for int64, microseconds for timestamp, a text for utf8 (ordered by its bytes), true or false for bool (`==` and `!=`).
/// - `in` asks whether the column equals one of a list, for example `"value": ["AA", "UA"]`.
/// - `is_null` and `not_null` take no value and any column.
///
/// A comparison with null never holds, `!=` included. NaN compares as in IEEE 754: only `!=` holds. The transform puts out
/// no columns, so that the columns of a kept row stay as they are.
#[batch_transform]
#[derive(Debug)]
pub struct Filter {
    conditions: Vec<(usize, Test)>,
}

/// The parameters of [`Filter`].
#[derive(Debug, Params)]
pub struct Conditions {
    /// The conditions, all of which must hold; each has a `column`, an `op` and, unless it is about null, a `value`.
    #[param(example = [{ "column": "dep_delay", "op": ">=", "value": 0 }])]
    r#where: Vec<Map<String, Json>>,
}

#[derive(Params)]
struct Condition {
    #[param(example = "dep_delay")]
    column: String,
    op: test::Op,
    value: Option<Json>,
}

impl BatchTransform for Filter {
    type Params = Conditions;

    fn configure(params: Conditions, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let mut input: Vec<Field> = Vec::new();
        let mut conditions = Vec::new();
        for (index, object) in params.r#where.iter().enumerate() {
            let (field, test) =
                condition(object, offered).map_err(|error| Error::new(format!("condition {}: {error}", index + 1)))?;
            let known = input.iter().position(|known| known.name == field.name);
            let place = known.unwrap_or(input.len());
            if known.is_none() {
                input.push(field);
            }
            conditions.push((place, test));
        }
        let schemas = Schemas { input, output: Vec::new() };
        Ok((Self { conditions }, schemas))
    }

    fn apply(&self, input: Batch) -> Result<Output, Error> {
        let mut keep = vec![true; input.rows];
        for (place, test) in &self.conditions {
            let column = input.column(*place)?;
            test.apply(column, &mut keep)?;
        }
        let rows = Batch { rows: input.rows, columns: Vec::<Column>::new() };
        Ok(Output { rows, verdicts: keep.contains(&false).then(|| verdicts(&keep)), rejections: Vec::new() })
    }
}

fn condition(object: &Map<String, Json>, offered: &[Field]) -> Result<(Field, Test), Error> {
    let condition = Condition::from_object(object)?;
    let field = find(offered, &condition.column)?.clone().nullable();
    let test = Test::new(&field, condition.op, condition.value.as_ref())?;
    Ok((field, test))
}

fn verdicts(keep: &[bool]) -> Vec<Verdict> {
    let verdict = |keep: &bool| if *keep { Verdict::Keep } else { Verdict::Drop };
    keep.iter().map(verdict).collect()
}

#[cfg(test)]
mod tests;
