//! The standard plugin `one-hot`.

use std::collections::BTreeMap;

use oast_sdk::schema::only;
use oast_sdk::{
    AnyColumn, Batch, BatchTransform, Buffer, Column, DataType, Error, Field, Json, Output, Param, Params, Reject,
    Schemas, Verdict, batch_transform,
};

/// One column of 0 and 1 for each category, named `COLUMN_CATEGORY`, for example `carrier_AA`.
///
/// The column may hold utf8, int64 or bool. The 1 stands in the column of the row's category; a row whose category is
/// null or none of those given has 0 in all of them, unless `unknown` says otherwise. It is `OneHotEncoder` of
/// scikit-learn.
#[batch_transform]
#[derive(Debug)]
pub struct OneHot {
    data_type: DataType,
    /// The place of each category, by the bytes of its value.
    places: BTreeMap<Vec<u8>, usize>,
    unknown: Unknown,
}

/// The parameters of [`OneHot`].
#[derive(Debug, Params)]
pub struct Settings {
    /// The categories, of the column's type, in the order of their columns.
    categories: Categories,
    /// What to do with another category: `"zeros"`; `"other"`, which adds a column `COLUMN_other`; or `"reject"`, which
    /// rejects the row with the code `unknown_category`.
    #[param(default = Unknown::Zeros)]
    unknown: Unknown,
}

/// A list that is not empty.
#[derive(Debug)]
pub struct Categories(Vec<Json>);

impl Param for Categories {
    const EXPECTED: &'static str = "a list of 1 to 1000 values of the column's type";
    const EXAMPLE: &'static str = "[\"AA\", \"UA\"]";

    fn from_json(json: &Json) -> Option<Self> {
        let list = json.as_array().filter(|list| (1..=1000).contains(&list.len()))?;
        Some(Self(list.clone()))
    }
}

/// What becomes of a category that is not in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Param)]
pub enum Unknown {
    /// It has 0 everywhere.
    Zeros,
    /// It has 1 in a column of its own.
    Other,
    /// Its row is rejected.
    Reject,
}

impl BatchTransform for OneHot {
    type Params = Settings;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let field = only(offered)?;
        let mut places = BTreeMap::new();
        let mut output = Vec::new();
        for category in &settings.categories.0 {
            let (bytes, text) = category_of(field, category)?;
            if places.insert(bytes, output.len()).is_some() {
                return Err(Error::new(format!(
                    "parameter `categories`: expected each category once, for example `[\"AA\", \"UA\"]`, got \
                     `{category}` twice"
                )));
            }
            output.push(Field::new(format!("{}_{text}", field.name), DataType::Float64));
        }
        if settings.unknown == Unknown::Other {
            let other = Field::new(format!("{}_other", field.name), DataType::Float64);
            if output.contains(&other) {
                return Err(Error::new(
                    "parameter `unknown`: expected \"zeros\" or \"reject\", for example `\"zeros\"`, as there is a category \
                     `other`",
                ));
            }
            output.push(other);
        }
        let input = vec![field.clone().nullable()];
        Ok((Self { data_type: field.data_type, places, unknown: settings.unknown }, Schemas { input, output }))
    }

    fn apply(&self, input: Batch) -> Result<Output, Error> {
        let values = AnyColumn::new(input.column(0)?, self.data_type)?;
        let others = usize::from(self.unknown == Unknown::Other);
        let mut columns = vec![vec![0.0; input.rows]; self.places.len() + others];
        let mut output = Output::default();
        let mut verdicts = vec![Verdict::Keep; input.rows];
        for (row, verdict) in verdicts.iter_mut().enumerate() {
            let Some(place) = values.value(row, |bytes| self.places.get(bytes).copied()) else { continue };
            match (place, self.unknown) {
                (Some(place), _) => columns[place][row] = 1.0,
                (None, Unknown::Zeros) => {}
                (None, Unknown::Other) => columns[self.places.len()][row] = 1.0,
                (None, Unknown::Reject) => {
                    *verdict = Verdict::Reject;
                    let message = "the category is none of those in the parameter `categories`";
                    output.rejections.push((row as u32, Reject::new("unknown_category", message)));
                }
            }
        }
        let column = |values| Column { buffer: Buffer::Float64s(values), validity: None };
        output.rows = Batch { rows: input.rows, columns: columns.into_iter().map(column).collect() };
        output.verdicts = (!output.rejections.is_empty()).then_some(verdicts);
        Ok(output)
    }
}

/// The bytes of a category as [`AnyColumn`] gives them, and its text for the column's name.
fn category_of(field: &Field, json: &Json) -> Result<(Vec<u8>, String), Error> {
    let (expected, category) = match field.data_type {
        DataType::Utf8 => ("a text", json.as_str().map(|text| (text.as_bytes().to_vec(), text.to_owned()))),
        DataType::Int64 => ("an integer", json.as_i64().map(|value| (value.to_le_bytes().to_vec(), value.to_string()))),
        DataType::Bool => ("true or false", json.as_bool().map(|value| (vec![u8::from(value)], value.to_string()))),
        _ => return Err(Error::new(format!("expected a column of utf8, int64 or bool, got {field}"))),
    };
    category.ok_or_else(|| {
        Error::new(format!("parameter `categories`: expected {expected} for the column {field}, got `{json}`"))
    })
}

#[cfg(test)]
mod tests;
