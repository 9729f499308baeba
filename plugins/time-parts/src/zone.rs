//! From a time to what the clock and the calendar show.

use oast_sdk::Date;

pub(crate) const DAY_MICROS: i64 = 86_400_000_000;

/// Offsets from UTC by time.
#[derive(Debug)]
pub(crate) struct Zone {
    offset_seconds: i64,
    /// Unix times in seconds, ascending, and the offset from then on.
    transitions: Vec<(i64, i64)>,
}

/// A local time.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) date: Date,
    /// Since 1 January 1970.
    pub(crate) days: i64,
    /// Since midnight.
    pub(crate) micros: i64,
}

impl Zone {
    pub(crate) fn new(offset_seconds: i64, transitions: Vec<(i64, i64)>) -> Self {
        Self { offset_seconds, transitions }
    }

    /// Whether an offset is less than a day.
    pub(crate) fn allows(offset_seconds: i64) -> bool {
        offset_seconds.abs() < 86_400
    }

    pub(crate) fn local(&self, micros: i64) -> Local {
        let seconds = micros.div_euclid(1_000_000);
        let begun = self.transitions.partition_point(|(time, _)| *time <= seconds);
        let offset = begun.checked_sub(1).map_or(self.offset_seconds, |last| self.transitions[last].1);
        // Days and microseconds apart, so that the ends of time do not overflow.
        let shifted = micros.rem_euclid(DAY_MICROS) + offset * 1_000_000;
        let days = micros.div_euclid(DAY_MICROS) + shifted.div_euclid(DAY_MICROS);
        Local { date: Date::from_days(days), days, micros: shifted.rem_euclid(DAY_MICROS) }
    }
}

impl Local {
    /// 0 for Monday. 1 January 1970 was a Thursday.
    pub(crate) fn weekday(&self) -> i64 {
        (self.days + 3).rem_euclid(7)
    }

    /// From 1.
    pub(crate) fn day_of_year(&self) -> i64 {
        self.days - new_year(self.date.year) + 1
    }

    /// The week of ISO 8601 belongs to the year of its Thursday.
    pub(crate) fn week(&self) -> i64 {
        let thursday = self.days - self.weekday() + 3;
        let year = Date::from_days(thursday).year;
        (thursday - new_year(year)) / 7 + 1
    }

    /// How much of the day has passed, from 0 to 1.
    pub(crate) fn day_fraction(&self) -> f64 {
        self.micros as f64 / DAY_MICROS as f64
    }

    pub(crate) fn week_fraction(&self) -> f64 {
        (self.weekday() as f64 + self.day_fraction()) / 7.0
    }

    pub(crate) fn year_fraction(&self) -> f64 {
        let length = new_year(self.date.year + 1) - new_year(self.date.year);
        ((self.day_of_year() - 1) as f64 + self.day_fraction()) / length as f64
    }
}

fn new_year(year: i64) -> i64 {
    Date { year, month: 1, day: 1 }.days()
}
