//! The standard plugin `arith`.

use oast_sdk::schema::find;
use oast_sdk::{
    Batch, BatchTransform, Buffer, Column, DataType, Error, Field, Output, Params, Schemas, batch_transform,
};

mod expression;
mod parse;

use expression::Expression;

/// Computes a number from columns: `"if(distance > 0, air_time / distance * 60, 0)"`.
///
/// - Columns of float64, int64 and bool, by name; a name that is more than letters, digits and underscores stands in
///   backticks. int64 is converted to the nearest double, true is 1 and false 0.
/// - Numbers such as `12`, `0.5` and `1e-3`; parentheses.
/// - By falling precedence: `-x`; `*`, `/` and `%` (the remainder, with the sign of the dividend); `+` and `-`; `<`,
///   `<=`, `>`, `>=`, `==`, `!=`, which give 1 or 0 and do not chain; `not`; `and`; `or`. What is not 0 counts as true.
/// - `abs(x)`, `sqrt(x)`, `ln(x)`, `log10(x)`, `log1p(x)`, `exp(x)`, `pow(x, y)`, `sin(x)`, `cos(x)`, `floor(x)`,
///   `ceil(x)`, `round(x)` (halves to even), `sign(x)`; `min(x, y, ...)` and `max(x, y, ...)`, which are NaN if any
///   argument is; `if(condition, then, else)`, `is_null(x)`, and `coalesce(x, y, ...)`, the first that is not null.
///
/// Arithmetic is that of IEEE 754 doubles: `1 / 0` is infinite, `sqrt(-1)` NaN. The result is null when any operand is,
/// except that `if` looks only at its condition and the branch it takes, `and` with a false operand is 0, and `or` with
/// a true one 1. A comparison with NaN is 0, except that `!=` is 1. The same expression gives the same bits everywhere.
#[batch_transform]
#[derive(Debug)]
pub struct Arith {
    expression: Expression,
}

/// The parameters of [`Arith`].
#[derive(Debug, Params)]
pub struct Settings {
    /// What to compute; up to 4096 bytes.
    #[param(example = "air_time / distance")]
    expression: String,
}

impl BatchTransform for Arith {
    type Params = Settings;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let mut input: Vec<Field> = Vec::new();
        let expression = parse::parse(&settings.expression, &mut |name| column(name, offered, &mut input))?;
        let schemas = Schemas { input, output: vec![Field::new("result", DataType::Float64).nullable()] };
        Ok((Self { expression }, schemas))
    }

    fn apply(&self, input: Batch) -> Result<Output, Error> {
        let columns = input.columns.iter().map(numbers).collect::<Result<Vec<_>, _>>()?;
        let mut values = Vec::new();
        let results: Vec<Option<f64>> =
            (0..input.rows).map(|row| self.expression.value(&columns, row, &mut values)).collect();
        let column = Column {
            validity: results.contains(&None).then(|| results.iter().map(|result| result.is_some().into()).collect()),
            buffer: Buffer::Float64s(results.into_iter().map(Option::unwrap_or_default).collect()),
        };
        Ok(Output { rows: Batch { rows: input.rows, columns: vec![column] }, ..Output::default() })
    }
}

/// The place of a column in the input, to which it is added when it is new.
fn column(name: &str, offered: &[Field], input: &mut Vec<Field>) -> Result<usize, Error> {
    if let Some(place) = input.iter().position(|field| field.name == name) {
        return Ok(place);
    }
    let field = find(offered, name)?;
    if !matches!(field.data_type, DataType::Float64 | DataType::Int64 | DataType::Bool) {
        return Err(Error::new(format!("expected a column of float64, int64 or bool, got {field}")));
    }
    input.push(field.clone().nullable());
    Ok(input.len() - 1)
}

/// A column as doubles.
fn numbers(column: &Column) -> Result<Vec<Option<f64>>, Error> {
    let valid = |row: usize, value: f64| (!column.is_null(row)).then_some(value);
    Ok(match &column.buffer {
        Buffer::Float64s(values) => values.iter().enumerate().map(|(row, value)| valid(row, *value)).collect(),
        Buffer::Int64s(values) => values.iter().enumerate().map(|(row, value)| valid(row, *value as f64)).collect(),
        Buffer::Bools(values) => values.iter().enumerate().map(|(row, value)| valid(row, f64::from(*value))).collect(),
        other => return Err(Error::new(format!("a column of {} was not agreed", other.data_type()))),
    })
}

#[cfg(test)]
mod tests;
