use crate::Schema;

/// What a component is and does, given its parameters and the columns it was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The plugin's name.
    pub name: String,
    /// The plugin's semantic version.
    pub version: String,
    /// What the plugin computes, in Markdown.
    pub documentation: String,
    /// The columns it takes.
    pub input: Schema,
    /// The columns it gives.
    pub output: Schema,
    /// For an aggregate: whether the order of rows within a state decides the result by more than rounding.
    pub order_sensitive: bool,
}
