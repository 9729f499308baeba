//! The standard plugin `last`.

use std::ops::Range;

use oast_sdk::schema::{EVENT_TIME, only};
use oast_sdk::{
    AnyBuilder, AnyColumn, Batch, BatchAggregate, Column, DataType, Error, Field, MergeLaw, Param, Params, Schemas,
    State, Timestamp, Validity, Value, batch_aggregate, in_chunks,
};

/// The value of the latest event, by event time; of events at one time, the one that became visible last.
///
/// The column may have any type. Nulls are skipped unless `nulls` is `"keep"`. A late event with an older event time does
/// not replace a newer one.
#[batch_aggregate]
#[derive(Debug)]
pub struct Last {
    data_type: DataType,
    nulls: Nulls,
}

/// The parameters of [`Last`].
#[derive(Debug, Params)]
pub struct Settings {
    /// `"keep"` if the latest event counts although its value is null; `"skip"`, which is the default, if not.
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

/// The latest event so far: its time in microseconds, and the bytes of its value.
#[derive(Debug, Default, State)]
pub struct Latest {
    event: Option<(i64, Option<Vec<u8>>)>,
}

impl Latest {
    fn is_replaced_at(&self, time: i64) -> bool {
        self.event.as_ref().is_none_or(|(kept, _)| time >= *kept)
    }
}

impl BatchAggregate for Last {
    type Params = Settings;
    type State = Latest;
    type Rows<'a> = (AnyColumn<'a>, &'a [i64]);
    const ORDER_SENSITIVE: bool = true;
    const MERGE_LAW: MergeLaw = MergeLaw::Exact;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let field = only(offered)?;
        let schemas = Schemas {
            input: vec![Field::new("value", field.data_type).nullable(), Field::new(EVENT_TIME, DataType::Timestamp)],
            output: vec![Field::new("last", field.data_type).nullable()],
        };
        let last = Self { data_type: field.data_type, nulls: settings.nulls };
        Ok((last, schemas))
    }

    fn rows<'a>(&self, batch: &'a mut Batch) -> Result<Self::Rows<'a>, Error> {
        let values = AnyColumn::new(batch.column(0)?, self.data_type)?;
        Ok((values, Timestamp::reader(batch.column(1)?)?))
    }

    #[inline(never)]
    fn update(&self, latest: &mut Latest, (values, times): &Self::Rows<'_>, run: Range<usize>) -> Result<(), Error> {
        let mut winner = None;
        let mut time_max = latest.event.as_ref().map_or(i64::MIN, |(kept, _)| *kept);
        let cut = |rows: Range<usize>| (self.nulls.counting(values, &rows), &times[rows]);
        in_chunks(run, cut, |(counts, times), row, at| {
            if counts.is_valid(row) && times[row] >= time_max {
                time_max = times[row];
                winner = Some(at);
            }
        });
        if let Some(row) = winner {
            latest.event = Some((time_max, values.value(row, <[u8]>::to_vec)));
        }
        Ok(())
    }

    fn merge(&self, earlier: &mut Latest, later: Latest) -> Result<(), Error> {
        if later.event.as_ref().is_some_and(|(time, _)| earlier.is_replaced_at(*time)) {
            *earlier = later;
        }
        Ok(())
    }

    fn finish(&self, states: &[Latest]) -> Result<Vec<Column>, Error> {
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
