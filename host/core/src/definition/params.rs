use toml::{de::DeValue, value::Datetime};

use super::{
    reader::{Checked, Node, all},
    scalar,
};

/// The parameters of a plugin as canonical JSON: keys sorted, no white space, floats with a fraction or an exponent,
/// moments as RFC 3339 in UTC.
pub(super) fn read(params: Node<'_>) -> Checked<String> {
    match params.value {
        DeValue::Table(_) => json(params),
        _ => Err(params.wrong_type("a table")),
    }
}

fn json(node: Node<'_>) -> Checked<String> {
    match node.value {
        DeValue::String(text) => Ok(quoted(text)),
        DeValue::Integer(_) => scalar::int64(node).map(|value| value.to_string()),
        DeValue::Float(_) => scalar::float64(node).map(|value| serde_json::Value::from(value).to_string()),
        DeValue::Boolean(value) => Ok(value.to_string()),
        DeValue::Datetime(datetime) => date_or_time(node, *datetime).map(|text| quoted(&text)),
        DeValue::Array(_) => Ok(format!("[{}]", all(node.items()?.into_iter().map(json))?.join(","))),
        DeValue::Table(_) => object(node),
    }
}

fn object(node: Node<'_>) -> Checked<String> {
    let members =
        node.entries()?.into_iter().map(|(name, value)| Ok(format!("{}:{}", quoted(name.text), json(value)?)));
    Ok(format!("{{{}}}", all(members)?.join(",")))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A moment in UTC; a date or a time of day alone stays what it is.
fn date_or_time(node: Node<'_>, datetime: Datetime) -> Checked<String> {
    if datetime.date.is_some() && datetime.time.is_some() {
        scalar::timestamp(node).map(|moment| moment.to_string())
    } else {
        Ok(scalar::with_seconds(datetime).to_string())
    }
}
