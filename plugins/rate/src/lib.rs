//! The standard plugin `rate`.

use std::ops::Range;

use oast_sdk::schema::{EVENT_TIME, only};
use oast_sdk::{
    AnyColumn, Batch, BatchAggregate, Buffer, Column, DataType, Error, Field, Json, MergeLaw, Param, Params, Schemas,
    State, Timestamp, Value, batch_aggregate, in_chunks,
};

/// How often events happen: `rate` events for every `per_seconds`.
///
/// With `window_seconds`, which should be the length of the aggregate's window, `rate = count / window_seconds *
/// per_seconds`. Without it, `rate = (count - 1) / (last - first) * per_seconds`, where first and last are the earliest
/// and the latest event time: the inverse of the mean time between events, which is null for fewer than two times.
///
/// Events count whose column, of any type, is not null. `count` is how many. Neither the order of the rows nor how they
/// are split matters. The state takes 24 bytes.
#[batch_aggregate]
#[derive(Debug)]
pub struct Rate {
    data_type: DataType,
    settings: Settings,
}

/// The parameters of [`Rate`].
#[derive(Debug, Params)]
pub struct Settings {
    /// The unit of time: 1 when absent; 3600 for events an hour.
    #[param(default = Seconds(1.0))]
    per_seconds: Seconds,
    /// The length of the window.
    window_seconds: Option<Seconds>,
}

/// A time in seconds, above 0.
#[derive(Debug, Clone, Copy)]
pub struct Seconds(f64);

impl Param for Seconds {
    const EXPECTED: &'static str = "a number of seconds above 0";
    const EXAMPLE: &'static str = "3600";

    fn from_json(json: &Json) -> Option<Self> {
        json.as_f64().filter(|seconds| *seconds > 0.0).map(Self)
    }
}

/// The events so far; the times, in microseconds, count for nothing while there are none.
#[derive(Debug, Default, State)]
pub struct Seen {
    count: i64,
    first: i64,
    last: i64,
}

impl Seen {
    fn add(&mut self, other: Self) {
        if self.count == 0 {
            *self = other;
        } else if other.count > 0 {
            self.count = self.count.saturating_add(other.count);
            self.first = self.first.min(other.first);
            self.last = self.last.max(other.last);
        }
    }

    fn rate(&self, settings: &Settings) -> Option<f64> {
        let per_second = match settings.window_seconds {
            Some(Seconds(window)) => self.count as f64 / window,
            None if self.count < 2 || self.first == self.last => return None,
            None => (self.count - 1) as f64 / (self.last.abs_diff(self.first) as f64 / 1e6),
        };
        Some(per_second * settings.per_seconds.0)
    }
}

impl BatchAggregate for Rate {
    type Params = Settings;
    type State = Seen;
    type Rows<'a> = (AnyColumn<'a>, &'a [i64]);
    const MERGE_LAW: MergeLaw = MergeLaw::Exact;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let data_type = only(offered)?.data_type;
        let schemas = Schemas {
            input: vec![Field::new("value", data_type).nullable(), Field::new(EVENT_TIME, DataType::Timestamp)],
            output: vec![Field::new("rate", DataType::Float64).nullable(), Field::new("count", DataType::Int64)],
        };
        Ok((Self { data_type, settings }, schemas))
    }

    fn rows<'a>(&self, batch: &'a mut Batch) -> Result<Self::Rows<'a>, Error> {
        let values = AnyColumn::new(batch.column(0)?, self.data_type)?;
        Ok((values, Timestamp::reader(batch.column(1)?)?))
    }

    #[inline(never)]
    fn update(&self, seen: &mut Seen, (values, times): &Self::Rows<'_>, run: Range<usize>) -> Result<(), Error> {
        let mut more = Seen { count: 0, first: i64::MAX, last: i64::MIN };
        let cut = |rows: Range<usize>| (values.validity(rows.clone()), &times[rows]);
        in_chunks(run, cut, |(valid, times), row, _| {
            if valid.is_valid(row) {
                more.count += 1;
                more.first = more.first.min(times[row]);
                more.last = more.last.max(times[row]);
            }
        });
        if more.count > 0 {
            seen.add(more);
        }
        Ok(())
    }

    fn merge(&self, earlier: &mut Seen, later: Seen) -> Result<(), Error> {
        earlier.add(later);
        Ok(())
    }

    fn finish(&self, states: &[Seen]) -> Result<Vec<Column>, Error> {
        let rates: Vec<Option<f64>> = states.iter().map(|state| state.rate(&self.settings)).collect();
        let counts = states.iter().map(|state| state.count).collect();
        let rate = Column {
            validity: rates.contains(&None).then(|| rates.iter().map(|rate| rate.is_some().into()).collect()),
            buffer: Buffer::Float64s(rates.into_iter().map(Option::unwrap_or_default).collect()),
        };
        Ok(vec![rate, Column { buffer: Buffer::Int64s(counts), validity: None }])
    }
}

#[cfg(test)]
mod tests;
