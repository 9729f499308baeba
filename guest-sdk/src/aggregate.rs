//! Aggregates: rows fold into states, states merge, a state finishes into a row.

use std::marker::PhantomData;
use std::ops::Range;

use crate::batch::{CHUNK, in_chunks};
use crate::row::{bind, fields, widen};
use crate::{Batch, Blobs, Column, Error, Field, Params, Plugin, Row, Schemas, State};

/// What an aggregate promises of merging: how the features of merged states compare with those of one state into which all
/// the rows were folded in their order. The host holds a plugin to it before it publishes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeLaw {
    /// They are the same bits, wherever the rows were split.
    Exact,
    /// They are equal up to the rounding of floating-point arithmetic.
    Rounded,
    /// Both keep within the error that the documentation states, as sketches do.
    Approximate,
}

/// An aggregate over rows that are structs. The struct that implements it is the state; put `#[aggregate]` on it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no aggregate yet",
    note = "write `impl oast_sdk::Aggregate` for it, with `update`, `merge` and `finish`"
)]
pub trait Aggregate: State + Default + 'static {
    /// A row of input.
    type Input<'a>: Row<'a>;
    /// The features.
    type Output: for<'a> Row<'a>;
    /// The parameters; `()` when there are none.
    type Params: Params;
    /// Whether the order of the rows decides the result by more than rounding.
    const ORDER_SENSITIVE: bool = false;
    /// What merging states comes to beside folding all the rows into one.
    const MERGE_LAW: MergeLaw = MergeLaw::Rounded;

    /// Folds one row into the state.
    fn update(&mut self, row: Self::Input<'_>, params: &Self::Params);

    /// Takes in a state of rows that come after this one's.
    fn merge(&mut self, later: Self, params: &Self::Params);

    /// The features of the rows so far.
    fn finish(&self, params: &Self::Params) -> Self::Output;
}

/// An aggregate that works on whole columns, for schemas that depend on the columns at hand. [`Aggregate`] is a thin layer
/// over it.
///
/// Put `#[batch_aggregate]` on the struct. A state of no rows is `State::default()`, which crosses the boundary as no bytes;
/// the SDK never hands a state that no row has touched to `merge`.
pub trait BatchAggregate: Plugin {
    /// The parameters; `()` when there are none.
    type Params: Params;
    /// What rows fold into.
    type State: State + Default;
    /// A batch being read.
    type Rows<'a>;
    /// Whether the order of the rows decides the result by more than rounding.
    const ORDER_SENSITIVE: bool = false;
    /// What merging states comes to beside folding all the rows into one.
    const MERGE_LAW: MergeLaw = MergeLaw::Rounded;

    /// Checks parameters against the columns at hand and fixes the schemas.
    fn configure(params: Self::Params, offered: &[Field]) -> Result<(Self, Schemas), Error>;

    /// Starts to read a batch whose columns are the input schema's.
    fn rows<'a>(&self, batch: &'a mut Batch) -> Result<Self::Rows<'a>, Error>;

    /// Folds a run of rows into the state.
    fn update(&self, state: &mut Self::State, rows: &Self::Rows<'_>, run: Range<usize>) -> Result<(), Error>;

    /// Takes a state of later rows into one of earlier rows.
    fn merge(&self, earlier: &mut Self::State, later: Self::State) -> Result<(), Error>;

    /// Turns states into the columns of the output schema, one row each.
    fn finish(&self, states: &[Self::State]) -> Result<Vec<Column>, Error>;
}

/// An [`Aggregate`] with its parameters: what the component runs.
pub struct Fold<A: Aggregate> {
    params: A::Params,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Aggregate + Plugin> Plugin for Fold<A> {
    const NAME: &'static str = A::NAME;
    const VERSION: &'static str = A::VERSION;
    const DOCUMENTATION: &'static str = A::DOCUMENTATION;
}

impl<A: Aggregate> Fold<A> {
    #[inline(never)]
    fn fold_few<'a>(&self, state: &mut A, rows: &<A::Input<'a> as Row<'a>>::Reader, run: Range<usize>) {
        let (count, rows) = (run.len(), <A::Input<'a> as Row<'a>>::part(rows, run));
        for row in 0..count {
            state.update(<A::Input<'a> as Row<'a>>::read(&rows, row), &self.params);
        }
    }

