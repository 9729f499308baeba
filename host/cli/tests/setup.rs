use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// What the demo ships.
pub(crate) const SHIPPED: [&str; 3] = ["oast.toml", "departures.parquet", "spine.parquet"];

/// The crate's folder.
pub(crate) fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Copies what the demo ships into a folder.
pub(crate) fn copy_shipped(to: &Path) {
    for name in SHIPPED {
        fs::copy(crate_dir().join("demo").join(name), to.join(name)).expect(name);
    }
}

/// A folder to work in, with the demo's definition and flights.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        copy_shipped(dir.path());
        Self(dir)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The command, in this folder and in no other environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oast"));
        command.current_dir(self.0.path()).args(args).env_remove("OAST_URL").env_remove("OAST_LOG");
        command.env("OAST_DATA", "oast-data").env("NO_COLOR", "1");
        command
    }

    pub(crate) fn oast(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the command starts")
    }
}

/// The exit status, standard output and standard error.
pub(crate) fn told(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}
