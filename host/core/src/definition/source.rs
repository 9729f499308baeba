use std::collections::BTreeMap;

use super::{
    Check, Source, field, names,
    reader::{Checked, Keys, Node, Table, Text, all},
    scalar,
};
use crate::{DataType, Field, Schema, TimeSpan, Value};

pub(super) const KEYS: Keys = &[
    ("keys", "keys = { carrier = \"utf8\" }"),
    ("event_time", "event_time = \"dep_time\""),
    ("available_time", "available_time = \"arrived_at\""),
    ("idempotency_key", "idempotency_key = \"flight_id\""),
    ("fields", "fields = { distance = \"float64\", dep_delay = \"float64?\" }"),
    ("retention", "retention = \"400d\""),
    ("max_future", "max_future = \"1d\""),
    ("check", "[[source.departures.check]]"),
];

const CHECK_KEYS: Keys = &[
    ("field", "field = \"dep_delay\""),
    ("min", "min = -120.0"),
    ("max", "max = 3000.0"),
    ("one_of", "one_of = [\"AA\", \"UA\"]"),
];

/// How far ahead of the log's clock an event time may lie if the definition does not say.
const MAX_FUTURE: TimeSpan = TimeSpan::from_days(1);

/// Reads and checks a source.
pub(super) fn read(name: Text<'_>, table: &Table<'_>) -> Checked<Source> {
    let checked_name = names::check_name(name, "a source");
    let columns = Columns::read(table);
    let retention = table.optional("retention", Node::some_time_span);
    let max_future = table.optional("max_future", Node::time_span);
    let columns = columns?;
    let idempotency_key = table.optional("idempotency_key", |node| columns.idempotency_key(node));
    let checks = table.each("check", |node| check(node, name.text, &columns.schema));
    Ok(Source {
        name: checked_name?,
        location: table.place.location(),
        keys: columns.keys,
        event_time: columns.event_time,
        available_time: columns.available_time,
        idempotency_key: idempotency_key?,
        retention: retention?,
        max_future: max_future?.unwrap_or(MAX_FUTURE),
        checks: checks?,
        schema: columns.schema,
    })
}

/// The columns of a source and the parts that some of them play.
struct Columns {
    schema: Schema,
    keys: Vec<String>,
    event_time: String,
    available_time: Option<String>,
}

impl Columns {
    fn read(table: &Table<'_>) -> Checked<Self> {
        let keys = table.required("keys", keys);
        let fields = table.optional("fields", field::read);
        let event_time = table.required("event_time", Node::text);
        let available_time = table.optional("available_time", Node::text);
        let (keys, fields) = (keys?, fields?.unwrap_or_default());
        let (event_time, available_time) = (event_time?, available_time?);

        let key_names = keys.iter().map(|(name, _)| name.text.to_owned()).collect();
        let mut columns = BTreeMap::new();
        let declared = keys.into_iter().chain(fields);
        let added = declared.map(|(name, field)| add(&mut columns, name, field, event_time.text));
        all(added)?;
        let other_time = available_time.filter(|name| name.text != event_time.text);
        let times = std::iter::once(event_time).chain(other_time);
        all(times.map(|name| add_time(&mut columns, name, event_time.text)))?;
        Ok(Self {
            schema: Schema::new(columns.into_values().collect())
                .expect("a map has each name once, and names were checked"),
            keys: key_names,
            event_time: event_time.text.to_owned(),
            available_time: available_time.map(|name| name.text.to_owned()),
        })
    }

    fn idempotency_key(&self, node: Node<'_>) -> Checked<String> {
        let name = node.text()?;
        let Some(field) = self.schema.field(name.text) else {
            let hint = format!("add it to the fields: `fields = {{ {} = \"utf8\" }}`", name.text);
            return Err(name.error(format!("idempotency key `{}` is not a column of the source", name.text), hint));
        };
        if field.nullable || !field.data_type.can_be_key() {
            let message = format!("idempotency key `{}` is {}", name.text, field.type_name());
            return Err(name.error(message, "make it bool, int64, utf8, binary or timestamp, and not nullable"));
        }
        Ok(name.text.to_owned())
    }
}

/// The join keys: at least one, none nullable, all of types that can be compared exactly.
fn keys(node: Node<'_>) -> Checked<Vec<(Text<'_>, Field)>> {
    let keys = field::read(node)?;
    if keys.is_empty() {
        return Err(node.error("a source needs at least one join key"));
    }
    let checked = keys.into_iter().map(|(name, field)| {
        if !field.data_type.can_be_key() {
            let message = format!("join key `{}` is {}, which cannot be a key", name.text, field.type_name());
            return Err(name.error(message, "make it bool, int64, utf8, binary or timestamp"));
        }
        if field.nullable {
            let message = format!("join key `{}` is nullable", name.text);
            return Err(name.error(message, format!("write `{} = \"{}\"`", name.text, field.data_type)));
        }
        Ok((name, field))
    });
    all(checked)
}

