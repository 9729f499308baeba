//! What every plugin says of itself.

/// A plugin's name, version and documentation. The attributes implement it from the package and the doc comments.
pub trait Plugin: Sized + 'static {
    /// The name in lower case with hyphens.
    const NAME: &'static str;
    /// The semantic version.
    const VERSION: &'static str;
    /// What the plugin computes and the source of its formula, in Markdown, without its parameters.
    const DOCUMENTATION: &'static str;
}

/// The plugin's name for a package: without the prefix `oast-`.
#[doc(hidden)]
pub const fn name_of(package: &'static str) -> &'static str {
    match package.as_bytes() {
        [b'o', b'a', b's', b't', b'-', _, ..] => package.split_at("oast-".len()).1,
        _ => package,
    }
}
