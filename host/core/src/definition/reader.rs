use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    sync::Arc,
};

use toml::de::{DeTable, DeValue};

use super::{DefinitionError, DefinitionErrors, Location, names};
use crate::TimeSpan;

/// Says that an error was gathered in [`Errors`], and is made in no other way: what depends on the value is not checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reported(());

/// What was read, or the mark that its error was gathered.
pub(super) type Checked<T> = Result<T, Reported>;

/// All that was read, after every part has had the chance to report its error.
pub(super) fn all<T>(parts: impl Iterator<Item = Checked<T>>) -> Checked<Vec<T>> {
    parts.collect::<Vec<_>>().into_iter().collect()
}

/// The errors found so far, each with the place of its file among the files.
#[derive(Default)]
pub(super) struct Errors(RefCell<Vec<(usize, DefinitionError)>>);

impl Errors {
    /// What was read, unless an error was gathered here or elsewhere. Errors come in the order of the files and lines.
    pub(super) fn settle<T>(&self, read: Checked<T>) -> Result<T, DefinitionErrors> {
        let mut errors = self.0.take();
        if errors.is_empty() {
            return Ok(read.expect("whatever cannot be read leaves an error"));
        }
        errors.sort_by_key(|(file, error)| (*file, error.location.line, error.location.column));
        Err(DefinitionErrors(errors.into_iter().map(|(_, error)| error).collect()))
    }
}

/// One file of a definition.
pub(super) struct File<'a> {
    index: usize,
    path: Arc<PathBuf>,
    text: &'a str,
    line_starts: Vec<usize>,
    errors: &'a Errors,
}

impl<'a> File<'a> {
    /// The file that stands at `index` among the files.
    pub(super) fn new(index: usize, path: &Path, text: &'a str, errors: &'a Errors) -> Self {
        let after_newline = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_newline).collect();
        Self { index, path: Arc::new(path.to_owned()), text, line_starts, errors }
    }

    /// Reads the file as TOML, up to the first error in its syntax: those after it mostly follow from it.
    pub(super) fn parse(&self) -> Checked<DeTable<'a>> {
        DeTable::parse(self.text).map(toml::Spanned::into_inner).map_err(|error| {
            let place = Place { file: self, at: error.span().map_or(0, |span| span.start) };
            place.error(error.message(), syntax_hint(error.message()))
        })
    }

    /// The whole file as a table.
    pub(super) fn root(&'a self, entries: &'a DeTable<'a>, keys: Keys) -> Table<'a> {
        Table::new(Place { file: self, at: 0 }, "a definition".to_owned(), entries, keys)
    }

    fn location(&self, at: usize) -> Location {
        let line = self.line_starts.partition_point(|start| *start <= at);
        let before = self.text.get(self.line_starts[line - 1]..at).unwrap_or_default();
        Location { file: Arc::clone(&self.path), line, column: before.chars().count() + 1 }
    }
}

fn syntax_hint(message: &str) -> &'static str {
    let hints = [
        ("duplicate key", "remove or rename one of the two"),
        ("must be quoted", "put the value in quotes: `\"30d\"`"),
        ("cannot extend", "write the table either in braces or under headers, not in both ways"),
        ("recursion limit", "tables stand in one another at most 80 deep"),
        ("missing comma", "separate the items by commas, and close the bracket or brace before this place"),
    ];
    let fitting = hints.iter().find(|(part, _)| message.contains(part));
    fitting.map_or("the syntax of TOML is explained at https://toml.io", |(_, hint)| hint)
}

/// A place in a file.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    file: &'a File<'a>,
    at: usize,
}

impl Place<'_> {
    /// Gathers an error about this place.
    pub(super) fn error(self, message: impl Into<String>, hint: impl Into<String>) -> Reported {
        let error = DefinitionError { location: self.location(), message: message.into(), hint: Some(hint.into()) };
        self.file.errors.0.borrow_mut().push((self.file.index, error));
        Reported(())
    }

    /// The file, line and column.
    pub(super) fn location(self) -> Location {
        self.file.location(self.at)
    }

    /// Whether the file is the first, the one that includes the others.
    pub(super) fn is_in_main_file(self) -> bool {
        self.file.index == 0
    }
}

