use super::{
    names,
    reader::{Checked, Node, Reported, Text, all},
};
use crate::Field;

/// The columns that a table declares as `name = "type"`, sorted by name. The names are not checked.
pub(super) fn read(table: Node<'_>) -> Checked<Vec<(Text<'_>, Field)>> {
    let fields = table.entries()?.into_iter().map(|(name, node)| {
        let type_name = node.text()?;
        let field = Field::parse(name.text, type_name.text).map_err(|_| unknown_type(type_name))?;
        Ok((name, field))
    });
    all(fields)
}

fn unknown_type(name: Text<'_>) -> Reported {
    let known = ["bool", "int64", "float64", "utf8", "binary", "timestamp", "vector[N]"];
    let (bare, nullable) = name.text.strip_suffix('?').map_or((name.text, ""), |bare| (bare, "?"));
    let hint = match elsewhere(bare).or_else(|| names::nearest(bare, known)) {
        Some(meant) => format!("write `{meant}{nullable}`"),
        None => format!("{}; a `?` at the end allows null", names::list("types", known)),
    };
    name.error(format!("`{}` is not a type", name.text), hint)
}

/// What a type of another language or table format is called here.
fn elsewhere(name: &str) -> Option<&'static str> {
    match name.to_ascii_lowercase().as_str() {
        "boolean" => Some("bool"),
        "int" | "integer" | "i64" | "i32" | "int32" | "long" | "bigint" => Some("int64"),
        "float" | "double" | "f64" | "f32" | "float32" | "real" => Some("float64"),
        "string" | "str" | "text" | "varchar" => Some("utf8"),
        "bytes" | "blob" => Some("binary"),
        "datetime" | "date" | "time" => Some("timestamp"),
        name if name.starts_with("vector") || name == "embedding" => Some("vector[384]"),
        _ => None,
    }
}