    /// What the state consists of can stay in registers while it is a variable of its own, which pays for moving it there and back.
    #[inline(never)]
    fn fold_many<'a>(&self, state: &mut A, rows: &<A::Input<'a> as Row<'a>>::Reader, run: Range<usize>) {
        let mut folded = std::mem::take(state);
        let cut = |run| <A::Input<'a> as Row<'a>>::part(rows, run);
        in_chunks(run, cut, |rows, row, _| folded.update(<A::Input<'a> as Row<'a>>::read(rows, row), &self.params));
        *state = folded;
    }
}

impl<A: Aggregate + Plugin> BatchAggregate for Fold<A> {
    type Params = A::Params;
    type State = A;
    type Rows<'a> = <A::Input<'a> as Row<'a>>::Reader;
    const ORDER_SENSITIVE: bool = A::ORDER_SENSITIVE;
    const MERGE_LAW: MergeLaw = A::MERGE_LAW;

    fn configure(params: A::Params, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let schemas = Schemas { input: bind::<A::Input<'_>>(offered)?, output: fields::<A::Output>() };
        let fold = Self { params, aggregate: PhantomData };
        Ok((fold, schemas))
    }

    fn rows<'a>(&self, batch: &'a mut Batch) -> Result<Self::Rows<'a>, Error> {
        widen(batch, <A::Input<'a> as Row<'a>>::FIELDS);
        <A::Input<'a> as Row<'a>>::reader(batch)
    }

    fn update(&self, state: &mut A, rows: &Self::Rows<'_>, run: Range<usize>) -> Result<(), Error> {
        if run.len() < CHUNK {
            self.fold_few(state, rows, run)
        } else {
            self.fold_many(state, rows, run)
        }
        Ok(())
    }

    fn merge(&self, earlier: &mut A, later: A) -> Result<(), Error> {
        earlier.merge(later, &self.params);
        Ok(())
    }

    fn finish(&self, states: &[A]) -> Result<Vec<Column>, Error> {
        let mut writer = A::Output::writer(states.len());
        for (row, state) in states.iter().enumerate() {
            state.finish(&self.params).write(&mut A::Output::slots(&mut writer, row..row + 1), 0);
        }
        Ok(A::Output::finish(writer))
    }
}

/// `aggregate.update` of the contract.
pub(crate) fn update<A: BatchAggregate>(
    plugin: &A,
    states: &Blobs,
    group_rows: &[u32],
    mut rows: Batch,
) -> Result<Blobs, Error> {
    let groups = Groups::new(group_rows, rows.rows)?;
    if groups.len() != states.len() {
        return Err(Error::new("there are not as many groups as states"));
    }
    let reader = plugin.rows(&mut rows)?;
    let mut updated = Blobs::with_capacity(states.len());
    for (index, run) in groups.enumerate() {
        if run.is_empty() {
            updated.push(states.get(index));
            continue;
        }
        let mut state = decode::<A::State>(states.get(index))?;
        plugin.update(&mut state, &reader, run)?;
        state.encode(&mut updated.bytes);
        updated.end();
    }
    Ok(updated)
}

/// `aggregate.merge` of the contract.
pub(crate) fn merge<A: BatchAggregate>(plugin: &A, states: &Blobs, group_states: &[u32]) -> Result<Blobs, Error> {
    let mut merged = Blobs::with_capacity(group_states.len());
    for run in Groups::new(group_states, states.len())? {
        let mut later = touched(states, run);
        match (later.next(), later.next()) {
            (None, _) => merged.end(),
            // A run of one gives that state, byte for byte, whether or not it could be read.
            (Some(only), None) => merged.push(only),
            (Some(first), Some(second)) => {
                merge_run(plugin, [first, second].into_iter().chain(later))?.encode(&mut merged.bytes);
                merged.end();
            }
        }
    }
    Ok(merged)
}

/// `aggregate.finish` of the contract.
pub(crate) fn finish<A: BatchAggregate>(plugin: &A, states: &Blobs, group_states: &[u32]) -> Result<Batch, Error> {
    let merged = Groups::new(group_states, states.len())?
        .map(|run| merge_run(plugin, touched(states, run)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Batch { rows: merged.len(), columns: plugin.finish(&merged)? })
}

/// The states of a run that some row has touched; the others change nothing.
fn touched(states: &Blobs, run: Range<usize>) -> impl Iterator<Item = &[u8]> {
    run.map(|index| states.get(index)).filter(|bytes| !bytes.is_empty())
}

/// A function of its own, as loops over rows are.
#[inline(never)]
fn merge_run<'s, A: BatchAggregate>(plugin: &A, mut run: impl Iterator<Item = &'s [u8]>) -> Result<A::State, Error> {
    let Some(first) = run.next() else {
        return Ok(A::State::default());
    };
    let mut merged = decode::<A::State>(first)?;
    for bytes in run {
        plugin.merge(&mut merged, decode(bytes)?)?;
    }
    Ok(merged)
}

