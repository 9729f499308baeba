use std::fmt;

use serde::{Deserialize, Serialize};

/// What a plugin says of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The row goes on.
    Keep,
    /// The row ends here, as the transform intends.
    Drop,
    /// The plugin could not transform the row, and says why.
    Reject(Box<Rejection>),
    /// The plugin died on the row or broke a limit, in the same way on every run with this engine fingerprint.
    Fail(Box<Failure>),
}

/// Most rows are kept, and there are many of them: what is said of the others is boxed, so that an outcome is small.
impl From<Rejection> for Outcome {
    fn from(rejection: Rejection) -> Self {
        Self::Reject(Box::new(rejection))
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::Fail(Box::new(failure))
    }
}

/// Why a plugin rejected a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// A short code in lower case with underscores.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
}

/// How an invocation can die. Each is deterministic: the same component, arguments and limits fail in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "failure", content = "detail")]
pub enum Failure {
    /// A WebAssembly trap, by wasmtime's name for it.
    Trap(String),
    /// More fuel was needed than one row's budget.
    OutOfFuel,
    /// More stack was needed than the limit.
    OutOfStack,
    /// More memory was needed than the limit.
    OutOfMemory,
    /// What came back breaks the contract: wrong lengths, types or offsets, invalid UTF-8, or too many bytes.
    Malformed(String),
    /// The plugin returned an error for a call on a single state.
    Error(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trap(name) => write!(f, "trapped: {name}"),
            Self::OutOfFuel => f.write_str("ran out of fuel"),
            Self::OutOfStack => f.write_str("ran out of stack"),
            Self::OutOfMemory => f.write_str("ran out of memory"),
            Self::Malformed(what) => write!(f, "returned malformed output: {what}"),
            Self::Error(message) => write!(f, "returned an error: {message}"),
        }
    }
}

/// How one looked-up value came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// There is a value.
    Present,
    /// There is none: the entity is unknown, its window is empty, or the stored value is null.
    Missing,
    /// There was one, older than the view's TTL.
    Expired,
    /// A transform derived at request time rejected the row.
    Rejected,
    /// A plugin failed on the way to the value.
    Failed,
}

impl Status {
    /// Every status, in the order in which reports list them.
    pub const ALL: [Self; 5] = [Self::Present, Self::Missing, Self::Expired, Self::Rejected, Self::Failed];

    /// The status's name as it travels in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Missing => "missing",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}
