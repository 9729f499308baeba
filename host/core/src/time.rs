use std::{fmt, str::FromStr};

/// A text that is neither a time span nor a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeParseError {
    /// Not a whole number followed by a unit.
    #[error("`{0}` is not a time span: expected a whole number and a unit (us, ms, s, m, h or d), for example `24h`")]
    Span(String),
    /// Not a date and time.
    #[error(
        "`{0}` is not a time: expected RFC 3339, for example `2013-01-01T05:00:00Z`, or microseconds since the Unix epoch"
    )]
    Time(String),
}

/// A moment: microseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Earlier than every event.
    pub const MIN: Self = Self(i64::MIN);
    /// Later than every event.
    pub const MAX: Self = Self(i64::MAX);

    /// The moment this many microseconds after the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whether the moment lies so that spans can be added and windows laid around it: about 146,000 years to either side of
    /// the epoch.
    pub const fn is_in_range(self) -> bool {
        self.0.unsigned_abs() <= 1 << 62
    }

    /// The moment `span` earlier, or the earliest there is.
    pub fn saturating_sub(self, span: TimeSpan) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// The moment `span` later, or the latest there is.
    pub fn saturating_add(self, span: TimeSpan) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

/// Days since the epoch of a date in the proleptic Gregorian calendar (Howard Hinnant, `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date of a number of days since the epoch (Howard Hinnant, `civil_from_days`).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, with as many of the six fractional digits as are needed: none, three or six.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0.div_euclid(DAY));
        let micros = self.0.rem_euclid(DAY);
        let seconds = micros / SECOND;
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        match micros % SECOND {
            0 => {}
            micros if micros % 1000 == 0 => write!(f, ".{:03}", micros / 1000)?,
            micros => write!(f, ".{micros:06}")?,
        }
        f.write_str("Z")
    }
}

impl FromStr for Timestamp {
    type Err = TimeParseError;

    /// Reads RFC 3339 (`Z`, an offset, or nothing for UTC; a space may stand for the `T`; a date alone is its midnight) or
    /// whole microseconds since the epoch. Fractions finer than a microsecond are cut off.
    fn from_str(text: &str) -> Result<Self, TimeParseError> {
        let parsed = match text.parse::<i64>() {
            Ok(micros) => Some(micros),
            Err(_) => parse_rfc3339(text.as_bytes()),
        };
        parsed.map(Self).ok_or_else(|| TimeParseError::Time(text.to_owned()))
    }
}

/// A whole number made of all of `digits`.
fn number(digits: &[u8]) -> Option<i64> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

fn parse_rfc3339(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (year, month, day) = (number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?);
    if date[4] != b'-' || date[7] != b'-' || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    if civil_from_days(days) != (year, month, day) {
        return None;
    }
    let midnight = days * DAY;
    match rest {
        [] => Some(midnight),
        [b'T' | b't' | b' ', time @ ..] => midnight.checked_add(parse_time_of_day(time)?),
        _ => None,
    }
}