fn add(columns: &mut BTreeMap<String, Field>, name: Text<'_>, field: Field, event_time: &str) -> Checked<()> {
    names::check_source_column(name, event_time)?;
    if columns.insert(name.text.to_owned(), field).is_some() {
        let message = format!("column `{}` is declared in both `keys` and `fields`", name.text);
        return Err(name.error(message, "leave it in `keys` only: every key is a column"));
    }
    Ok(())
}

/// Checks the type of a time column, which need not be listed in `fields`.
fn add_time(columns: &mut BTreeMap<String, Field>, name: Text<'_>, event_time: &str) -> Checked<()> {
    names::check_source_column(name, event_time)?;
    let time = Field::new(name.text, DataType::Timestamp);
    let field = columns.entry(name.text.to_owned()).or_insert_with(|| time.clone());
    if *field == time {
        return Ok(());
    }
    let message = format!("time column `{}` is declared as {}", name.text, field.type_name());
    Err(name.error(message, format!("declare it as `{} = \"timestamp\"`, or leave it out of `fields`", name.text)))
}

/// Reads one gate of the source of this name.
fn check(node: Node<'_>, source: &str, schema: &Schema) -> Checked<Check> {
    let table = node.table(format!("a check of source `{source}`"), CHECK_KEYS)?;
    let field = table.required("field", |node| column(node, source, schema))?;
    let min = table.optional("min", |node| bound(node, field));
    let max = table.optional("max", |node| bound(node, field));
    let one_of = table.optional("one_of", |node| choices(node, field));
    let (min, max, one_of) = (min?, max?, one_of?);
    if min.is_none() && max.is_none() && one_of.is_none() {
        let message = format!("the check of `{}` checks nothing", field.name);
        return Err(table.place.error(message, "add `min`, `max` or `one_of`"));
    }
    if let (Some(low), Some(high)) = (&min, &max)
        && is_above(low, high)
    {
        let message = format!("no value of `{}` can pass: `min` is above `max`", field.name);
        return Err(table.place.error(message, "exchange the two"));
    }
    Ok(Check { field: field.name.clone(), min, max, one_of })
}

fn column<'s>(node: Node<'_>, source: &str, schema: &'s Schema) -> Checked<&'s Field> {
    let name = node.text()?;
    schema.field(name.text).ok_or_else(|| {
        let known = schema.fields().iter().map(|field| field.name.as_str());
        let message = format!("`{}` is not a column of source `{source}`", name.text);
        name.error(message, names::suggest(name.text, "columns", known))
    })
}

fn bound(node: Node<'_>, field: &Field) -> Checked<Value> {
    if !matches!(field.data_type, DataType::Int64 | DataType::Float64 | DataType::Timestamp) {
        let message = format!("`{}` does not apply to `{}`, which is {}", node.key, field.name, field.data_type);
        return Err(node.place.error(message, "only int64, float64 and timestamp have bounds; `one_of` lists values"));
    }
    value(node, field)
}

fn choices(node: Node<'_>, field: &Field) -> Checked<Vec<Value>> {
    let items = node.items()?;
    if items.is_empty() {
        return Err(node.error("no value can pass: `one_of` is empty"));
    }
    all(items.into_iter().map(|item| value(item, field)))
}

fn value(node: Node<'_>, field: &Field) -> Checked<Value> {
    match field.data_type {
        DataType::Bool => node.value.as_bool().map(Value::Bool).ok_or_else(|| node.wrong_type("a boolean")),
        DataType::Int64 => scalar::int64(node).map(Value::Int64),
        DataType::Float64 => scalar::float64(node).map(Value::Float64),
        DataType::Utf8 => node.text().map(|text| Value::Utf8(text.text.to_owned())),
        DataType::Timestamp => scalar::timestamp(node).map(Value::Timestamp),
        DataType::Binary | DataType::Vector(_) => {
            let message = format!("`{}` does not apply to `{}`, which is {}", node.key, field.name, field.data_type);
            Err(node.place.error(message, "a check needs a column of another type"))
        }
    }
}

fn is_above(low: &Value, high: &Value) -> bool {
    match (low, high) {
        (Value::Int64(low), Value::Int64(high)) => low > high,
        (Value::Float64(low), Value::Float64(high)) => low > high,
        (Value::Timestamp(low), Value::Timestamp(high)) => low > high,
        _ => false,
    }
}
