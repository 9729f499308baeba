//! Plugins in Python, compiled by componentize-py with every system call of WASI stubbed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use oast_runtime::Progress;
use serde::Deserialize;

use super::{build::Built, project::Project, sdk, tool};
use crate::progress::Bar;

const INSTALL: &str = "install Python 3.10 or newer with its module `venv` (on Debian: `apt install python3-venv`)";
const REQUIREMENTS: &str = "requirements.txt";
const SOURCE: &str = "plugin.py";

/// Compiles a project.
pub(crate) fn build(project: &Project, bar: &Bar) -> anyhow::Result<Built> {
    let environment = Environment::require(project, bar)?;
    let plugin = environment.describe(project)?;
    bar.phase("compiling", None);
    let out = environment.compile(project, &plugin)?;
    bar.clear();
    let bytes = fs::read(&out).with_context(|| format!("componentize-py left no `{}`", out.display()))?;
    Ok(Built { bytes, toolchain: environment.versions(), lock: REQUIREMENTS })
}

/// What the SDK says of the author's file.
#[derive(Debug, Deserialize)]
struct Described {
    kind: String,
    /// The module that the component is made from.
    entry: String,
}

/// The virtual environment in the project.
struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// Makes the environment, or makes it anew when the requirements have changed.
    fn require(project: &Project, bar: &Bar) -> anyhow::Result<Self> {
        let environment = Self { folder: project.dir.join(".venv") };
        let path = project.dir.join(REQUIREMENTS);
        let wanted = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let stamp = environment.folder.join("oast-requirements.txt");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(environment);
        }
        bar.phase("making .venv", None);
        let mut venv = Command::new("python3");
        venv.current_dir(&project.dir).args(["-m", "venv", "--clear", ".venv"]);
        tool::run(&mut venv, "making the virtual environment `.venv`", INSTALL)?;
        bar.phase("installing componentize-py", None);
        let mut pip = environment.python(project);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS]);
        tool::run(&mut pip, "installing what `requirements.txt` names", INSTALL)?;
        environment.find_sdk(project)?;
        fs::write(&stamp, wanted).with_context(|| format!("cannot write `{}`", stamp.display()))?;
        Ok(environment)
    }

    /// Lets the environment's Python find the SDK, for the author's own tests and editor.
    fn find_sdk(&self, project: &Project) -> anyhow::Result<()> {
        const WRITE: &str = "import pathlib, sys, sysconfig\n\
                             pathlib.Path(sysconfig.get_path('purelib'), 'oast-sdk.pth').write_text(sys.argv[1] + '\\n')";
        let mut python = self.python(project);
        python.arg("-c").arg(WRITE).arg(sdk_folder(project));
        tool::run(&mut python, "pointing `.venv` to the SDK", INSTALL).map(drop)
    }

    fn program(&self, name: &str) -> PathBuf {
        let folder = self.folder.join(if cfg!(windows) { "Scripts" } else { "bin" });
        folder.join(name)
    }

    fn python(&self, project: &Project) -> Command {
        let mut python = Command::new(self.program("python"));
        python.current_dir(&project.dir).env_remove("PYTHONPATH").env_remove("PYTHONHOME");
        python
    }

    /// Imports the author's file here, which shows its faults sooner and more plainly than in the component.
    fn describe(&self, project: &Project) -> anyhow::Result<Described> {
        let mut python = self.python(project);
        python
            .args(["-B", "-m", "oast_sdk", SOURCE, &project.name, &project.version])
            .env("PYTHONPATH", sdk_folder(project));
        let told = tool::run(&mut python, "importing `plugin.py`", INSTALL)?;
        serde_json::from_str(&told).context("the SDK in `vendor` told nothing of the plugin")
    }

    fn compile(&self, project: &Project, plugin: &Described) -> anyhow::Result<PathBuf> {
        let work = project.work().join("python");
        sdk::write(&work.join("oast_component.py"), &plugin.entry)?;
        let out = work.join("component.wasm");
        let world = if plugin.kind == "aggregate" { "aggregation" } else { "row-transform" };
        let mut componentize = Command::new(self.program("componentize-py"));
        componentize.current_dir(&project.dir).env("VIRTUAL_ENV", &self.folder).env_remove("PYTHONPATH");
        componentize
            .arg("--wit-path")
            .arg(project.dir.join(sdk::FOLDER).join("wit"))
            .args(["--world", world, "--quiet"]);
        componentize.args(["componentize", "--stub-wasi"]);
        for path in [&work, &project.dir, &sdk_folder(project)] {
            componentize.arg("--python-path").arg(path);
        }
        componentize.arg("--output").arg(&out).arg("oast_component");
        tool::run(&mut componentize, "compiling", INSTALL)?;
        Ok(out)
    }

    fn versions(&self) -> Vec<(&'static str, String)> {
        let version = |name| tool::version(Command::new(self.program(name)).arg("--version"));
        let tools = [("python", version("python")), ("componentize-py", version("componentize-py"))];
        tools.into_iter().filter_map(|(name, version)| Some((name, version?))).collect()
    }
}

fn sdk_folder(project: &Project) -> PathBuf {
    Path::new(&project.dir).join(sdk::FOLDER).join("python")
}