/// A string and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) place: Place<'a>,
    pub(super) text: &'a str,
}

impl Text<'_> {
    /// Gathers an error about this string.
    pub(super) fn error(self, message: impl Into<String>, hint: impl Into<String>) -> Reported {
        self.place.error(message, hint)
    }
}

/// A value and what it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) place: Place<'a>,
    pub(super) value: &'a DeValue<'a>,
    /// The key that holds the value, or holds the array that does.
    pub(super) key: &'a str,
    is_item: bool,
    example: &'static str,
}

impl<'a> Node<'a> {
    /// Gathers an error that says what was found, what was expected and an example.
    pub(super) fn wrong_type(self, expected: &str) -> Reported {
        let subject = if self.is_item { "an item of " } else { "" };
        let found = match self.value.type_str() {
            found if found.starts_with(['a', 'i']) => format!("an {found}"),
            found => format!("a {found}"),
        };
        let message = format!("{subject}`{}` is {found}, expected {expected}", self.key);
        self.place.error(message, format!("for example `{}`", self.example))
    }

    /// Gathers an error about the value, with the key's example as the hint.
    pub(super) fn error(self, message: impl Into<String>) -> Reported {
        self.place.error(message, format!("for example `{}`", self.example))
    }

    /// A string.
    pub(super) fn text(self) -> Checked<Text<'a>> {
        let text = self.value.as_str().ok_or_else(|| self.wrong_type("a string"))?;
        Ok(Text { place: self.place, text })
    }

    /// The items of an array.
    pub(super) fn items(self) -> Checked<Vec<Self>> {
        let items = self.value.as_array().ok_or_else(|| self.wrong_type("an array"))?;
        let item = |item: &'a toml::Spanned<DeValue<'a>>| Self {
            place: Place { at: item.span().start, ..self.place },
            value: item.get_ref(),
            is_item: true,
            ..self
        };
        Ok(items.iter().map(item).collect())
    }

    /// An array of strings, no two alike.
    pub(super) fn texts(self) -> Checked<Vec<Text<'a>>> {
        let texts = all(self.items()?.into_iter().map(Self::text))?;
        let unique = texts.iter().enumerate().map(|(index, text)| {
            let is_repeated = texts[..index].iter().any(|other| other.text == text.text);
            let repeated =
                || text.error(format!("`{}` stands twice in `{}`", text.text, self.key), "remove one of the two");
            if is_repeated { Err(repeated()) } else { Ok(*text) }
        });
        all(unique)
    }

    /// An array of strings, no two alike, with at least one.
    pub(super) fn some_texts(self) -> Checked<Vec<Text<'a>>> {
        let texts = self.texts()?;
        if texts.is_empty() { Err(self.error(format!("`{}` is empty", self.key))) } else { Ok(texts) }
    }

    /// A length of time.
    pub(super) fn time_span(self) -> Checked<TimeSpan> {
        let text = self.text()?.text;
        let hint = || format!("write a whole number and a unit (us, ms, s, m, h or d), for example `{}`", self.example);
        text.parse().map_err(|_| self.place.error(format!("`{text}` is not a time span"), hint()))
    }

    /// A length of time that is not zero.
    pub(super) fn some_time_span(self) -> Checked<TimeSpan> {
        let span = self.time_span()?;
        if span.as_micros() == 0 { Err(self.error(format!("`{}` is zero", self.key))) } else { Ok(span) }
    }

    /// The entries of a table whose keys are names that the user chose, sorted by name.
    pub(super) fn entries(self) -> Checked<Vec<(Text<'a>, Self)>> {
        let table = self.value.as_table().ok_or_else(|| self.wrong_type("a table"))?;
        let mut entries: Vec<_> = table.iter().map(|(name, value)| self.entry(name, value)).collect();
        entries.sort_by_key(|(name, _)| name.text);
        Ok(entries)
    }

    fn entry(
        self,
        name: &'a toml::Spanned<toml::de::DeString<'a>>,
        value: &'a toml::Spanned<DeValue<'a>>,
    ) -> (Text<'a>, Self) {
        let name = Text { place: Place { at: name.span().start, ..self.place }, text: name.get_ref() };
        let place = Place { at: value.span().start, ..self.place };
        (name, Self { place, value: value.get_ref(), key: name.text, is_item: false, ..self })
    }

    /// A table that may have these keys; others are reported. `what` it is, errors say.
    pub(super) fn table(self, what: String, keys: Keys) -> Checked<Table<'a>> {
        let entries = self.value.as_table().ok_or_else(|| self.wrong_type("a table"))?;
        Ok(Table::new(self.place, what, entries, keys))
    }
}

