//! The standard plugin `cast`.

use oast_sdk::{
    AnyBuilder, Batch, BatchTransform, DataType, Error, Field, Json, Output, Param, Params, Reject, Schemas, Verdict,
    batch_transform,
};

mod convert;
mod time;

pub use convert::Rounding;
use convert::Scalar;

/// Converts columns to another type, under their names.
///
/// - to bool: a number is true unless it is 0; a text is `true`, `t` or `1`, `false`, `f` or `0`, in either case
/// - to int64: true is 1; a float is rounded, toward 0 unless `rounding` says otherwise; a text is a decimal integer; a
///   timestamp is its microseconds since the Unix epoch
/// - to float64: the nearest double; a text is a decimal number, `nan`, `inf` or `infinity`
/// - to utf8: `true` or `false`; decimal digits; the shortest decimal number that reads back as the same double, or
///   `NaN`, `inf`, `-inf`; a timestamp as RFC 3339 in UTC, for example `2013-01-31T23:00:00Z`; binary that is UTF-8
/// - to timestamp: an integer is microseconds since the Unix epoch; a text is RFC 3339, whose zone (UTC if there is
///   none), seconds and time may be left out, with digits beyond microseconds ignored
/// - to binary: the bytes of a text
///
/// White space around a text is ignored when it is read as something else. A value that cannot be converted, such as
/// NaN or 1e300 to int64, is null, or its row is rejected if `invalid` is `"reject"`. Null stays null. Vectors cannot
/// be converted, nor can timestamps to bool and float64.
#[batch_transform]
#[derive(Debug)]
pub struct Cast {
    to: DataType,
    rounding: Rounding,
    invalid: Invalid,
    columns: Vec<Field>,
}

/// The parameters of [`Cast`].
#[derive(Debug, Params)]
pub struct Settings {
    /// The type to convert to.
    to: Type,
    /// How a float becomes an integer: `"toward_zero"`, which is the default, `"nearest"` (halves to even), `"floor"`
    /// or `"ceil"`.
    #[param(default = Rounding::TowardZero, example = "nearest")]
    rounding: Rounding,
    /// What becomes of a value that cannot be converted: `"null"`, which is the default, or `"reject"`, which rejects
    /// the row with the code `not_convertible`.
    #[param(default = Invalid::Null)]
    invalid: Invalid,
}

/// A type that values can be converted to.
#[derive(Debug, Clone, Copy)]
pub struct Type(DataType);

impl Param for Type {
    const EXPECTED: &'static str = "one of \"bool\", \"int64\", \"float64\", \"utf8\", \"timestamp\", \"binary\"";
    const EXAMPLE: &'static str = "\"float64\"";

    fn from_json(json: &Json) -> Option<Self> {
        let types =
            [DataType::Bool, DataType::Int64, DataType::Float64, DataType::Utf8, DataType::Timestamp, DataType::Binary];
        let name = json.as_str()?;
        types.into_iter().find(|data_type| data_type.to_string() == name).map(Self)
    }
}

/// What becomes of a value that cannot be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Param)]
pub enum Invalid {
    /// Null.
    Null,
    /// Its row is rejected.
    Reject,
}

impl BatchTransform for Cast {
    type Params = Settings;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let Settings { to: Type(to), rounding, invalid } = settings;
        if let Some(field) = offered.iter().find(|field| !convert::converts(field.data_type, to)) {
            return Err(Error::new(format!("the column {field} cannot be converted to {to}")));
        }
        if offered.is_empty() {
            return Err(Error::new("expected at least one column, for example `input = [\"price\"]`"));
        }
        let output = |field: &Field| Field {
            data_type: to,
            nullable: field.nullable || (invalid == Invalid::Null && convert::may_fail(field.data_type, to)),
            ..field.clone()
        };
        let schemas = Schemas { input: offered.to_vec(), output: offered.iter().map(output).collect() };
        Ok((Self { to, rounding, invalid, columns: offered.to_vec() }, schemas))
    }

    fn apply(&self, input: Batch) -> Result<Output, Error> {
        let mut columns = Vec::with_capacity(input.columns.len());
        let mut failed: Vec<Option<&Field>> = vec![None; input.rows];
        for (field, column) in self.columns.iter().zip(&input.columns) {
            let mut builder = AnyBuilder::new(self.to);
            let mut bytes = Vec::new();
            for (row, failed) in failed.iter_mut().enumerate() {
                let value = if column.is_null(row) { None } else { Some(Scalar::read(&column.buffer, row)?) };
                let converted = value.as_ref().and_then(|value| value.convert(self.to, self.rounding));
                if value.is_some() && converted.is_none() && failed.is_none() {
                    *failed = Some(field);
                }
                bytes.clear();
                match &converted {
                    Some(converted) => {
                        converted.encode(&mut bytes);
                        builder.push(Some(&bytes))?;
                    }
                    None => builder.push(None)?,
                }
            }
            let mut converted = builder.finish();
            // What remains null is in rows that are rejected, and their values count for nothing.
            if self.invalid == Invalid::Reject && !field.nullable {
                converted.validity = None;
            }
            columns.push(converted);
        }
        Ok(self.judge(Batch { rows: input.rows, columns }, &failed))
    }
}

impl Cast {
    /// Rejects the rows with a value that could not be converted, if that is what becomes of them.
    fn judge(&self, rows: Batch, failed: &[Option<&Field>]) -> Output {
        let mut output = Output { rows, ..Output::default() };
        if self.invalid == Invalid::Null || failed.iter().all(Option::is_none) {
            return output;
        }
        for (row, field) in failed.iter().enumerate() {
            if let Some(field) = field {
                let message = format!("the value of {field} cannot be converted to {}", self.to);
                output.rejections.push((row as u32, Reject::new("not_convertible", message)));
            }
        }
        let verdict = |failed: &Option<&Field>| if failed.is_some() { Verdict::Reject } else { Verdict::Keep };
        output.verdicts = Some(failed.iter().map(verdict).collect());
        output
    }
}

#[cfg(test)]
mod tests;
