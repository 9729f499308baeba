//! The standard plugin `string`.

use oast_sdk::schema::only;
use oast_sdk::{
    Batch, BatchTransform, Blobs, Buffer, Column, DataType, Error, Field, Output, Param, Params, Schemas,
    batch_transform,
};

mod operation;

use operation::Operation;

/// One operation on a text.
///
/// - `"lower"`, `"upper"`: Unicode's case mapping, without regard to language
/// - `"trim"`: without white space at both ends
/// - `"normalise"`: lower case, trimmed, every run of white space inside one space
/// - `"length"`: how many characters (Unicode scalar values); `"bytes"`: how many bytes of UTF-8
/// - `"matches"`: whether `pattern` occurs in the text
/// - `"extract"`: the first place where `pattern` occurs, or `group` of it; null when it does not
/// - `"replace"`: every place where `pattern` occurs becomes `with`, in which `$1` and `${name}` stand for groups
///
/// The result is the column `text` (utf8), `length` (int64) or `matches` (bool), and null for null. Patterns are
/// regular expressions without look-around and back-references, so that matching takes time in proportion to the text:
/// Thompson, *Regular Expression Search Algorithm*, CACM 11 (1968), as the crate `regex-lite` has it. In them `\d`,
/// `\w` and `\s` mean ASCII.
#[batch_transform]
#[derive(Debug)]
pub struct Text {
    operation: Operation,
}

/// The parameters of [`Text`].
#[derive(Debug, Params)]
pub struct Settings {
    /// What to do.
    #[param(example = "normalise")]
    op: Name,
    /// For `"matches"`, `"extract"` and `"replace"`: the regular expression.
    #[param(example = "^N[0-9]+")]
    pattern: Option<String>,
    /// For `"extract"`: the number of the group; when absent the first if there is one, else the whole match.
    #[param(range = 0..=100, example = 1)]
    group: Option<u32>,
    /// For `"replace"`: what comes instead.
    with: Option<String>,
}

/// The name of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Param)]
pub enum Name {
    /// To lower case.
    Lower,
    /// To upper case.
    Upper,
    /// Without white space around it.
    Trim,
    /// Lower case and single spaces.
    Normalise,
    /// The number of characters.
    Length,
    /// The number of bytes.
    Bytes,
    /// Whether a pattern occurs.
    Matches,
    /// What a pattern matches.
    Extract,
    /// Something else for what a pattern matches.
    Replace,
}

impl BatchTransform for Text {
    type Params = Settings;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let field = only(offered)?;
        if field.data_type != DataType::Utf8 {
            return Err(Error::new(format!("expected a column of utf8, got {field}")));
        }
        let operation = Operation::new(&settings)?;
        let (name, data_type) = match operation {
            Operation::Length | Operation::Bytes => ("length", DataType::Int64),
            Operation::Matches(_) => ("matches", DataType::Bool),
            _ => ("text", DataType::Utf8),
        };
        let nullable = field.nullable || matches!(operation, Operation::Extract(..));
        let output = Field { nullable, ..Field::new(name, data_type) };
        Ok((Self { operation }, Schemas { input: vec![field.clone()], output: vec![output] }))
    }

    fn apply(&self, input: Batch) -> Result<Output, Error> {
        let column = input.column(0)?;
        let Buffer::Utf8(texts) = &column.buffer else {
            return Err(Error::new(format!("a column of {} was not agreed", column.buffer.data_type())));
        };
        let texts: Vec<Option<&str>> = (0..input.rows)
            .map(|row| if column.is_null(row) { Ok(None) } else { std::str::from_utf8(texts.get(row)).map(Some) })
            .collect::<Result<_, _>>()
            .map_err(|error| Error::new(format!("a column of utf8 is not: {error}")))?;
        let of = |text: &Option<&str>, number: fn(&str) -> i64| text.map_or(0, number);
        let mut validity: Vec<u8> = texts.iter().map(|text| text.is_some().into()).collect();
        let buffer = match &self.operation {
            Operation::Length => {
                Buffer::Int64s(texts.iter().map(|text| of(text, |text| text.chars().count() as i64)).collect())
            }
            Operation::Bytes => Buffer::Int64s(texts.iter().map(|text| of(text, |text| text.len() as i64)).collect()),
            Operation::Matches(pattern) => {
                Buffer::Bools(texts.iter().map(|text| text.is_some_and(|text| pattern.is_match(text)).into()).collect())
            }
            operation => {
                let mut results = Blobs::with_capacity(input.rows);
                for (text, valid) in texts.iter().zip(&mut validity) {
                    let result = text.and_then(|text| operation.text(text));
                    *valid = result.is_some().into();
                    results.push(result.as_deref().unwrap_or_default().as_bytes());
                }
                Buffer::Utf8(results)
            }
        };
        let validity = validity.contains(&0).then_some(validity);
        let rows = Batch { rows: input.rows, columns: vec![Column { buffer, validity }] };
        Ok(Output { rows, ..Output::default() })
    }
}

#[cfg(test)]
mod tests;
