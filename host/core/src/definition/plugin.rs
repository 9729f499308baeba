use super::{
    PluginRef, PluginUse, params,
    reader::{Checked, Node, Table, Text, all},
};

/// A use of a plugin, with the places of the names in it.
pub(super) struct Binding<'a> {
    /// The use.
    pub(super) plugin: PluginUse,
    /// What its `input` names.
    pub(super) input: Option<Vec<Text<'a>>>,
    /// What its `output` names.
    pub(super) output: Option<Vec<Text<'a>>>,
}

/// Reads a plugin and its parameters, to go with the `input` and `output` that were read as the table wants them.
pub(super) fn read<'a>(
    table: &Table<'a>,
    input: Checked<Option<Vec<Text<'a>>>>,
    output: Checked<Option<Vec<Text<'a>>>>,
) -> Checked<Binding<'a>> {
    let plugin = table.required("plugin", reference);
    let params = table.optional("params", params::read);
    let (input, output) = (input?, output?);
    let plugin = PluginUse {
        location: table.place.location(),
        plugin: plugin?,
        params: params?.unwrap_or_else(|| "{}".to_owned()),
        input: input.as_deref().map(owned),
        output: output.as_deref().map(owned),
    };
    Ok(Binding { plugin, input, output })
}

/// The names that a plugin's `output` gives to new columns, each checked.
pub(super) fn output<'a>(node: Node<'a>, check: impl Fn(Text<'a>) -> Checked<String>) -> Checked<Vec<Text<'a>>> {
    let texts = node.some_texts()?;
    all(texts.iter().map(|name| check(*name)))?;
    Ok(texts)
}

/// The strings without their places.
pub(super) fn owned(texts: &[Text<'_>]) -> Vec<String> {
    texts.iter().map(|text| text.text.to_owned()).collect()
}

/// A plugin by name, by name and version, or by the hash of its component.
fn reference(node: Node<'_>) -> Checked<PluginRef> {
    let reference = node.text()?;
    let text = reference.text;
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let hash = text.parse().map(PluginRef::Hash);
        return hash.map_err(|_| {
            reference.error("a component hash is written in lower case", format!("write `{}`", text.to_lowercase()))
        });
    }
    let (name, version) = match text.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    if !is_plugin_name(name) {
        let hint = "write a name in lower case with hyphens (`one-hot`), a name and version (`one-hot@1.2.0`) or a component hash";
        return Err(reference.error(format!("`{text}` names no plugin"), hint));
    }
    match version {
        None => Ok(PluginRef::Name(name.to_owned())),
        Some(version) if is_version(version) => {
            Ok(PluginRef::Version { name: name.to_owned(), version: version.to_owned() })
        }
        Some(version) => {
            let hint =
                format!("write all three numbers, for example `{name}@1.2.0`, or `{name}` alone to pin the newest");
            Err(reference.error(format!("`{version}` is not an exact version"), hint))
        }
    }
}

fn is_plugin_name(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(is_inner)
        && !name.ends_with('-')
        && !name.contains("--")
}

/// Whether a text is a version of Semantic Versioning 2.0: three numbers, then perhaps `-pre.release` and `+build`.
fn is_version(text: &str) -> bool {
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, pre_release) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    let is_number = |part: &str| part.parse::<u64>().is_ok_and(|number| number.to_string() == part);
    let is_label = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let are_labels = |labels: Option<&str>| labels.is_none_or(|labels| labels.split('.').all(is_label));
    core.split('.').count() == 3 && core.split('.').all(is_number) && are_labels(pre_release) && are_labels(build)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_exact() {
        for text in ["1.2.0", "0.0.0", "10.20.30", "1.0.0-rc.1", "1.0.0+build.5", "1.0.0-a-b+c-d"] {
            assert!(is_version(text), "{text}");
        }
        for text in ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.x", "^1.2.3", "1.2.3-", "1.2.3+", "+1.2.3", "1.2.+3"] {
            assert!(!is_version(text), "{text}");
        }
    }

    #[test]
    fn plugin_names_are_lower_case_with_hyphens() {
        for text in ["fill", "one-hot", "p99"] {
            assert!(is_plugin_name(text), "{text}");
        }
        for text in ["", "Fill", "one_hot", "-x", "x-", "a--b", "9x", "größe"] {
            assert!(!is_plugin_name(text), "{text}");
        }
    }
}