fn decode<S: State + Default>(bytes: &[u8]) -> Result<S, Error> {
    if bytes.is_empty() {
        return Ok(S::default());
    }
    crate::state::from_bytes(bytes)
}

/// Runs of neighbours, from their lengths.
struct Groups<'a> {
    lengths: std::slice::Iter<'a, u32>,
    start: usize,
}

impl<'a> Groups<'a> {
    fn new(lengths: &'a [u32], total: usize) -> Result<Self, Error> {
        let sum: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
        if sum != total as u64 {
            return Err(Error::new(format!("the groups hold {sum} of {total} elements")));
        }
        Ok(Self { lengths: lengths.iter(), start: 0 })
    }
}

impl Iterator for Groups<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.start;
        self.start += *self.lengths.next()? as usize;
        Some(start..self.start)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.lengths.size_hint()
    }
}

impl ExactSizeIterator for Groups<'_> {}

#[cfg(test)]
mod tests {
    use super::{finish, merge, update};
    use crate::testing::{batch, json, rows, schema};
    use crate::{Aggregate, BatchAggregate, Blobs, Fold, Row, State, aggregate};

    /// Spells the inputs one after another.
    #[aggregate(name = "spell")]
    #[derive(Debug, Default, State)]
    struct Spelling {
        text: String,
    }

    #[derive(Row)]
    struct Text<'a> {
        text: &'a str,
    }

    #[derive(Row)]
    struct Spelled {
        text: String,
    }

    impl Aggregate for Spelling {
        type Input<'a> = Text<'a>;
        type Output = Spelled;
        type Params = ();
        const ORDER_SENSITIVE: bool = true;

        fn update(&mut self, row: Text<'_>, _: &()) {
            self.text.push_str(row.text);
        }

        fn merge(&mut self, later: Self, _: &()) {
            self.text.push_str(&later.text);
        }

        fn finish(&self, _: &()) -> Spelled {
            Spelled { text: self.text.clone() }
        }
    }

    fn plugin() -> Fold<Spelling> {
        Fold::configure((), &schema("text: utf8")).expect("it configures").0
    }

    fn blobs(strings: &[&[u8]]) -> Blobs {
        let mut blobs = Blobs::default();
        strings.iter().for_each(|string| blobs.push(string));
        blobs
    }

    #[test]
    fn rows_go_to_their_groups() {
        let input = batch(&schema("text: utf8"), &json!([["a"], ["b"], ["c"]]));
        let states = blobs(&[b"\x01\0\0\0x", b"", b""]);
        let states = update(&plugin(), &states, &[1, 0, 2], input).expect("it folds");
        assert_eq!(states, blobs(&[b"\x02\0\0\0xa", b"", b"\x02\0\0\0bc"]));
        let merged = merge(&plugin(), &states, &[0, 2, 1]).expect("it merges");
        assert_eq!(merged, blobs(&[b"", b"\x02\0\0\0xa", b"\x02\0\0\0bc"]));
        let finished = finish(&plugin(), &states, &[3, 0]).expect("it finishes");
        assert_eq!(json!(rows(&schema("text: utf8"), &finished)), json!([["xabc"], [""]]));
    }

    #[test]
    fn groups_must_add_up() {
        let error = merge(&plugin(), &blobs(&[b"", b""]), &[1]).expect_err("one is left over");
        assert_eq!(error.to_string(), "the groups hold 1 of 2 elements");
        let input = batch(&schema("text: utf8"), &json!([["a"]]));
        let error = update(&plugin(), &blobs(&[b"", b""]), &[1], input).expect_err("two states");
        assert_eq!(error.to_string(), "there are not as many groups as states");
    }

    #[test]
    fn corrupt_states_are_errors() {
        let states = blobs(&[b"\x09\0\0\0x"]);
        let error = finish(&plugin(), &states, &[1]).expect_err("the text is cut");
        assert_eq!(error.to_string(), "the state is corrupt: it ends too soon");
    }
}
