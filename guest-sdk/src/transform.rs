//! Transforms: rows in, the same number of rows out.

use crate::outcome::IntoOutcome;
use crate::row::{bind, fields, widen};
use crate::{
    Batch, Error, Field, Outcome, Output, Params, Plugin, Row, Schemas, Verdict,
};

/// A transform that works on whole columns, for schemas that depend on the columns at hand. `#[transform]` on a function
/// is a thin layer over it.
///
/// Put `#[batch_transform]` on the struct. Each row must come out as if it had been alone in its batch: the host checks.
pub trait BatchTransform: Plugin {
    /// The parameters; `()` when there are none.
    type Params: Params;

    /// Checks parameters against the columns at hand and fixes the schemas.
    fn configure(params: Self::Params, offered: &[Field]) -> Result<(Self, Schemas), Error>;

    /// Transforms a batch whose columns are the input schema's.
    fn apply(&self, input: Batch) -> Result<Output, Error>;
}

/// The schemas of a function from row to row, which is not called.
#[doc(hidden)]
pub fn schemas<'a, I, R>(offered: &[Field], _: impl Fn(I) -> R) -> Result<Schemas, Error>
where
    I: Row<'a>,
    R: IntoOutcome,
    R::Row: Row<'a>,
{
    Ok(Schemas {
        input: bind::<I>(offered)?,
        output: fields::<R::Row>(),
    })
}

/// Calls a function for every row of a batch.
#[doc(hidden)]
pub fn map_rows<'a, I, R>(input: &'a mut Batch, transform: impl Fn(I) -> R) -> Result<Output, Error>
where
    I: Row<'a>,
    R: IntoOutcome,
    R::Row: Row<'a>,
{
    widen(input, I::FIELDS);
    let input: &'a Batch = input;
    let reader = I::reader(input)?;
    let mut writer = R::Row::writer(input.rows);
    let mut output = Output::default();
    for row in 0..input.rows {
        match transform(I::read(&reader, row)).into_outcome() {
            Outcome::Keep(values) => values.write(&mut writer),
            Outcome::Drop => {
                R::Row::write_nothing(&mut writer);
                output.judge(input.rows, row, Verdict::Drop);
            }
            Outcome::Reject(reject) => {
                R::Row::write_nothing(&mut writer);
                output.judge(input.rows, row, Verdict::Reject);
                output.rejections.push((row as u32, reject));
            }
        }
    }
    output.rows = Batch {
        rows: input.rows,
        columns: R::Row::finish(writer),
    };
    Ok(output)
}
