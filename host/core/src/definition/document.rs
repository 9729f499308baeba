use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    Definition, DefinitionErrors, Location,
    reader::{Checked, Errors, File, Keys, Node, Table, Text, all},
    service, source, view,
};

const KEYS: Keys = &[
    ("include", "include = [\"features/*.toml\"]"),
    ("source", "[source.departures]"),
    ("view", "[view.carrier_delay]"),
    ("service", "[service.delay_model]"),
];

/// A pattern for files that continue a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// Paths relative to the main file's directory, with the wildcards of a shell: `features/*.toml`.
    pub pattern: String,
    /// Where it stands.
    pub location: Location,
}

impl Definition {
    /// What the main file of a definition includes. The caller finds the files and gives their texts to [`Self::parse`].
    pub fn includes(path: &Path, text: &str) -> Result<Vec<Include>, DefinitionErrors> {
        let errors = Errors::default();
        let file = File::new(0, path, text, &errors);
        let entries = errors.settle(file.parse())?;
        let patterns = errors.settle(file.root(&entries, KEYS).optional("include", Node::texts))?;
        let include = |text: Text<'_>| Include { pattern: text.text.to_owned(), location: text.place.location() };
        Ok(patterns.unwrap_or_default().into_iter().map(include).collect())
    }

    /// Reads and checks a definition: first its main file, then the files it includes, each with the path that errors name
    /// it by.
    ///
    /// All errors that do not follow from one another are found at once. While a file is not TOML, or the outermost keys
    /// are wrong, nothing else is checked.
    pub fn parse(files: &[(PathBuf, String)]) -> Result<Self, DefinitionErrors> {
        let errors = Errors::default();
        let texts = files.iter().enumerate();
        let files: Vec<_> = texts.map(|(index, (path, text))| File::new(index, path, text, &errors)).collect();
        let tables = errors.settle(all(files.iter().map(File::parse)))?;
        let roots: Vec<_> = files.iter().zip(&tables).map(|(file, entries)| file.root(entries, KEYS)).collect();
        let [sources, views, services] = errors.settle(outermost(&roots))?;
        let sources = read("source", sources, source::KEYS, source::read);
        let views = read("view", views, view::KEYS, |name, table| view::read(name, table, &sources));
        let services =
            read("service", services, service::KEYS, |name, table| service::read(name, table, &sources, &views));
        let (sources, views, services) = (complete(sources), complete(views), complete(services));
        let definition = || Ok(Self { sources: sources?, views: views?, services: services? });
        errors.settle(definition())
    }
}

/// Tables by the names that the user gave them, in the order of the files.
type Named<'a> = Vec<(Text<'a>, Node<'a>)>;

/// The sources, views and services of all files.
fn outermost<'a>(roots: &[Table<'a>]) -> Checked<[Named<'a>; 3]> {
    let included = all(roots.iter().map(check_include));
    let named = |kind| all(roots.iter().map(|root| Ok(root.optional(kind, Node::entries)?.unwrap_or_default())));
    let (sources, views, services) = (named("source"), named("view"), named("service"));
    included?;
    Ok([sources?.concat(), views?.concat(), services?.concat()])
}

/// Checks where and how files are included; which they are is the business of [`Definition::includes`].
fn check_include(root: &Table<'_>) -> Checked<()> {
    let check = |node: Node<'_>| {
        if node.place.is_in_main_file() {
            return node.texts().map(|_| ());
        }
        let hint = "name all files in the `include` of the main file";
        Err(node.place.error("an included file cannot include others", hint))
    };
    root.optional("include", check).map(|_| ())
}

/// Reads what is declared of one `kind`, each name once.
fn read<'a, T>(
    kind: &str,
    named: Named<'a>,
    keys: Keys,
    read: impl Fn(Text<'a>, &Table<'a>) -> Checked<T>,
) -> BTreeMap<String, Checked<T>> {
    let mut declared: BTreeMap<&str, (Text<'a>, Checked<T>)> = BTreeMap::new();
    for (name, node) in named {
        if let Some((first, _)) = declared.get(name.text) {
            let message = format!("{kind} `{}` is already declared at {}", name.text, first.place.location());
            name.error(message, "rename or remove one of the two");
        } else {
            let table = node.table(format!("{kind} `{}`", name.text), keys);
            declared.insert(name.text, (name, table.and_then(|table| read(name, &table))));
        }
    }
    declared.into_iter().map(|(name, (_, value))| (name.to_owned(), value)).collect()
}

/// What was read of every name, if all of it was.
fn complete<T>(declared: BTreeMap<String, Checked<T>>) -> Checked<BTreeMap<String, T>> {
    declared.into_iter().map(|(name, value)| Ok((name, value?))).collect()
}
