use std::{collections::BTreeSet, fmt, str::FromStr};

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    /// True or false.
    Bool,
    /// A signed 64-bit integer.
    Int64,
    /// An IEEE 754 double; every NaN is the canonical quiet NaN.
    Float64,
    /// UTF-8 text.
    Utf8,
    /// Bytes without a meaning of their own.
    Binary,
    /// Microseconds since the Unix epoch, UTC.
    Timestamp,
    /// An embedding: this many IEEE 754 singles a row.
    Vector(u32),
}

/// A text that names no type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a type: expected bool, int64, float64, utf8, binary, timestamp or vector[N], with `?` for nullable"
)]
pub struct TypeParseError(String);

impl DataType {
    /// Whether a column of this type can be a join key. Floats cannot: two that print alike may differ.
    pub fn can_be_key(self) -> bool {
        !matches!(self, Self::Float64 | Self::Vector(_))
    }
}

impl fmt::Display for DataType {
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

impl FromStr for DataType {
    type Err = TypeParseError;

    fn from_str(text: &str) -> Result<Self, TypeParseError> {
        let width =
            |text: &str| text.strip_prefix("vector[")?.strip_suffix(']')?.parse().ok().filter(|width| *width > 0);
        match text {
            "bool" => Ok(Self::Bool),
            "int64" => Ok(Self::Int64),
            "float64" => Ok(Self::Float64),
            "utf8" => Ok(Self::Utf8),
            "binary" => Ok(Self::Binary),
            "timestamp" => Ok(Self::Timestamp),
            _ => width(text).map(Self::Vector).ok_or_else(|| TypeParseError(text.to_owned())),
        }
    }
}

/// A named, typed column of a schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// The column's name.
    pub name: String,
    /// The column's type.
    pub data_type: DataType,
    /// Whether a row may hold null.
    pub nullable: bool,
}

impl Field {
    /// A field that holds a value in every row.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self { name: name.into(), data_type, nullable: false }
    }

    /// A field that may hold null.
    pub fn nullable(name: impl Into<String>, data_type: DataType) -> Self {
        Self { nullable: true, ..Self::new(name, data_type) }
    }

    /// The type as definitions write it, with `?` when the field is nullable.
    pub fn type_name(&self) -> String {
        format!("{}{}", self.data_type, if self.nullable { "?" } else { "" })
    }

    /// Reads a type as definitions write it, `float64?` say, for a field of this name.
    pub fn parse(name: impl Into<String>, type_name: &str) -> Result<Self, TypeParseError> {
        let (data_type, nullable) = match type_name.strip_suffix('?') {
            Some(data_type) => (data_type, true),
            None => (type_name, false),
        };
        let data_type = data_type.parse().map_err(|_| TypeParseError(type_name.to_owned()))?;
        Ok(Self { name: name.into(), data_type, nullable })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.type_name())
    }
}

/// Columns that cannot stand together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Two columns of one name.
    #[error("column `{0}` stands twice")]
    Duplicate(String),
    /// A column without a name.
    #[error("a column has no name")]
    Unnamed,
}

/// Columns in order, each name once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Schema(Vec<Field>);

impl Schema {
    /// A schema of these fields.
    pub fn new(fields: Vec<Field>) -> Result<Self, SchemaError> {
        let mut names = BTreeSet::new();
        for field in &fields {
            if field.name.is_empty() {
                return Err(SchemaError::Unnamed);
            }
            if !names.insert(field.name.as_str()) {
                return Err(SchemaError::Duplicate(field.name.clone()));
            }
        }
        Ok(Self(fields))
    }

    /// The fields in order.
    pub fn fields(&self) -> &[Field] {
        &self.0
    }

    /// How many columns there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where the column of this name stands.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|field| field.name == name)
    }

    /// The column of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.0.iter().find(|field| field.name == name)
    }

    /// The columns' names.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.iter().map(|field| field.name.as_str())
    }

    /// The columns' names, quoted and separated by commas, for error messages.
    pub fn names_quoted(&self) -> String {
        let names: Vec<_> = self.names().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_and_shown() {
        for text in ["bool", "int64", "float64?", "utf8", "binary?", "timestamp", "vector[384]", "vector[1]?"] {
            let field = Field::parse("x", text).expect(text);
            assert_eq!(field.type_name(), text);
        }
        for text in ["", "?", "float", "vector", "vector[]", "vector[0]", "vector[-1]", "float64??", "Utf8"] {
            assert_eq!(Field::parse("x", text), Err(TypeParseError(text.to_owned())));
        }
    }

    #[test]
    fn a_name_stands_once() {
        let twice = vec![Field::new("a", DataType::Bool), Field::new("a", DataType::Int64)];
        assert_eq!(Schema::new(twice), Err(SchemaError::Duplicate("a".to_owned())));
        assert_eq!(Schema::new(vec![Field::new("", DataType::Bool)]), Err(SchemaError::Unnamed));
    }
}
