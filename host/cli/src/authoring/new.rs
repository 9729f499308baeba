use std::path::Path;

use super::sdk;
use crate::{
    args::{Language, NewPlugin, PluginKind},
    output,
    report::Failure,
};

/// Names that a crate or a Python module of the plugin could not have.
const RESERVED: [&str; 12] =
    ["alloc", "core", "crate", "match", "oast", "plugin", "self", "std", "super", "test", "type", "oast-sdk"];

/// `oast plugin new`
pub(crate) fn new(args: &NewPlugin) -> anyhow::Result<()> {
    let name = name_of(&args.dir)?;
    if args.dir.exists() {
        let message = format!("`{}` is there already", args.dir.display());
        return Err(Failure::input(message, "choose another name, or remove it").into());
    }
    let fill = Filler::new(name, args.kind);
    for (path, template) in files(args.lang, args.kind) {
        sdk::write(&args.dir.join(path), fill.text(sdk::template(&template)))?;
    }
    if args.lang == Language::Rust {
        let lock = with_package(&fill.text(sdk::template("rust/Cargo.lock.in")));
        sdk::write(&args.dir.join("Cargo.lock"), lock)?;
    }
    sdk::require(args.lang, &args.dir)?;
    let dir = args.dir.display();
    output::line(format_args!("{dir}  {} in {}", fill.kind(), language_name(args.lang)))?;
    Ok(output::line(format_args!("try it: cd {dir} && oast plugin test"))?)
}

fn language_name(language: Language) -> &'static str {
    match language {
        Language::Rust => "Rust",
        Language::Python => "Python",
        Language::Js => "JavaScript",
    }
}

/// The plugin's name: the last part of its folder.
fn name_of(dir: &Path) -> Result<&str, Failure> {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    if !starts_well || !name.split('-').all(is_word) {
        let message = format!("`{name}` cannot be a plugin's name");
        return Err(Failure::input(message, "use lower-case letters, digits and hyphens, for example `late-by`"));
    }
    if RESERVED.contains(&name) || is_keyword(name) {
        let message =
            format!("`{name}` cannot be a plugin's name: it is a word of Rust, Python, JavaScript or the SDK");
        return Err(Failure::input(message, format!("choose another, for example `my-{name}`")));
    }
    Ok(name)
}

/// Words that no function can be called in Rust or Python.
fn is_keyword(name: &str) -> bool {
    const KEYWORDS: &str = "abstract and as assert async await become box break class const continue def del do dyn elif \
                            else enum except extern false final finally fn for from gen global if impl import in is \
                            lambda let loop macro mod move mut none nonlocal not or override pass priv pub raise ref \
                            return static struct trait true try typeof unsafe unsized use virtual where while with yield";
    KEYWORDS.split_whitespace().any(|keyword| keyword == name)
}

/// The files of a project, and the template of each.
fn files(language: Language, kind: PluginKind) -> Vec<(&'static str, String)> {
    let kind = kind_name(kind);
    let (folder, named): (_, Vec<(&str, String)>) = match language {
        Language::Rust => (
            "rust",
            vec![
                ("Cargo.toml", "Cargo.toml.in".to_owned()),
                ("rust-toolchain.toml", "rust-toolchain.toml".to_owned()),
                ("src/lib.rs", format!("src/{kind}.rs")),
            ],
        ),
        Language::Python => (
            "python",
            vec![
                ("pyproject.toml", "pyproject.toml".to_owned()),
                ("requirements.txt", "requirements.txt".to_owned()),
                ("plugin.py", format!("{kind}.py")),
                ("test_plugin.py", format!("test_{kind}.py")),
            ],
        ),
        Language::Js => (
            "js",
            vec![
                ("package.json", "package.json.in".to_owned()),
                ("package-lock.json", "package-lock.json.in".to_owned()),
                ("plugin.js", format!("{kind}.js")),
                ("plugin.test.js", format!("test_{kind}.js")),
            ],
        ),
    };
    let common = [(".gitignore", "gitignore".to_owned()), ("README.md", "README.md".to_owned())];
    let own = named.into_iter().chain(common).map(|(path, template)| (path, format!("{folder}/{template}")));
    own.chain([("golden.json", format!("golden/{kind}.json"))]).collect()
}

fn kind_name(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::Transform => "transform",
        PluginKind::Aggregate => "aggregate",
    }
}

/// What stands in for the `{{…}}` of the templates.
struct Filler<'a> {
    name: &'a str,
    kind: PluginKind,
}

impl<'a> Filler<'a> {
    fn new(name: &'a str, kind: PluginKind) -> Self {
        Self { name, kind }
    }

    fn kind(&self) -> &'static str {
        match self.kind {
            PluginKind::Transform => "a transform",
            PluginKind::Aggregate => "an aggregate",
        }
    }

    fn text(&self, template: &str) -> String {
        template
            .replace("{{name}}", self.name)
            .replace("{{ident}}", &self.name.replace('-', "_"))
            .replace("{{type}}", &camel_case(self.name))
            .replace("a {{kind}}", self.kind())
            .replace("{{toolchain}}", sdk::TOOLCHAIN)
            .replace("{{sdk_version}}", env!("CARGO_PKG_VERSION"))
    }
}

fn camel_case(name: &str) -> String {
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split('-').map(capital).collect()
}

/// Puts the packages of a lock file into cargo's order, in which the plugin stands by its name.
fn with_package(lock: &str) -> String {
    const MARK: &str = "[[package]]\n";
    let (head, packages) = lock.split_once(MARK).expect("a lock file has packages");
    let mut packages: Vec<&str> = packages.split(MARK).map(str::trim_end).collect();
    packages.sort_by_key(|package| package.lines().next().map(|name| name.trim_matches('"').to_owned()));
    let packages: Vec<String> = packages.into_iter().map(|package| format!("{MARK}{package}\n")).collect();
    format!("{head}{}", packages.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_with_hyphens() {
        let check = |dir: &str, expect: Option<&str>| assert_eq!(name_of(Path::new(dir)).ok(), expect, "{dir}");
        check("late", Some("late"));
        check("plugins/late-by-2", Some("late-by-2"));
        for wrong in ["", "..", "Late", "late_by", "-late", "late-", "2late", "match", "test", "été"] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_refusal_tells_spelling_from_reserved_words() {
        let check = |name: &str, reserved: bool| {
            let message = name_of(Path::new(name)).expect_err(name).to_string();
            assert_eq!(message.contains("is a word of"), reserved, "{message}");
        };
        check("match", true);
        check("test", true);
        check("oast-sdk", true);
        check("Late", false);
    }

    #[test]
    fn packages_are_locked_in_the_order_of_names() {
        let lock = "# head\nversion = 4\n\n[[package]]\nname = \"zoo\"\n\n[[package]]\nname = \"b\"\n\n[[package]]\nname = \"a\"\n";
        let sorted = "# head\nversion = 4\n\n[[package]]\nname = \"a\"\n\n[[package]]\nname = \"b\"\n\n[[package]]\nname = \"zoo\"\n";
        assert_eq!(with_package(lock), sorted);
    }

    #[test]
    fn templates_leave_nothing_unfilled() {
        for language in [Language::Rust, Language::Python, Language::Js] {
            for kind in [PluginKind::Transform, PluginKind::Aggregate] {
                for (path, template) in files(language, kind) {
                    let text = Filler::new("late-by", kind).text(sdk::template(&template));
                    assert!(!text.contains("{{"), "{language:?}, {path}:\n{text}");
                }
            }
        }
    }
}
