//! The standard plugin `extrema`.

use std::ops::Range;

use oast_sdk::schema::EVENT_TIME;
use oast_sdk::{
    AnyBuilder, AnyColumn, Batch, BatchAggregate, Buffer, Column, DataType, Error, Field, MergeLaw, Schemas, State,
    Timestamp, Value, batch_aggregate,
};

/// The smallest and the largest value of a column, when they occurred, and what another column held then.
///
/// The first column is of float64, int64 or timestamp and keeps its type; an optional second one may have any type and
/// gives `min_arg` and `max_arg`. Nulls and NaN are skipped; -0 is below 0. Of equal values the one with the earlier
/// event time counts, and of those at one time the one whose second column has the smaller bytes (null before any), so
/// that the order of the rows does not matter. Without a value everything is null. Merging is exact. The state takes 36
/// bytes and two values of the second column.
#[batch_aggregate]
#[derive(Debug)]
pub struct Extrema {
    value: DataType,
    arg: Option<DataType>,
}

/// The extremes so far.
#[derive(Debug, Default, State)]
pub struct Found {
    smallest: Option<Extreme>,
    /// With its rank turned round, so that the smallest wins here as well.
    largest: Option<Extreme>,
}

/// One event. The least of them wins: by rank, then by time, then by the bytes of the second column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, State)]
pub struct Extreme {
    /// The value as an integer of the same order.
    rank: i64,
    time: i64,
    arg: Option<Vec<u8>>,
}

/// A batch being read.
#[derive(Debug)]
pub struct Rows<'a> {
    values: &'a Column,
    args: Option<AnyColumn<'a>>,
    times: &'a [i64],
}

impl BatchAggregate for Extrema {
    type Params = ();
    type State = Found;
    type Rows<'a> = Rows<'a>;
    const MERGE_LAW: MergeLaw = MergeLaw::Exact;

    fn configure((): (), offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let (value, arg) = match offered {
            [value] => (value, None),
            [value, arg] => (value, Some(arg)),
            _ => {
                return Err(Error::new(format!(
                    "expected one or two input columns, for example `input = [\"price\", \"seller\"]`, got {}",
                    offered.len()
                )));
            }
        };
        if !matches!(value.data_type, DataType::Float64 | DataType::Int64 | DataType::Timestamp) {
            return Err(Error::new(format!("expected a column of float64, int64 or timestamp, got {value}")));
        }
        let of_value = |name: &str| Field::new(name, value.data_type).nullable();
        let time = |name: &str| Field::new(name, DataType::Timestamp).nullable();
        let mut schemas = Schemas {
            input: vec![of_value("value")],
            output: vec![of_value("min"), of_value("max"), time("min_time"), time("max_time")],
        };
        if let Some(arg) = arg {
            let of_arg = |name: &str| Field::new(name, arg.data_type).nullable();
            schemas.input.push(of_arg("arg"));
            schemas.output.extend([of_arg("min_arg"), of_arg("max_arg")]);
        }
        schemas.input.push(Field::new(EVENT_TIME, DataType::Timestamp));
        Ok((Self { value: value.data_type, arg: arg.map(|arg| arg.data_type) }, schemas))
    }

    fn rows<'a>(&self, batch: &'a mut Batch) -> Result<Rows<'a>, Error> {
        let args = self.arg.map(|data_type| AnyColumn::new(batch.column(1)?, data_type)).transpose()?;
        let times = Timestamp::reader(batch.column(batch.columns.len().saturating_sub(1))?)?;
        Ok(Rows { values: batch.column(0)?, args, times })
    }

    fn update(&self, found: &mut Found, rows: &Rows<'_>, run: Range<usize>) -> Result<(), Error> {
        match &rows.values.buffer {
            Buffer::Float64s(values) => {
                found.take(rows, values, run, |value| (!value.is_nan()).then(|| flip(value.to_bits().cast_signed())))
            }
            Buffer::Int64s(values) | Buffer::Timestamps(values) => found.take(rows, values, run, Some),
            other => return Err(Error::new(format!("a column of {} was not agreed", other.data_type()))),
        }
        Ok(())
    }

    fn merge(&self, earlier: &mut Found, later: Found) -> Result<(), Error> {
        let pairs = [(&mut earlier.smallest, later.smallest), (&mut earlier.largest, later.largest)];
        for (kept, other) in pairs {
            if other.is_some() && (kept.is_none() || other < *kept) {
                *kept = other;
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Found]) -> Result<Vec<Column>, Error> {
        let mut values = [AnyBuilder::new(self.value), AnyBuilder::new(self.value)];
        let mut times = [AnyBuilder::new(DataType::Timestamp), AnyBuilder::new(DataType::Timestamp)];
        let mut args = self.arg.map(|data_type| [AnyBuilder::new(data_type), AnyBuilder::new(data_type)]);
        for state in states {
            let ranks = [state.smallest.as_ref().map(|e| e.rank), state.largest.as_ref().map(|e| !e.rank)];
            for (end, event) in [&state.smallest, &state.largest].into_iter().enumerate() {
                values[end].push(ranks[end].map(|rank| self.unranked(rank)).as_ref().map(|bytes| &bytes[..]))?;
                times[end]
                    .push(event.as_ref().map(|event| event.time.to_le_bytes()).as_ref().map(|bytes| &bytes[..]))?;
                if let Some(args) = &mut args {
                    args[end].push(event.as_ref().and_then(|event| event.arg.as_deref()))?;
                }
            }
        }
        let builders = values.into_iter().chain(times).chain(args.into_iter().flatten());
        Ok(builders.map(AnyBuilder::finish).collect())
    }
}

impl Extrema {
    /// The bytes of the value that has a rank.
    fn unranked(&self, rank: i64) -> [u8; 8] {
        if self.value == DataType::Float64 { flip(rank).to_le_bytes() } else { rank.to_le_bytes() }
    }
}

/// Keeps an event if it wins; its second column is only copied then.
fn offer(kept: &mut Option<Extreme>, (rank, time, arg): (i64, i64, impl FnOnce() -> Option<Vec<u8>>)) {
    if kept.as_ref().is_some_and(|kept| (kept.rank, kept.time) < (rank, time)) {
        return;
    }
    let event = Some(Extreme { rank, time, arg: arg() });
    if kept.is_none() || event < *kept {
        *kept = event;
    }
}

impl Found {
    /// Takes in a run of rows; `rank` gives an integer that is ordered as the value is, or nothing for NaN.
    fn take<T: Copy>(&mut self, rows: &Rows<'_>, values: &[T], run: Range<usize>, rank: impl Fn(T) -> Option<i64>) {
        let (values, times) = (&values[run.clone()], &rows.times[run.clone()]);
        for ((row, value), time) in run.zip(values).zip(times) {
            let rank = if rows.values.is_null(row) { None } else { rank(*value) };
            let Some(rank) = rank else { continue };
            let arg = || rows.args.and_then(|args| args.value(row, <[u8]>::to_vec));
            offer(&mut self.smallest, (rank, *time, arg));
            offer(&mut self.largest, (!rank, *time, arg));
        }
    }
}

/// The bits of a double as an integer of the same order, and back: those of negative numbers run the other way.
fn flip(bits: i64) -> i64 {
    bits ^ ((bits >> 63) & i64::MAX)
}

#[cfg(test)]
mod tests;
