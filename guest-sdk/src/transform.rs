//! Transforms: rows in, the same number of rows out.

use crate::batch::CHUNK;
use crate::outcome::IntoOutcome;
use crate::row::{bind, fields, widen};
use crate::{Batch, Error, Field, Outcome, Output, Params, Plugin, Row, Schemas, Verdict};

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
    Ok(Schemas { input: bind::<I>(offered)?, output: fields::<R::Row>() })
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
    each_row::<I, R>(input.rows, &reader, &mut writer, &mut output, transform);
    output.rows = Batch { rows: input.rows, columns: R::Row::finish(writer) };
    Ok(output)
}

/// The loop of [`map_rows`], as [`in_chunks`](crate::in_chunks) goes through rows, but that what is written is cut too.
#[inline(never)]
fn each_row<'a, I, R>(
    rows: usize,
    reader: &I::Reader,
    writer: &mut <R::Row as Row<'a>>::Writer,
    output: &mut Output,
    transform: impl Fn(I) -> R,
) where
    I: Row<'a>,
    R: IntoOutcome,
    R::Row: Row<'a>,
{
    let mut step =
        |reader: &I::Reader, slots: &mut <R::Row as Row<'a>>::Slots<'_>, row, at| match transform(I::read(reader, row))
            .into_outcome()
        {
            Outcome::Keep(values) => values.write(slots, row),
            Outcome::Drop => {
                R::Row::write_nothing(slots, row);
                output.judge(rows, at, Verdict::Drop);
            }
            Outcome::Reject(reject) => {
                R::Row::write_nothing(slots, row);
                output.judge(rows, at, Verdict::Reject);
                output.rejections.push((at as u32, reject));
            }
        };
    let whole = rows - rows % CHUNK;
    for start in (0..whole).step_by(CHUNK) {
        let chunk = start..start + CHUNK;
        let (reader, mut slots) = (I::part(reader, chunk.clone()), R::Row::slots(writer, chunk));
        for row in 0..CHUNK {
            step(&reader, &mut slots, row, start + row);
        }
    }
    let (reader, mut slots) = (I::part(reader, whole..rows), R::Row::slots(writer, whole..rows));
    for row in 0..rows - whole {
        step(&reader, &mut slots, row, whole + row);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Transform, json};
    use crate::{Plugin, Reject, Row, Timestamp, transform};

    #[derive(Row)]
    struct Every<'a> {
        flag: bool,
        count: i64,
        x: f64,
        text: &'a str,
        owned: Option<String>,
        bytes: &'a [u8],
        blob: Option<Vec<u8>>,
        time: Option<Timestamp>,
        vector: Option<[f32; 2]>,
    }

    const EVERY: &str = "flag: bool, count: int64, x: float64, text: utf8, owned: utf8?, bytes: binary, blob: binary?, \
                         time: timestamp?, vector: vector[2]?";

    /// Hands every value on.
    #[transform]
    fn same<'a>(row: Every<'a>) -> Every<'a> {
        row
    }

    #[test]
    fn every_type_goes_in_and_out() {
        let plugin = Transform::<same>::new(json!({}), EVERY).expect("it configures");
        let rows = json!([
            [true, -5, 1.5, "é", "x", "00ff", "", 7, [1.0, 2.0]],
            [false, 9_007_199_254_740_993_i64, "NaN", "", null, "", null, null, null],
            [false, 0, -0.0, "ab", "", "01", "02", -1, [0.5, -0.0]],
        ]);
        assert_eq!(plugin.apply(rows.clone()).to_string(), rows.to_string());
    }

    #[derive(Row)]
    struct Number {
        x: f64,
    }

    /// Takes the root.
    #[transform(name = "root")]
    fn square_root(row: Number) -> Result<Number, Reject> {
        if row.x < 0.0 {
            return Err(Reject::new("negative", "there is no root"));
        }
        Ok(Number { x: row.x.sqrt() })
    }

    /// Drops what is odd.
    #[transform]
    fn even(row: Number) -> Option<Number> {
        (row.x % 2.0 == 0.0).then_some(row)
    }

    #[test]
    fn a_function_may_drop_and_reject() {
        let plugin = Transform::<square_root>::new(json!({}), "x: int64").expect("it configures");
        let rows = plugin.apply(json!([[4], [-4], [9]]));
        assert_eq!(rows, json!([[2.0], { "reject": "negative" }, [3.0]]));
        let plugin = Transform::<even>::new(json!({}), "x: float64").expect("it configures");
        assert_eq!(plugin.apply(json!([[3.0], [4.0]])), json!(["drop", [4.0]]));
    }

    #[test]
    fn a_plugin_knows_its_name() {
        assert_eq!((square_root::NAME, even::NAME), ("root", "sdk"));
        assert_eq!(even::DOCUMENTATION, "Drops what is odd.");
    }
}
