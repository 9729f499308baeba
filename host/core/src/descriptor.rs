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
    /// For an aggregate: what it promises of merging states, if it says so.
    pub merge_law: Option<MergeLaw>,
}

/// How the features of merged states compare with those of one state into which all the rows were folded in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeLaw {
    /// They are the same bits, wherever the rows were split.
    Exact,
    /// They are equal up to the rounding of floating-point arithmetic.
    Rounded,
    /// Both keep within the error that the plugin's documentation states, as sketches do.
    Approximate,
}
