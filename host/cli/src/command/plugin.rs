use std::path::Path;

use anyhow::Context;
use oast_runtime::inspect;

use crate::{
    args::{self, Global},
    authoring, output,
    report::Failure,
};

/// `oast plugin`
pub(crate) fn plugin(global: &Global, args: &args::Plugin) -> anyhow::Result<()> {
    match args {
        args::Plugin::New(new) => authoring::new(new),
        args::Plugin::Build { project } => authoring::build(global, project),
        args::Plugin::Test { project, update } => authoring::test(global, project, *update),
        args::Plugin::Inspect { file } => show(global, file),
    }
}

fn show(global: &Global, file: &Path) -> anyhow::Result<()> {
    let bytes = std::fs::read(file).map_err(|error| {
        let message = format!("cannot read `{}`: {error}", file.display());
        Failure::input(message, "name a component, for example one under `plugins/` beside `oast.toml`")
    })?;
    let inspection = inspect(&bytes).with_context(|| format!("`{}` cannot be used as a plugin", file.display()))?;
    let value = serde_json::to_value(&inspection)?;
    if global.json { output::json(&value) } else { Ok(output::line(serde_json::to_string_pretty(&value)?)?) }
}
