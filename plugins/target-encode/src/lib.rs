//! The standard plugin `target-encode`.

use std::collections::BTreeMap;

use oast_sdk::schema::only;
use oast_sdk::{
    AnyColumn, Batch, BatchTransform, Buffer, Column, DataType, Error, Field, Json, Output, Param, Params, Schemas,
    batch_transform,
};

/// Replaces a category by a number from a table, for example the mean of the target over the training rows of the
/// category.
///
/// The column may hold utf8, int64 or bool; the table's keys are texts, such as `"AA"`, `"42"` and `"true"`. A category
/// that the table does not have, and null, become `default`. The table is part of the definition, so the encoding of a
/// training set can be regenerated; compute it from rows before those it will be used on, or the target leaks. The
/// usual table has, as `TargetEncoder` of scikit-learn does, `(sum of the target + m * mean of all) / (count + m)` for
/// a smoothing of m: Micci-Barreca, *A Preprocessing Scheme for High-Cardinality Categorical Attributes*, SIGKDD
/// Explorations 3 (2001).
#[batch_transform]
#[derive(Debug)]
pub struct TargetEncode {
    data_type: DataType,
    /// The number of each category, by the bytes of its value.
    table: BTreeMap<Vec<u8>, f64>,
    default: Option<f64>,
}

/// The parameters of [`TargetEncode`].
#[derive(Debug, Params)]
pub struct Settings {
    /// The number of each category.
    table: Table,
    /// The number of any other category and of null; null when absent.
    default: Option<f64>,
}

/// Numbers by category.
#[derive(Debug)]
pub struct Table(BTreeMap<String, f64>);

impl Param for Table {
    const EXPECTED: &'static str = "an object of numbers";
    const EXAMPLE: &'static str = "{\"AA\":1.5}";

    fn from_json(json: &Json) -> Option<Self> {
        let entries = json.as_object().filter(|entries| !entries.is_empty())?.iter();
        entries.map(|(category, number)| Some((category.clone(), number.as_f64()?))).collect::<Option<_>>().map(Self)
    }
}

impl BatchTransform for TargetEncode {
    type Params = Settings;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let field = only(offered)?;
        let entry = |(category, number): (String, f64)| Ok((key(field, &category)?, number));
        let table = settings.table.0.into_iter().map(entry).collect::<Result<_, Error>>()?;
        let output = Field::new("encoded", DataType::Float64);
        let schemas = Schemas {
            input: vec![field.clone().nullable()],
            output: vec![if settings.default.is_some() { output } else { output.nullable() }],
        };
        Ok((Self { data_type: field.data_type, table, default: settings.default }, schemas))
    }

    fn apply(&self, input: Batch) -> Result<Output, Error> {
        let categories = AnyColumn::new(input.column(0)?, self.data_type)?;
        let number = |row| categories.value(row, |bytes| self.table.get(bytes).copied()).flatten().or(self.default);
        let numbers: Vec<Option<f64>> = (0..input.rows).map(number).collect();
        let column = Column {
            validity: numbers.contains(&None).then(|| numbers.iter().map(|number| number.is_some().into()).collect()),
            buffer: Buffer::Float64s(numbers.into_iter().map(Option::unwrap_or_default).collect()),
        };
        Ok(Output { rows: Batch { rows: input.rows, columns: vec![column] }, ..Output::default() })
    }
}

/// The bytes of a category as [`AnyColumn`] gives them.
fn key(field: &Field, category: &str) -> Result<Vec<u8>, Error> {
    let (expected, key) = match field.data_type {
        DataType::Utf8 => ("texts", Some(category.as_bytes().to_vec())),
        DataType::Int64 => {
            ("integers such as `\"42\"`", category.parse().ok().map(|value: i64| value.to_le_bytes().to_vec()))
        }
        DataType::Bool => ("`\"true\"` and `\"false\"`", category.parse().ok().map(|value: bool| vec![value.into()])),
        _ => return Err(Error::new(format!("expected a column of utf8, int64 or bool, got {field}"))),
    };
    key.ok_or_else(|| {
        Error::new(format!(
            "parameter `table`: expected {expected} as keys for the column {field}, got `\"{category}\"`"
        ))
    })
}

#[cfg(test)]
mod tests;
