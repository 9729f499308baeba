//! The standard plugin `json-extract`.

use oast_sdk::schema::only;
use oast_sdk::{
    AnyBuilder, Batch, BatchTransform, Buffer, DataType, Error, Field, Json, Output, Param, Params, Reject, Schemas,
    Verdict, batch_transform,
};

/// Takes one value out of a text in JSON.
///
/// `pointer` says where it is, after RFC 6901: `"/user/tags/0"` is the first element of the list `tags` of the object
/// `user`, `""` the whole text; `~1` and `~0` stand for `/` and `~` in a name. What is there must be of the type asked
/// for: true or false for bool; a number without a fraction in the range of int64 for int64; any number for float64;
/// for utf8 a text, or anything else but null as compact JSON with names in the order of their bytes. The result is
/// null when there is nothing, null or something of another type, and when the text is null.
///
/// A text that is not JSON (RFC 8259), or is nested deeper than 64, gives null, or its row is rejected if `invalid` is
/// `"reject"`. Of a name that occurs twice in an object, the last counts.
#[batch_transform]
#[derive(Debug)]
pub struct JsonExtract {
    pointer: Pointer,
    to: DataType,
    invalid: Invalid,
}

/// The parameters of [`JsonExtract`].
#[derive(Debug, Params)]
pub struct Settings {
    /// Where the value is.
    pointer: Pointer,
    /// Its type.
    #[param(rename = "type")]
    to: Type,
    /// What becomes of a text that is not JSON: `"null"`, which is the default, or `"reject"`, which rejects the row
    /// with the code `not_json`.
    #[param(default = Invalid::Null)]
    invalid: Invalid,
}

/// The deepest nesting, so that a hostile text cannot exhaust the stack of a component.
const DEPTH_MAX: usize = 64;

/// A place in a JSON text.
#[derive(Debug)]
pub struct Pointer(String);

impl Param for Pointer {
    const EXPECTED: &'static str = "a JSON pointer, which is empty or begins with `/`";
    const EXAMPLE: &'static str = "\"/user/name\"";

    fn from_json(json: &Json) -> Option<Self> {
        let pointer = json.as_str().filter(|pointer| pointer.is_empty() || pointer.starts_with('/'))?;
        Some(Self(pointer.to_owned()))
    }
}

/// A type that a value may be taken out as.
#[derive(Debug, Clone, Copy)]
pub struct Type(DataType);

impl Param for Type {
    const EXPECTED: &'static str = "one of \"bool\", \"int64\", \"float64\", \"utf8\"";
    const EXAMPLE: &'static str = "\"utf8\"";

    fn from_json(json: &Json) -> Option<Self> {
        let types = [DataType::Bool, DataType::Int64, DataType::Float64, DataType::Utf8];
        let name = json.as_str()?;
        types.into_iter().find(|data_type| data_type.to_string() == name).map(Self)
    }
}

/// What becomes of a text that is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Param)]
pub enum Invalid {
    /// Null.
    Null,
    /// Its row is rejected.
    Reject,
}

impl BatchTransform for JsonExtract {
    type Params = Settings;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let field = only(offered)?;
        if field.data_type != DataType::Utf8 {
            return Err(Error::new(format!("expected a column of utf8, got {field}")));
        }
        let Settings { pointer, to: Type(to), invalid } = settings;
        let output = Field::new("extracted", to).nullable();
        Ok((Self { pointer, to, invalid }, Schemas { input: vec![field.clone().nullable()], output: vec![output] }))
    }

    fn apply(&self, input: Batch) -> Result<Output, Error> {
        let column = input.column(0)?;
        let Buffer::Utf8(texts) = &column.buffer else {
            return Err(Error::new(format!("a column of {} was not agreed", column.buffer.data_type())));
        };
        let mut extracted = AnyBuilder::new(self.to);
        let mut output = Output::default();
        let mut verdicts = vec![Verdict::Keep; input.rows];
        for (row, verdict) in verdicts.iter_mut().enumerate() {
            if column.is_null(row) {
                extracted.push(None)?;
                continue;
            }
            let text = std::str::from_utf8(texts.get(row))
                .map_err(|error| Error::new(format!("a column of utf8 is not: {error}")))?;
            match parse(text) {
                Ok(json) => extracted.push(self.extract(&json).as_deref())?,
                Err(why) => {
                    extracted.push(None)?;
                    if self.invalid == Invalid::Reject {
                        *verdict = Verdict::Reject;
                        let reject = Reject::new("not_json", format!("the text is not JSON: {why}"));
                        output.rejections.push((row as u32, reject));
                    }
                }
            }
        }
        output.rows = Batch { rows: input.rows, columns: vec![extracted.finish()] };
        output.verdicts = (!output.rejections.is_empty()).then_some(verdicts);
        Ok(output)
    }
}

impl JsonExtract {
    /// The bytes of the value, as a column holds them.
    fn extract(&self, json: &Json) -> Option<Vec<u8>> {
        let value = json.pointer(&self.pointer.0).filter(|value| !value.is_null())?;
        match self.to {
            DataType::Bool => value.as_bool().map(|value| vec![value.into()]),
            DataType::Int64 => value.as_i64().map(|value| value.to_le_bytes().into()),
            DataType::Float64 => value.as_f64().map(|value| value.to_le_bytes().into()),
            _ => Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned).into_bytes()),
        }
    }
}

fn parse(text: &str) -> Result<Json, String> {
    if depth(text) > DEPTH_MAX {
        return Err(format!("it is nested deeper than {DEPTH_MAX}"));
    }
    text.parse::<Json>().map_err(|error| error.to_string())
}

/// How deep lists and objects are nested, in a text that may not be JSON.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests;
