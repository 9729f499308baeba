use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use tempfile::TempDir;

/// A folder to write plugins in, with the command and no other environment.
pub(crate) struct Workshop(TempDir);

impl Workshop {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oast"));
        command.current_dir(self.0.path()).args(args).env_remove("OAST_URL").env_remove("OAST_LOG");
        command.env("OAST_DATA", "oast-data").env("NO_COLOR", "1");
        command
    }

    /// Runs a command that must succeed, and gives its standard output.
    pub(crate) fn oast(&self, args: &[&str]) -> String {
        succeeded(args, &self.command(args).output().expect("the command starts"))
    }

    /// Makes a plugin's project with sources of the tests' own.
    pub(crate) fn project(&self, name: &str, language: &str, files: &[(&str, &str)]) {
        self.oast(&["plugin", "new", name, "--lang", language]);
        for (path, text) in files {
            fs::write(self.path(name).join(path), text).expect(path);
        }
    }
}

pub(crate) fn succeeded(args: &[&str], output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{args:?}\n{stdout}\n{stderr}");
    stdout
}

pub(crate) const WILD_PYTHON: &str = include_str!("wild.py");
pub(crate) const WILD_TYPESCRIPT: &str = include_str!("wild.ts");
pub(crate) const WILD_GOLDEN: &str = include_str!("wild.json");

/// One transform in each language, compiled once for all tests.
pub(crate) struct Compiled {
    pub(crate) workshop: Workshop,
}

impl Compiled {
    pub(crate) fn component(&self, language: &str) -> PathBuf {
        self.workshop.path(&format!("{language}/wild/wild.wasm"))
    }

    pub(crate) fn artefacts(&self, language: &str) -> PathBuf {
        self.workshop.path(&format!("{language}/wild/.oast/artefacts"))
    }

    pub(crate) fn bytes(&self, language: &str) -> Vec<u8> {
        fs::read(self.component(language)).expect("the component is there")
    }
}

/// The plugin `wild` in each language. The one in Rust is what `oast plugin new` makes, and not wild at all.
pub(crate) fn compiled() -> &'static Compiled {
    static COMPILED: OnceLock<Compiled> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let workshop = Workshop::new();
        workshop.project("rust/wild", "rust", &[]);
        workshop.project("python/wild", "python", &[("plugin.py", WILD_PYTHON)]);
        workshop.project("js/wild", "js", &[("plugin.ts", WILD_TYPESCRIPT)]);
        for language in ["python", "js"] {
            // What is wild is no sample that a plugin could be published with.
            fs::remove_file(workshop.path(language).join("wild/golden.json"))
                .expect("the template's samples are there");
        }
        fs::remove_file(workshop.path("js/wild/plugin.js")).expect("the template's source is there");
        for language in ["rust", "python", "js"] {
            workshop.oast(&["plugin", "build", &format!("{language}/wild")]);
        }
        quickjs_project(&workshop, "quickjs/wild", WILD_TYPESCRIPT, &workshop.path("js/wild"));
        workshop.oast(&["plugin", "build", "quickjs/wild"]);
        Compiled { workshop }
    })
}

/// Makes a project in TypeScript without samples that QuickJS compiles, with the packages that another one has installed.
pub(crate) fn quickjs_project(workshop: &Workshop, name: &str, source: &str, installed: &Path) {
    workshop.project(name, "js", &[("plugin.ts", source)]);
    let project = workshop.path(name);
    for template in ["plugin.js", "golden.json"] {
        fs::remove_file(project.join(template)).expect("the template's file is there");
    }
    let manifest = project.join("package.json");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    let text = text.replace("\"type\": \"module\",", "\"type\": \"module\", \"oast\": { \"engine\": \"quickjs\" },");
    fs::write(&manifest, text).expect("the manifest is written");
    copy_folder(&installed.join("node_modules"), &project.join("node_modules"));
}

/// Copies a folder, by links where that works: cargo does not write to what it has unpacked.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    let copy = |how: &str| Command::new("cp").arg(how).arg(from).arg(to).status().expect("`cp` runs").success();
    if !copy("-al") {
        fs::remove_dir_all(to).expect("a broken copy is removed");
        assert!(copy("-a"), "{} is copied", from.display());
    }
}
