//! Which names are allowed, and which known name was probably meant by an unknown one.

use super::reader::{Checked, Text};

/// The column that stands for the time of each event, whatever the source calls it.
pub(super) const EVENT_TIME: &str = "event_time";

/// How many known names a hint lists at most.
const LISTED_NAMES: usize = 12;

fn is_name(text: &str, first: impl Fn(char) -> bool) -> bool {
    text.starts_with(|c| first(c) || c == '_') && text.chars().all(|c| first(c) || c == '_' || c.is_ascii_digit())
}

/// Checks the name of a source, view, service or aggregate: lower-case letters, digits and `_`.
pub(super) fn check_name(name: Text<'_>, kind: &str) -> Checked<String> {
    if is_name(name.text, |c| c.is_ascii_lowercase()) {
        return Ok(name.text.to_owned());
    }
    let message = format!("`{}` cannot name {kind}", name.text);
    let hint = format!("lower-case letters, digits and `_` can, for example `{}`", fitting(&name.text.to_lowercase()));
    Err(name.error(message, hint))
}

/// Checks the name of a column: letters of either case, digits and `_`.
fn check_letters(name: Text<'_>) -> Checked<()> {
    if is_name(name.text, |c| c.is_ascii_alphabetic()) {
        return Ok(());
    }
    let message = format!("`{}` cannot name a column", name.text);
    Err(name.error(message, format!("letters, digits and `_` can, for example `{}`", fitting(name.text))))
}

/// Checks the name of a column of a source, where `event_time` names the source's event time.
pub(super) fn check_source_column(name: Text<'_>, event_time: &str) -> Checked<()> {
    check_letters(name)?;
    if name.text == EVENT_TIME && event_time != EVENT_TIME {
        let hint = format!("rename the column, or make it the event time, which is `{event_time}`");
        return Err(name.error("only the event time can be called `event_time`", hint));
    }
    Ok(())
}

/// Checks the name of a column that a transform adds.
pub(super) fn check_column(name: Text<'_>) -> Checked<String> {
    check_letters(name)?;
    if name.text == EVENT_TIME {
        return Err(
            name.error("only the event time of a source can be called `event_time`", "give the column another name")
        );
    }
    Ok(name.text.to_owned())
}

/// Checks the name of a column that stands beside features in a dataset, where `__` parts a view from its feature.
pub(super) fn check_dataset_column(name: Text<'_>) -> Checked<String> {
    let column = check_column(name)?;
    if column.contains("__") {
        let message =
            format!("`{column}` could be taken for a feature, since `__` parts a view from its feature in a dataset");
        return Err(name.error(message, format!("use one `_`: `{}`", single_underscores(&column))));
    }
    Ok(column)
}

/// Checks the name of a view, which must be told from what follows it in `<view>__<feature>`.
pub(super) fn check_view_name(name: Text<'_>) -> Checked<String> {
    let view = check_name(name, "a view")?;
    if view.contains("__") || view.ends_with('_') {
        let message = format!("`{view}` cannot name a view, since `__` parts a view from its feature in a dataset");
        let example = single_underscores(&view);
        return Err(name.error(
            message,
            format!("use one `_` at a time and none at the end: `{}`", example.trim_end_matches('_')),
        ));
    }
    Ok(view)
}

fn single_underscores(text: &str) -> String {
    let mut shorter = text.to_owned();
    while shorter.contains("__") {
        shorter = shorter.replace("__", "_");
    }
    shorter
}

/// The name nearest to `text` that has the right characters.
fn fitting(text: &str) -> String {
    let fitting: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if fitting.starts_with(|c: char| c.is_ascii_digit()) || fitting.is_empty() {
        format!("_{fitting}")
    } else {
        fitting
    }
}

/// A hint for a name that is not among the `known` ones, `nouns` of some kind: the nearest one, or all of them.
pub fn suggest<'n>(name: &str, nouns: &str, known: impl IntoIterator<Item = &'n str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => list(nouns, known),
    }
}

/// All that could have been named, as far as it fits a line.
pub fn list<'n>(nouns: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    let mut known = known.into_iter();
    let listed: Vec<_> = known.by_ref().take(LISTED_NAMES).map(|name| format!("`{name}`")).collect();
    let more = if known.next().is_some() { ", …" } else { "" };
    if listed.is_empty() {
        format!("there are no {nouns}")
    } else {
        format!("the {nouns} are {}{more}", listed.join(", "))
    }
}

/// The known name with the fewest edits from `name`, if at most a third of its characters differ.
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let most = (name.chars().count() / 3).max(1);
    let is_close = |other: &&str| name.chars().count().abs_diff(other.chars().count()) <= most;
    let measured = known.into_iter().filter(is_close).map(|other| (edits(name, other), other));
    measured.filter(|(edits, _)| *edits <= most).min_by_key(|(edits, _)| *edits).map(|(_, other)| other)
}

/// How many characters to insert, remove, replace or exchange with their neighbour make one string of the other (the
/// optimal string alignment distance).
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut fewest = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                fewest = fewest.min(rows[i - 2][j - 2] + 1);
            }
            row.push(fewest);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested() {
        let check = |name, known: &[&str], expect: &str| {
            assert_eq!(suggest(name, "keys", known.iter().copied()), expect, "{name}");
        };
        check("windws", &["input", "windows"], "did you mean `windows`?");
        check("outptus", &["output", "outputs"], "did you mean `outputs`?");
        check("mni", &["max", "min"], "did you mean `min`?");
        check("mean", &["min", "max"], "the keys are `min`, `max`");
        check("größe", &["größen", "x"], "did you mean `größen`?");
        check("", &["min"], "the keys are `min`");
        check("x", &[], "there are no keys");
    }

    #[test]
    fn edits_are_counted() {
        let check = |a, b, expect| assert_eq!((edits(a, b), edits(b, a)), (expect, expect), "{a} {b}");
        check("", "", 0);
        check("", "abc", 3);
        check("kitten", "sitting", 3);
        check("window", "windows", 1);
        check("carrier", "carreir", 1);
    }
}
