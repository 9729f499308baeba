//! Columns by name and type.

use std::fmt;

use crate::Error;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    /// `bool`.
    Bool,
    /// `i64`.
    Int64,
    /// `f64`.
    Float64,
    /// `String` or `&str`.
    Utf8,
    /// `Vec<u8>` or `&[u8]`.
    Binary,
    /// [`Timestamp`].
    Timestamp,
    /// `[f32; N]`: this many singles a row.
    Vector(u32),
}

impl fmt::Display for DataType {
    /// Writes the type as definitions spell it, for example `float64` or `vector[8]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int64 => f.write_str("int64"),
            Self::Float64 => f.write_str("float64"),
            Self::Utf8 => f.write_str("utf8"),
            Self::Binary => f.write_str("binary"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Vector(width) => write!(f, "vector[{width}]"),
        }
    }
}

/// Microseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A named, typed column of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The column's name, unique in its schema.
    pub name: String,
    /// The column's type.
    pub data_type: DataType,
    /// Whether a row may hold null.
    pub nullable: bool,
}

impl Field {
    /// A column of this name and type that holds no nulls.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self { name: name.into(), data_type, nullable: false }
    }

    /// The same column, with nulls allowed.
    #[must_use]
    pub fn nullable(self) -> Self {
        Self { nullable: true, ..self }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let null = if self.nullable { "?" } else { "" };
        write!(f, "`{}` ({}{null})", self.name, self.data_type)
    }
}

/// The columns that go into a plugin and those that come out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schemas {
    /// The columns to hand over with every call, in this order.
    pub input: Vec<Field>,
    /// The columns that come back, in this order.
    pub output: Vec<Field>,
}

/// The name of the input column that stands for the time of each event and is never bound by position.
pub const EVENT_TIME: &str = "event_time";

/// Finds a column by name; the error lists the columns at hand.
pub fn find<'a>(offered: &'a [Field], name: &str) -> Result<&'a Field, Error> {
    offered
        .iter()
        .find(|field| field.name == name)
        .ok_or_else(|| Error::new(format!("there is no column `{name}`; at hand: {}", list(offered))))
}

/// Takes the one column that an aggregate over a single column was offered.
pub fn only(offered: &[Field]) -> Result<&Field, Error> {
    match offered {
        [field] => Ok(field),
        _ => Err(Error::new(format!(
            "expected one input column, for example `input = [\"price\"]`; got {}",
            list(offered)
        ))),
    }
}

/// The columns as a person reads them in an error: `a` (int64), `b` (utf8?).
pub(crate) fn list(fields: &[Field]) -> String {
    if fields.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<String> = fields.iter().map(Field::to_string).collect();
    names.join(", ")
}
