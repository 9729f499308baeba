//! What becomes of a row.

use std::borrow::Cow;

use crate::Batch;

/// What a transform says of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The row goes on with these values.
    Keep(T),
    /// The row ends here, as the transform intends; nothing is wrong with it.
    Drop,
    /// The row could not be transformed.
    Reject(Reject),
}

impl<T> Outcome<T> {
    /// Rejects the row: a short code in lower case with underscores, and one sentence for a person.
    pub fn reject(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::Reject(Reject::new(code, message))
    }
}

/// Why a row was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// A short code in lower case with underscores, for example `negative_distance`.
    pub code: Cow<'static, str>,
    /// One sentence for a person.
    pub message: String,
}

impl Reject {
    /// A rejection with this code and message.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// What a transform's function may return: a row, an [`Outcome`], an `Option` whose `None` drops the row, or a `Result`
/// whose error rejects it. `#[derive(Row)]` implements it for the row.
#[diagnostic::on_unimplemented(
    message = "a transform cannot return `{Self}`",
    note = "return a struct with `#[derive(oast_sdk::Row)]`, or an `Option`, a `Result<_, Reject>` or an `Outcome` of one"
)]
pub trait IntoOutcome {
    /// The row within.
    type Row;

    /// The outcome it stands for.
    fn into_outcome(self) -> Outcome<Self::Row>;
}

impl<T> IntoOutcome for Outcome<T> {
    type Row = T;

    fn into_outcome(self) -> Outcome<T> {
        self
    }
}

impl<T> IntoOutcome for Option<T> {
    type Row = T;

    fn into_outcome(self) -> Outcome<T> {
        self.map_or(Outcome::Drop, Outcome::Keep)
    }
}

impl<T> IntoOutcome for Result<T, Reject> {
    type Row = T;

    fn into_outcome(self) -> Outcome<T> {
        self.map_or_else(Outcome::Reject, Outcome::Keep)
    }
}

/// What becomes of a row, without its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The row goes on.
    Keep,
    /// The row ends here.
    Drop,
    /// The row could not be transformed.
    Reject,
}

/// The transformed rows of a batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    /// As many rows as came in, in the same order; the values of a row that is not kept count for nothing.
    pub rows: Batch,
    /// One verdict a row; absent when every row is kept.
    pub verdicts: Option<Vec<Verdict>>,
    /// The rejected rows by their place in the batch, in row order.
    pub rejections: Vec<(u32, Reject)>,
}

impl Output {
    /// Sets the verdict of a row. Rows not mentioned are kept.
    pub(crate) fn judge(&mut self, rows: usize, row: usize, verdict: Verdict) {
        let verdicts = self.verdicts.get_or_insert_with(|| vec![Verdict::Keep; rows]);
        verdicts[row] = verdict;
    }
}
