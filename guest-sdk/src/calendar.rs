//! Dates of the proleptic Gregorian calendar.

/// The first day that [`Date`] counts from: 1 March of the year 0. A year that begins in March has its leap day at its end.
const MARCH_OF_YEAR_0: i64 = -719_468;

const DAYS_OF_400_YEARS: i64 = 146_097;

/// A day. The Gregorian rules hold for every year, also before they were made; the year 0 is the one before 1 AD.
///
/// ```
/// use oast_sdk::Date;
///
/// let date = Date::from_days(15_736);
/// assert_eq!(date, Date { year: 2013, month: 1, day: 31 });
/// assert_eq!(date.days(), 15_736);
/// assert_eq!(Date::new(2013, 2, 29), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// The year.
    pub year: i64,
    /// The month, from 1 to 12.
    pub month: u8,
    /// The day of the month, from 1.
    pub day: u8,
}

impl Date {
    /// The date of this year, month and day, if there is one.
    pub fn new(year: i64, month: u8, day: u8) -> Option<Self> {
        let date = Self { year, month, day };
        let exists = year.abs() < 1 << 40 && (1..=12).contains(&month) && Self::from_days(date.days()) == date;
        exists.then_some(date)
    }

    /// The date this many days after 1 January 1970: Hinnant, *chrono-Compatible Low-Level Date Algorithms*.
    pub fn from_days(days: i64) -> Self {
        let since = days - MARCH_OF_YEAR_0;
        let era = since.div_euclid(DAYS_OF_400_YEARS);
        let day_of_era = since.rem_euclid(DAYS_OF_400_YEARS);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { year, month: month as u8, day: day as u8 }
    }

    /// How many days after 1 January 1970 the date is.
    pub fn days(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = if month <= 2 { self.year - 1 } else { self.year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * DAYS_OF_400_YEARS + day_of_era + MARCH_OF_YEAR_0
    }
}

#[cfg(test)]
mod tests {
    use super::Date;

    #[test]
    fn every_day_of_eight_centuries_follows_the_one_before() {
        let mut before = Date::from_days(-146_098);
        for days in -146_097..146_097 {
            let date = Date::from_days(days);
            assert_eq!(date.days(), days);
            let next_day = Date { day: before.day + 1, ..before };
            let next_month = Date { month: before.month + 1, day: 1, ..before };
            let next_year = Date { year: before.year + 1, month: 1, day: 1 };
            assert!([next_day, next_month, next_year].contains(&date), "{date:?} after {before:?}");
            before = date;
        }
    }

    #[test]
    fn leap_years_are_gregorian() {
        let is_leap = |year| Date::new(year, 2, 29).is_some();
        assert_eq!([1900, 2000, 2023, 2024, 0, -1].map(is_leap), [false, true, false, true, true, false]);
        assert_eq!([Date::new(2024, 13, 1), Date::new(2024, 0, 1), Date::new(2024, 4, 31)], [None; 3]);
    }
}