/// The keys that a table may have, each with an example.
pub(super) type Keys = &'static [(&'static str, &'static str)];

/// A table with fixed keys.
pub(super) struct Table<'a> {
    /// Where the table begins: its header, or its brace.
    pub(super) place: Place<'a>,
    what: String,
    entries: &'a DeTable<'a>,
    keys: Keys,
    /// The keys that unknown ones were probably meant to be.
    misspelled: Vec<(&'static str, Reported)>,
}

impl<'a> Table<'a> {
    fn new(place: Place<'a>, what: String, entries: &'a DeTable<'a>, keys: Keys) -> Self {
        let mut misspelled = Vec::new();
        for key in entries.keys() {
            let (name, known) = (key.get_ref(), keys.iter().map(|(known, _)| *known));
            if known.clone().all(|known| known != name) {
                let hint = names::suggest(name, "keys", known.clone());
                let place = Place { at: key.span().start, ..place };
                let reported = place.error(format!("unknown key `{name}` in {what}"), hint);
                misspelled.extend(names::nearest(name, known).map(|meant| (meant, reported)));
            }
        }
        Self { place, what, entries, keys, misspelled }
    }

    fn example(&self, key: &str) -> &'static str {
        let known = self.keys.iter().find(|(known, _)| *known == key);
        known.expect("a table is only asked for keys it may have").1
    }

    /// The value of a key, if the table has it.
    pub(super) fn get(&self, key: &'static str) -> Checked<Option<Node<'a>>> {
        let example = self.example(key);
        let Some(value) = self.entries.get(key) else {
            let misspelled = self.misspelled.iter().find(|(meant, _)| *meant == key);
            return misspelled.map_or(Ok(None), |(_, reported)| Err(*reported));
        };
        let place = Place { at: value.span().start, ..self.place };
        Ok(Some(Node { place, value: value.get_ref(), key, is_item: false, example }))
    }

    /// What `read` makes of a key's value, if the table has it.
    pub(super) fn optional<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(Node<'a>) -> Checked<T>,
    ) -> Checked<Option<T>> {
        self.get(key)?.map(read).transpose()
    }

    /// What `read` makes of a key's value, which must be there.
    pub(super) fn required<T>(&self, key: &'static str, read: impl FnOnce(Node<'a>) -> Checked<T>) -> Checked<T> {
        self.get(key)?.map_or_else(|| Err(self.missing(key)), read)
    }

    fn missing(&self, key: &str) -> Reported {
        self.place
            .error(format!("{} has no `{key}`", self.what), format!("add it, for example `{}`", self.example(key)))
    }

    /// What `read` makes of each item of a key's array; nothing if the table does not have the key.
    pub(super) fn each<T>(&self, key: &'static str, mut read: impl FnMut(Node<'a>) -> Checked<T>) -> Checked<Vec<T>> {
        let items = self.optional(key, Node::items)?.unwrap_or_default();
        all(items.into_iter().map(&mut read))
    }
}
