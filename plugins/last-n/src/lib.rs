//! The standard plugin `last-n`.

use std::ops::Range;

use oast_sdk::schema::{EVENT_TIME, only};
use oast_sdk::{
    AnyBuilder, AnyColumn, Batch, BatchAggregate, Column, DataType, Error, Field, Json, MergeLaw, Param, Params,
    Schemas, State, Timestamp, Value, batch_aggregate,
};

/// The longest text or binary value that is kept whole, in bytes.
const VALUE_BYTES_MAX: usize = 1000;

/// The values of the last `n` events, by event time; of events at one time, the one that became visible later counts as
/// later.
///
/// `last_1` is the latest value, `last_2` the one before it, and so on; null where there were not as many. The column
/// may have any type; nulls are skipped, and of texts and binary values the first 1000 bytes are kept (of a text, whole
/// characters). Merging is exact. The state takes 12 bytes and the value for each event, 64 KB at most.
#[batch_aggregate]
#[derive(Debug)]
pub struct LastN {
    data_type: DataType,
    n: usize,
}

/// The parameters of [`LastN`].
#[derive(Debug, Params)]
pub struct Settings {
    /// How many values.
    n: Count,
}

/// How many events are kept.
#[derive(Debug, Clone, Copy)]
pub struct Count(u32);

impl Param for Count {
    const EXPECTED: &'static str = "an integer from 1 to 64";
    const EXAMPLE: &'static str = "3";

    fn from_json(json: &Json) -> Option<Self> {
        u32::from_json(json).filter(|count| (1..=64).contains(count)).map(Self)
    }
}

/// The latest events so far, the oldest first: their times in microseconds and the bytes of their values.
#[derive(Debug, Default, State)]
pub struct Latest {
    events: Vec<(i64, Vec<u8>)>,
}

impl Latest {
    /// Takes in an event behind those of its time and before it, and lets go of the oldest.
    fn insert(&mut self, time: i64, n: usize, value: impl FnOnce() -> Vec<u8>) {
        let place = self.events.partition_point(|(kept, _)| *kept <= time);
        if self.events.len() < n {
            self.events.insert(place, (time, value()));
        } else if place > 0 {
            self.events[..place].rotate_left(1);
            self.events[place - 1] = (time, value());
        }
    }
}

impl BatchAggregate for LastN {
    type Params = Settings;
    type State = Latest;
    type Rows<'a> = (AnyColumn<'a>, &'a [i64]);
    const ORDER_SENSITIVE: bool = true;
    const MERGE_LAW: MergeLaw = MergeLaw::Exact;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let field = only(offered)?;
        let Count(n) = settings.n;
        if let DataType::Vector(width) = field.data_type {
            let most = 15_000 / width.max(1);
            if n > most {
                return Err(Error::new(format!(
                    "parameter `n`: expected at most {most} for vectors of this width, for example `1`, got `{n}`"
                )));
            }
        }
        let output = |at: u32| Field::new(format!("last_{at}"), field.data_type).nullable();
        let schemas = Schemas {
            input: vec![Field::new("value", field.data_type).nullable(), Field::new(EVENT_TIME, DataType::Timestamp)],
            output: (1..=n).map(output).collect(),
        };
        Ok((Self { data_type: field.data_type, n: n as usize }, schemas))
    }

    fn rows<'a>(&self, batch: &'a mut Batch) -> Result<Self::Rows<'a>, Error> {
        let values = AnyColumn::new(batch.column(0)?, self.data_type)?;
        Ok((values, Timestamp::reader(batch.column(1)?)?))
    }

    fn update(&self, latest: &mut Latest, (values, times): &Self::Rows<'_>, run: Range<usize>) -> Result<(), Error> {
        for row in run {
            values.value(row, |bytes| latest.insert(times[row], self.n, || self.cut(bytes).to_vec()));
        }
        Ok(())
    }

    fn merge(&self, earlier: &mut Latest, later: Latest) -> Result<(), Error> {
        for (time, value) in later.events {
            earlier.insert(time, self.n, || value);
        }
        Ok(())
    }

    fn finish(&self, states: &[Latest]) -> Result<Vec<Column>, Error> {
        let column = |back: usize| {
            let mut column = AnyBuilder::new(self.data_type);
            for state in states {
                let event = state.events.len().checked_sub(back).map(|at| &state.events[at]);
                column.push(event.map(|(_, value)| value.as_slice()))?;
            }
            Ok(column.finish())
        };
        (1..=self.n).map(column).collect()
    }
}

impl LastN {
    /// The beginning of a long value; of a text whole characters.
    fn cut<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        match self.data_type {
            DataType::Utf8 | DataType::Binary if bytes.len() > VALUE_BYTES_MAX => {
                let is_inside = |at: &usize| self.data_type == DataType::Utf8 && bytes[*at] & 0xc0 == 0x80;
                let end = (0..=VALUE_BYTES_MAX).rev().find(|at| !is_inside(at)).unwrap_or(0);
                &bytes[..end]
            }
            _ => bytes,
        }
    }
}

#[cfg(test)]
mod tests;
