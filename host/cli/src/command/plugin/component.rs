use std::path::{Path, PathBuf};

use oast_runtime::{Field, PluginUse, Schema, nearest};

use crate::{args::PluginArguments, report::Failure};

/// A component as a command names it, with what lies beside it.
pub(super) struct Component {
    /// Where it came from, for messages and for what lies beside it.
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    /// The golden file in the component's folder.
    pub(super) golden: Option<String>,
}

impl Component {
    /// Reads a file, the component in a folder, or a standard plugin by its name.
    pub(super) fn read(named: &Path) -> anyhow::Result<Self> {
        if let Some(standard) = named.to_str().and_then(oast_plugins::plugin)
            && !named.exists()
        {
            return Ok(Self { path: named.to_owned(), bytes: standard.component.to_vec(), golden: None });
        }
        let path = if named.is_dir() { in_folder(named)? } else { named.to_owned() };
        let bytes = std::fs::read(&path).map_err(|error| {
            Failure::input(format!("cannot read `{}`: {error}", path.display()), hint_for_unread(named))
        })?;
        let golden = std::fs::read_to_string(path.with_file_name("golden.json")).ok();
        Ok(Self { path, bytes, golden })
    }

    /// With what to configure it. The golden file in its folder counts only if it carries no samples of its own.
    pub(super) fn with(&self, args: &PluginArguments) -> anyhow::Result<PluginUse> {
        let offered = args.offered.as_deref().map(columns).transpose()?;
        Ok(PluginUse { params: args.params.clone(), offered, golden: self.golden_beside() })
    }

    /// The golden file beside it, if it carries no samples of its own.
    pub(super) fn golden_beside(&self) -> Option<String> {
        self.golden.clone().filter(|_| !oast_runtime::has_samples(&self.bytes))
    }
}

fn hint_for_unread(named: &Path) -> String {
    let standard = oast_plugins::standard().iter().map(|plugin| plugin.name);
    match named.to_str().and_then(|name| nearest(name, standard)) {
        Some(meant) => format!("did you mean the standard plugin `{meant}`?"),
        None => "name a component, a folder that holds one, or a standard plugin".to_owned(),
    }
}

/// The component in a folder: the one that is called like it, or the only one.
fn in_folder(folder: &Path) -> anyhow::Result<PathBuf> {
    let name = folder.canonicalize().ok().and_then(|folder| folder.file_name().map(ToOwned::to_owned));
    if let Some(name) = name {
        let own = folder.join(name).with_extension("wasm");
        if own.is_file() {
            return Ok(own);
        }
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let mut components: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).collect();
    match (components.pop(), components.is_empty()) {
        (Some(only), true) => Ok(only),
        (found, _) => {
            let what = if found.is_some() { "more than one component" } else { "no component" };
            let message = format!("`{}` holds {what}", folder.display());
            Err(Failure::input(message, "build the plugin first, or name its `.wasm`").into())
        }
    }
}

/// Columns as `name:type,name:type`.
fn columns(text: &str) -> anyhow::Result<Schema> {
    let wrong = |what: String| {
        Failure::input(what, "write `name:type`, separated by commas: `dep_delay:float64?,carrier:utf8`")
    };
    let mut fields = Vec::new();
    for column in text.split(',').filter(|column| !column.trim().is_empty()) {
        let (name, data_type) =
            column.split_once(':').ok_or_else(|| wrong(format!("`{}` is no column", column.trim())))?;
        fields.push(Field::parse(name.trim(), data_type.trim()).map_err(|error| wrong(error.to_string()))?);
    }
    Ok(Schema::new(fields).map_err(|error| wrong(error.to_string()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_pairs_of_name_and_type() {
        let names =
            |text: &str| columns(text).map(|schema| schema.fields().iter().map(Field::to_string).collect::<Vec<_>>());
        assert_eq!(names("").expect("no columns"), [""; 0]);
        assert_eq!(names("a:utf8, v : vector[3]?").expect("two columns"), ["a: utf8", "v: vector[3]?"]);
        for text in ["a", "a:text", "a:utf8,a:utf8", ":utf8"] {
            assert!(names(text).is_err(), "{text}");
        }
    }
}
