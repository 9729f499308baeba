//! The standard plugin `time-parts`.

use oast_sdk::schema::only;
use oast_sdk::{
    Batch, BatchTransform, Buffer, Column, DataType, Error, Field, Json, Output, Param, Params, Schemas,
    batch_transform,
};

mod part;
mod zone;

use part::Part;
use zone::{Local, Zone};

/// What the clock and the calendar show at a time: hour, weekday, position in the year and so on.
///
/// - int64: `year`, `quarter` (1 to 4), `month` (1 to 12), `day` (1 to 31), `day_of_year` (1 to 366), `week` (the week
///   of ISO 8601, 1 to 53), `weekday` (0 for Monday to 6 for Sunday), `hour`, `minute`, `second`
/// - bool: `is_weekend`
/// - float64, so that the end of a cycle is next to its beginning: `day_sin` and `day_cos` are `sin(2 pi f)` and `cos(2
///   pi f)` for the fraction f of the day that has passed; `week_sin` and `week_cos` likewise for the week, which
///   begins on Monday; `year_sin` and `year_cos` for the year
///
/// The time is local: `offset_seconds` east of UTC, and from each of `transitions` on another offset. A zone's rules
/// change by law, so that they would make the past depend on when it is computed; a table in the definition does not.
/// Python's `zoneinfo` and `zdump -v` print it.
#[batch_transform]
#[derive(Debug)]
pub struct TimeParts {
    parts: Vec<Part>,
    zone: Zone,
}

/// The parameters of [`TimeParts`].
#[derive(Debug, Params)]
pub struct Settings {
    /// The parts, each of which becomes a column of its name.
    parts: Parts,
    /// How far the local time is ahead of UTC, before the first transition.
    #[param(default = 0)]
    offset_seconds: i64,
    /// When the offset changes: pairs of a Unix time in seconds and the offset from then on, in seconds.
    #[param(default = Transitions(Vec::new()))]
    transitions: Transitions,
}

/// Parts, none twice.
#[derive(Debug)]
pub struct Parts(Vec<Part>);

impl Param for Parts {
    const EXPECTED: &'static str = "a list of different ones of year, quarter, month, day, day_of_year, week, weekday, \
                                    hour, minute, second, is_weekend, day_sin, day_cos, week_sin, week_cos, year_sin, \
                                    year_cos";
    const EXAMPLE: &'static str = "[\"hour\", \"weekday\"]";

    fn from_json(json: &Json) -> Option<Self> {
        let parts: Vec<Part> =
            json.as_array()?.iter().map(|name| Part::named(name.as_str()?)).collect::<Option<_>>()?;
        let different = (1..parts.len()).all(|at| !parts[..at].contains(&parts[at]));
        (different && !parts.is_empty()).then_some(Self(parts))
    }
}

/// When an offset begins, and the offset.
#[derive(Debug)]
pub struct Transitions(Vec<(i64, i64)>);

impl Param for Transitions {
    const EXPECTED: &'static str = "a list of pairs of ascending Unix times and offsets, in seconds";
    const EXAMPLE: &'static str = "[[1774746000, 7200], [1792890000, 3600]]";

    fn from_json(json: &Json) -> Option<Self> {
        let pair = |pair: &Json| match pair.as_array()?.as_slice() {
            [time, offset] => Some((time.as_i64()?, offset.as_i64()?)),
            _ => None,
        };
        let transitions: Vec<(i64, i64)> = json.as_array()?.iter().map(pair).collect::<Option<_>>()?;
        let ascending = transitions.is_sorted_by(|left, right| left.0 < right.0);
        (ascending && transitions.iter().all(|(_, offset)| Zone::allows(*offset))).then_some(Self(transitions))
    }
}

impl BatchTransform for TimeParts {
    type Params = Settings;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let field = only(offered)?;
        if field.data_type != DataType::Timestamp {
            return Err(Error::new(format!("expected a column of timestamp, got {field}")));
        }
        if !Zone::allows(settings.offset_seconds) {
            return Err(Error::new(format!(
                "parameter `offset_seconds`: expected less than a day either way, for example `3600`, got `{}`",
                settings.offset_seconds
            )));
        }
        let parts = settings.parts.0;
        let output = |part: &Part| Field { nullable: field.nullable, ..Field::new(part.name(), part.data_type()) };
        let schemas = Schemas { input: vec![field.clone()], output: parts.iter().map(output).collect() };
        let zone = Zone::new(settings.offset_seconds, settings.transitions.0);
        Ok((Self { parts, zone }, schemas))
    }

    fn apply(&self, input: Batch) -> Result<Output, Error> {
        let times = input.column(0)?;
        let Buffer::Timestamps(micros) = &times.buffer else {
            return Err(Error::new(format!("a column of {} was not agreed", times.buffer.data_type())));
        };
        let locals: Vec<Local> = micros.iter().map(|micros| self.zone.local(*micros)).collect();
        let column = |part: &Part| {
            let buffer = match part.data_type() {
                DataType::Bool => Buffer::Bools(locals.iter().map(|local| part.integer(local) as u8).collect()),
                DataType::Int64 => Buffer::Int64s(locals.iter().map(|local| part.integer(local)).collect()),
                _ => Buffer::Float64s(locals.iter().map(|local| part.wave(local)).collect()),
            };
            Column { buffer, validity: times.validity.clone() }
        };
        let columns = self.parts.iter().map(column).collect();
        Ok(Output { rows: Batch { rows: input.rows, columns }, ..Output::default() })
    }
}

#[cfg(test)]
mod tests;