/// Microseconds from midnight UTC for `HH:MM:SS[.ffffff][Z|±HH:MM]`.
fn parse_time_of_day(text: &[u8]) -> Option<i64> {
    let (clock, mut rest) = text.split_at_checked(8)?;
    let (hour, minute, second) = (number(&clock[..2])?, number(&clock[3..5])?, number(&clock[6..])?);
    if clock[2] != b':' || clock[5] != b':' || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut micros = (hour * 3600 + minute * 60 + second) * SECOND;
    if let [b'.', fraction @ ..] = rest {
        let length = fraction.iter().take_while(|c| c.is_ascii_digit()).count();
        let (digits, after) = fraction.split_at(length);
        let kept = &digits[..length.min(6)];
        micros += number(kept)? * 10_i64.pow(6 - kept.len() as u32);
        rest = after;
    }
    let sign = match rest {
        [] | [b'Z' | b'z'] => return Some(micros),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let [_, h1, h2, b':', m1, m2] = rest else { return None };
    let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
    (hours < 24 && minutes < 60).then(|| micros - sign * (hours * 3600 + minutes * 60) * SECOND)
}

/// A length of time in microseconds, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(i64);

const UNITS: [(&str, i64); 6] =
    [("d", DAY), ("h", 3600 * SECOND), ("m", 60 * SECOND), ("s", SECOND), ("ms", 1000), ("us", 1)];

impl TimeSpan {
    /// This many microseconds.
    ///
    /// # Panics
    ///
    /// When `micros` is negative.
    pub const fn from_micros(micros: i64) -> Self {
        assert!(micros >= 0, "a time span is never negative");
        Self(micros)
    }

    /// This many minutes.
    pub const fn from_minutes(minutes: u32) -> Self {
        Self(minutes as i64 * 60 * SECOND)
    }

    /// This many hours.
    pub const fn from_hours(hours: u32) -> Self {
        Self(hours as i64 * 3600 * SECOND)
    }

    /// This many days.
    pub const fn from_days(days: u32) -> Self {
        Self(days as i64 * DAY)
    }

    /// The span in microseconds.
    pub const fn as_micros(self) -> i64 {
        self.0
    }
}

impl fmt::Display for TimeSpan {
    /// The largest unit that divides the span, as definitions write it: `24h` is shown as `1d`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divides = |unit: &&(&str, i64)| self.0 != 0 && self.0 % unit.1 == 0;
        let (unit, micros) = UNITS.iter().find(divides).unwrap_or(&("s", SECOND));
        write!(f, "{}{unit}", self.0 / micros)
    }
}

impl FromStr for TimeSpan {
    type Err = TimeParseError;

    fn from_str(text: &str) -> Result<Self, TimeParseError> {
        let error = || TimeParseError::Span(text.to_owned());
        let split = text.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, unit) = text.split_at(split);
        let (_, micros) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
        let amount: i64 = digits.parse().map_err(|_| error())?;
        amount.checked_mul(*micros).map(Self).ok_or_else(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_shown() {
        let check = |text: &str, micros: i64, shown: &str| {
            let time: Timestamp = text.parse().expect(text);
            assert_eq!(time.as_micros(), micros, "{text}");
            assert_eq!(time.to_string(), shown);
        };
        check("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z");
        check("2013-01-01", 1_356_998_400_000_000, "2013-01-01T00:00:00Z");
        check("2013-01-01 05:00:00", 1_357_016_400_000_000, "2013-01-01T05:00:00Z");
        check("2013-01-01T05:00:00.25-05:00", 1_357_034_400_250_000, "2013-01-01T10:00:00.250Z");
        check("2012-02-29T23:59:59.9999999Z", 1_330_559_999_999_999, "2012-02-29T23:59:59.999999Z");
        check("1969-12-31T23:59:59.999999Z", -1, "1969-12-31T23:59:59.999999Z");
        check("1357016400000000", 1_357_016_400_000_000, "2013-01-01T05:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "yesterday",
            "2013-02-29",
            "2013-13-01",
            "2013-01-01T24:00:00Z",
            "2013-01-01T00:00:00+25:00",
            "2013-01-01T00:00",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimeParseError::Time(text.to_owned())));
        }
    }

    #[test]
    fn spans_are_read_and_shown() {
        let check = |text: &str, micros: i64, shown: &str| {
            let span: TimeSpan = text.parse().expect(text);
            assert_eq!((span.as_micros(), span.to_string().as_str()), (micros, shown));
        };
        check("5m", 300 * SECOND, "5m");
        check("24h", DAY, "1d");
        check("36h", 36 * 3600 * SECOND, "36h");
        check("1500us", 1500, "1500us");
        check("0s", 0, "0s");
        for text in ["", "h", "5", "5 m", "-5m", "1.5h", "1w", "99999999999999d"] {
            assert_eq!(text.parse::<TimeSpan>(), Err(TimeParseError::Span(text.to_owned())));
        }
    }
}
