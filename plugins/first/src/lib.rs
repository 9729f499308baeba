//! The standard plugin `first`.

use std::ops::Range;

use oast_sdk::schema::{EVENT_TIME, only};
use oast_sdk::{
    AnyBuilder, AnyColumn, Batch, BatchAggregate, Column, DataType, Error, Field, MergeLaw, Param, Params, Schemas,
    State, Timestamp, Validity, Value, batch_aggregate, in_chunks,
};

/// The value of the earliest event, by event time; of events at one time, the one that became visible first.
///
/// The column may have any type. Nulls are skipped unless `nulls` is `"keep"`. A late event with an older event time
/// replaces a newer one. Merging is exact. The state takes 10 bytes and the value.
#[batch_aggregate]
#[derive(Debug)]
pub struct First {
    data_type: DataType,
    nulls: Nulls,
}

/// The parameters of [`First`].
#[derive(Debug, Params)]
pub struct Settings {
    /// `"keep"` if the earliest event counts although its value is null; `"skip"`, which is the default, if not.
    #[param(default = Nulls::Skip, example = "keep")]
    nulls: Nulls,
}

/// What to do with nulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Param)]
pub enum Nulls {
    /// Pass over them.
    Skip,
    /// Take them as values.
    Keep,
}

impl Nulls {
    /// Which of these rows count.
    fn counting<'a>(self, values: &AnyColumn<'a>, rows: &Range<usize>) -> Validity<'a> {
        match self {
            Self::Keep => Validity::default(),
            Self::Skip => values.validity(rows.clone()),
        }
    }
}

/// The earliest event so far: its time in microseconds, and the bytes of its value.
#[derive(Debug, Default, State)]
pub struct Earliest {
    event: Option<(i64, Option<Vec<u8>>)>,
}

impl Earliest {
    fn is_replaced_at(&self, time: i64) -> bool {
        self.event.as_ref().is_none_or(|(kept, _)| time < *kept)
    }
}

impl BatchAggregate for First {
    type Params = Settings;
    type State = Earliest;
    type Rows<'a> = (AnyColumn<'a>, &'a [i64]);
    const ORDER_SENSITIVE: bool = true;
    const MERGE_LAW: MergeLaw = MergeLaw::Exact;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let field = only(offered)?;
        let schemas = Schemas {
            input: vec![Field::new("value", field.data_type).nullable(), Field::new(EVENT_TIME, DataType::Timestamp)],
            output: vec![Field::new("first", field.data_type).nullable()],
        };
        let first = Self { data_type: field.data_type, nulls: settings.nulls };
        Ok((first, schemas))
    }

    fn rows<'a>(&self, batch: &'a mut Batch) -> Result<Self::Rows<'a>, Error> {
        let values = AnyColumn::new(batch.column(0)?, self.data_type)?;
        Ok((values, Timestamp::reader(batch.column(1)?)?))
    }

    #[inline(never)]
    fn update(
        &self,
        earliest: &mut Earliest,
        (values, times): &Self::Rows<'_>,
        run: Range<usize>,
    ) -> Result<(), Error> {
        let mut winner = None;
        let mut time_min = earliest.event.as_ref().map(|(kept, _)| *kept);
        let cut = |rows: Range<usize>| (self.nulls.counting(values, &rows), &times[rows]);
        in_chunks(run, cut, |(counts, times), row, at| {
            if counts.is_valid(row) && time_min.is_none_or(|earlier| times[row] < earlier) {
                time_min = Some(times[row]);
                winner = Some((times[row], at));
            }
        });
        if let Some((time, row)) = winner {
            earliest.event = Some((time, values.value(row, <[u8]>::to_vec)));
        }
        Ok(())
    }

    fn merge(&self, earlier: &mut Earliest, later: Earliest) -> Result<(), Error> {
        if later.event.as_ref().is_some_and(|(time, _)| earlier.is_replaced_at(*time)) {
            *earlier = later;
        }
        Ok(())
    }

    fn finish(&self, states: &[Earliest]) -> Result<Vec<Column>, Error> {
        let mut column = AnyBuilder::new(self.data_type);
        for state in states {
            let value = state.event.as_ref().and_then(|(_, value)| value.as_deref());
            column.push(value)?;
        }
        Ok(vec![column.finish()])
    }
}

#[cfg(test)]
mod tests;
