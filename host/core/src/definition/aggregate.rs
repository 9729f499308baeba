use std::collections::BTreeSet;

use super::{
    Aggregate, names,
    plugin::{self, owned},
    reader::{Checked, Keys, Node, Reported, Table, Text, all},
    view::Columns,
};
use crate::{TimeSpan, Window};

const KEYS: Keys = &[
    ("plugin", "plugin = \"moments\""),
    ("params", "params = { alpha = 0.5 }"),
    ("input", "input = [\"dep_delay\"]"),
    ("windows", "windows = [\"1h\", \"24h\", \"7d\"]"),
    ("hop", "hop = \"5m\""),
    ("outputs", "outputs = [\"count\", \"mean\"]"),
    ("name", "name = \"delay\""),
];

/// Reads the aggregates of a view, and checks that no two of them make one feature.
pub(super) fn read(node: Node<'_>, view: &str, columns: &Columns) -> Checked<Vec<Aggregate>> {
    let items = node.items()?;
    if items.is_empty() {
        return Err(node.error(format!("view `{view}` computes nothing: `aggregate` is empty")));
    }
    let aggregates = all(items.iter().map(|item| aggregate(*item, view, columns)))?;
    let mut made = BTreeSet::new();
    for (item, aggregate) in items.iter().zip(&aggregates) {
        let repeated = certain_features(aggregate).into_iter().find(|feature| !made.insert(feature.clone()));
        if let Some(feature) = repeated {
            let message = format!("feature `{feature}` of view `{view}` is made by an earlier aggregate too");
            item.place.error(message, "give one of the two another `name`");
        }
    }
    Ok(aggregates)
}

fn aggregate(node: Node<'_>, view: &str, columns: &Columns) -> Checked<Aggregate> {
    let table = node.table(format!("an aggregate of view `{view}`"), KEYS)?;
    let input = table.required("input", Node::texts).map(Some);
    let binding = plugin::read(&table, input, Ok(None));
    let name = table.optional("name", |node| names::check_name(node.text()?, "an aggregate"));
    let outputs = table.optional("outputs", Node::some_texts);
    let windows = windows(&table, view);
    let binding = binding?;
    let input = binding.input.unwrap_or_default();
    all(input.iter().map(|column| columns.check(*column, view)))?;
    let name = match (name?, input.first()) {
        (Some(name), _) => name,
        (None, Some(first)) => first.text.to_owned(),
        (None, None) => return Err(table.place.error("an aggregate without input has no name", "add `name = \"…\"`")),
    };
    let outputs = outputs?.as_deref().map(owned);
    Ok(Aggregate { plugin: binding.plugin, name, windows: windows?, outputs })
}

/// Reads `windows` and `hop`.
fn windows(table: &Table<'_>, view: &str) -> Checked<Vec<(String, Window)>> {
    let hop = table.optional("hop", Node::some_time_span);
    let windows = table.required("windows", |node| {
        let texts = node.some_texts()?;
        let hop = hop?;
        all(texts.iter().map(|text| Ok((*text, window(*text, hop)?))))
    })?;
    let unique =
        windows.iter().enumerate().map(|(index, (text, window))| {
            match windows[..index].iter().find(|(_, other)| other == window) {
                Some((other, _)) => Err(text
                    .error(format!("`{}` is the same window as `{}`", text.text, other.text), "remove one of the two")),
                None => Ok((text.text.to_owned(), *window)),
            }
        });
    let unique = all(unique)?;
    if let Some(hop) = table.get("hop")?
        && unique.iter().all(|(_, window)| window.hop().is_none())
    {
        let message = format!("an aggregate of view `{view}` has a hop and no window that moves in hops");
        return Err(hop.place.error(message, "remove `hop`, or add a window with a length, for example `24h`"));
    }
    Ok(unique)
}

fn window(text: Text<'_>, hop: Option<TimeSpan>) -> Checked<Window> {
    if text.text == "lifetime" {
        return Ok(Window::Lifetime);
    }
    if let Some(events) = text.text.strip_prefix("last_") {
        return last(text, events);
    }
    if let Some(gap) = text.text.strip_prefix("session_") {
        return session(text, gap);
    }
    let length: TimeSpan = text.text.parse().map_err(|_| {
        let hint = "write a whole number and a unit (us, ms, s, m, h or d), for example `24h`; or `lifetime`, `last_10`, \
                    `session_30m`";
        no_window(text, hint.to_owned())
    })?;
    let default = Window::sawtooth(length);
    let window = hop.map_or(default, |hop| Window::Sawtooth { length, hop });
    match window.hop() {
        _ if length.as_micros() == 0 => Err(text.error("a window cannot be empty", "write for example `24h`")),
        Some(used) if used > length => {
            let which = if hop.is_some() { "" } else { "default " };
            let message = format!("window `{}` is shorter than its {which}hop `{used}`", text.text);
            Err(text.error(message, format!("set `hop = \"{}\"` or shorter, or make the window longer", text.text)))
        }
        _ => Ok(window),
    }
}

/// `last_10`: the newest events.
fn last(text: Text<'_>, events: &str) -> Checked<Window> {
    // A sign is no digit, though numbers are parsed with one.
    let events = Some(events).filter(|events| events.bytes().all(|byte| byte.is_ascii_digit()));
    match events.and_then(|events| events.parse().ok()) {
        Some(events @ 1..=Window::LAST_MAX) => Ok(Window::Last { events }),
        _ => {
            let max = Window::LAST_MAX;
            Err(no_window(text, format!("write `last_` and how many events, from 1 to {max}, for example `last_10`")))
        }
    }
}

/// `session_30m`: the events since the last pause of more than the gap.
fn session(text: Text<'_>, gap: &str) -> Checked<Window> {
    match gap.parse::<TimeSpan>() {
        Ok(gap) if gap.as_micros() > 0 => Ok(Window::Session { gap }),
        _ => {
            let hint = "write `session_` and the longest pause within a session, for example `session_30m`";
            Err(no_window(text, hint.to_owned()))
        }
    }
}

fn no_window(text: Text<'_>, hint: String) -> Reported {
    text.error(format!("`{}` is not a window", text.text), hint)
}

/// The features whose names are certain before the plugin is resolved.
pub(super) fn certain_features(aggregate: &Aggregate) -> Vec<String> {
    let outputs = aggregate.outputs.iter().flatten();
    let names =
        outputs.flat_map(|output| aggregate.windows.iter().map(|(window, _)| aggregate.feature_name(output, window)));
    names.collect()
}

/// Whether the plugin, whose outputs are not known yet, may have one that makes this feature.
pub(super) fn may_make(aggregate: &Aggregate, feature: &str) -> bool {
    let Some(rest) = feature.strip_prefix(&aggregate.name).and_then(|rest| rest.strip_prefix('_')) else {
        return false;
    };
    let ends = |window: &str| {
        rest.strip_suffix(window).and_then(|rest| rest.strip_suffix('_')).is_some_and(|output| !output.is_empty())
    };
    aggregate.outputs.is_none() && aggregate.windows.iter().any(|(window, _)| ends(window))
}
