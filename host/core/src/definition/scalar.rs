use toml::{
    de::DeValue,
    value::{Datetime, Time},
};

use super::reader::{Checked, Node};
use crate::Timestamp;

/// An integer that fits 64 bits.
pub(super) fn int64(node: Node<'_>) -> Checked<i64> {
    let DeValue::Integer(integer) = node.value else { return Err(node.wrong_type("an integer")) };
    let value = i64::from_str_radix(integer.as_str(), integer.radix());
    value.map_err(|_| {
        let hint = format!("write a number from {} to {}, or a float", i64::MIN, i64::MAX);
        node.place.error(format!("{integer} does not fit 64 bits"), hint)
    })
}

/// A float that is neither NaN nor infinite, or an integer that stands for one.
pub(super) fn float64(node: Node<'_>) -> Checked<f64> {
    let text = match node.value {
        DeValue::Float(float) => float.as_str(),
        DeValue::Integer(_) => return int64(node).map(|value| value as f64),
        _ => return Err(node.wrong_type("a float")),
    };
    let finite = text.parse::<f64>().ok().filter(|value| value.is_finite());
    finite.ok_or_else(|| {
        let hint = "write a number that a float64 can hold, or leave the key out";
        node.place.error(format!("`{}` is {text}, which is not a finite number", node.key), hint)
    })
}

/// A moment, as a string or as a TOML datetime.
pub(super) fn timestamp(node: Node<'_>) -> Checked<Timestamp> {
    let text = match node.value {
        DeValue::String(text) => text.to_string(),
        DeValue::Datetime(datetime) => with_seconds(*datetime).to_string(),
        _ => return Err(node.wrong_type("a time")),
    };
    let hint = "write RFC 3339, for example `2013-01-01T05:00:00Z`";
    text.parse().map_err(|_| node.place.error(format!("`{text}` is not a time"), hint))
}

/// The same with its seconds, which TOML lets one leave out and RFC 3339 does not.
pub(super) fn with_seconds(datetime: Datetime) -> Datetime {
    let time = datetime.time.map(|time| Time { second: time.second.or(Some(0)), ..time });
    Datetime { time, ..datetime }
}
