//! Standard output: text for people, in colour where a terminal shows it, or JSON for programs.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

pub(crate) mod style {
    //! The few colours in use. They vanish when the output is no terminal or `NO_COLOR` is set.

    use anstyle::{AnsiColor, Style};

    pub(crate) const BOLD: Style = Style::new().bold();
    pub(crate) const DIM: Style = Style::new().dimmed();
    pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();
    pub(crate) const GREEN: Style = AnsiColor::Green.on_default().bold();
    pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default();
}

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub(crate) struct StdoutError(#[source] pub(crate) io::Error);

/// Prints one line.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<(), StdoutError> {
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(StdoutError)
}

/// Prints a value as JSON: indented on a terminal, on one line elsewhere.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = match io::stdout().is_terminal() {
        true => serde_json::to_string_pretty(value)?,
        false => serde_json::to_string(value)?,
    };
    Ok(line(text)?)
}

/// A table whose columns are as wide as their widest cell.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
}

impl Table {
    /// A table with a head.
    pub(crate) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()], right: Vec::new() }
    }

    /// Aligns these columns to the right, as numbers want it.
    pub(crate) fn right(mut self, columns: &[usize]) -> Self {
        self.right = columns.to_vec();
        self
    }

    /// Adds a row.
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The lines of the table, the head dimmed, each after `indent`.
    pub(crate) fn lines(&self, indent: &str) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell_width = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
        let widths: Vec<_> =
            (0..columns).map(|column| self.rows.iter().map(|row| cell_width(row, column)).max().unwrap_or(0)).collect();
        let text = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
                if self.right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let dim = style::DIM;
        let mut lines = self.rows.iter().map(text);
        let head = lines.next().map(|head| format!("{indent}{dim}{head}{dim:#}"));
        head.into_iter().chain(lines.map(|line| format!("{indent}{line}"))).collect()
    }

    /// Prints the table.
    pub(crate) fn print(&self) -> Result<(), StdoutError> {
        self.lines("").iter().try_for_each(line)
    }
}

/// A number with commas between its thousands.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// A number of things, `one` or many of them.
pub(crate) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {one}s", thousands(number)) }
}

/// A number of bytes in the unit that reads best.
pub(crate) fn bytes(number: u64) -> String {
    indicatif::BinaryBytes(number).to_string()
}

/// The first digits of a hash, as git shows them.
pub(crate) fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let check = |number, expect: &str| assert_eq!(thousands(number), expect);
        check(0, "0");
        check(999, "999");
        check(1_000, "1,000");
        check(26_865, "26,865");
        check(1_316_385, "1,316,385");
    }

    #[test]
    fn tables_align_their_columns() {
        let mut table = Table::new(&["name", "rows"]).right(&[1]);
        table.row(["departures", "7"]);
        table.row(["x", "1,000"]);
        let plain: Vec<_> =
            table.lines(" ").iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert_eq!(plain, [" name         rows", " departures      7", " x           1,000"]);
    }
}
