//! The parts of a local time.

use std::f64::consts::TAU;

use oast_sdk::{DataType, math};

use crate::zone::Local;

/// One part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Year,
    Quarter,
    Month,
    Day,
    DayOfYear,
    Week,
    Weekday,
    Hour,
    Minute,
    Second,
    IsWeekend,
    DaySin,
    DayCos,
    WeekSin,
    WeekCos,
    YearSin,
    YearCos,
}

const NAMES: [(Part, &str); 17] = [
    (Part::Year, "year"),
    (Part::Quarter, "quarter"),
    (Part::Month, "month"),
    (Part::Day, "day"),
    (Part::DayOfYear, "day_of_year"),
    (Part::Week, "week"),
    (Part::Weekday, "weekday"),
    (Part::Hour, "hour"),
    (Part::Minute, "minute"),
    (Part::Second, "second"),
    (Part::IsWeekend, "is_weekend"),
    (Part::DaySin, "day_sin"),
    (Part::DayCos, "day_cos"),
    (Part::WeekSin, "week_sin"),
    (Part::WeekCos, "week_cos"),
    (Part::YearSin, "year_sin"),
    (Part::YearCos, "year_cos"),
];

impl Part {
    pub(crate) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(part, _)| *part)
    }

    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(part, _)| *part == self).map_or("", |(_, name)| name)
    }

    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::IsWeekend => DataType::Bool,
            Self::DaySin | Self::DayCos | Self::WeekSin | Self::WeekCos | Self::YearSin | Self::YearCos => {
                DataType::Float64
            }
            _ => DataType::Int64,
        }
    }

    /// The value of a part that is counted, or 0 and 1 for one that is asked.
    pub(crate) fn integer(self, local: &Local) -> i64 {
        let seconds = local.micros / 1_000_000;
        match self {
            Self::Year => local.date.year,
            Self::Quarter => i64::from(local.date.month.div_ceil(3)),
            Self::Month => local.date.month.into(),
            Self::Day => local.date.day.into(),
            Self::DayOfYear => local.day_of_year(),
            Self::Week => local.week(),
            Self::Weekday => local.weekday(),
            Self::Hour => seconds / 3_600,
            Self::Minute => seconds / 60 % 60,
            Self::Second => seconds % 60,
            Self::IsWeekend => i64::from(local.weekday() >= 5),
            _ => unreachable!("a wave is no integer"),
        }
    }

    /// The value of a part of a cycle.
    pub(crate) fn wave(self, local: &Local) -> f64 {
        match self {
            Self::DaySin => math::sin(TAU * local.day_fraction()),
            Self::DayCos => math::cos(TAU * local.day_fraction()),
            Self::WeekSin => math::sin(TAU * local.week_fraction()),
            Self::WeekCos => math::cos(TAU * local.week_fraction()),
            Self::YearSin => math::sin(TAU * local.year_fraction()),
            Self::YearCos => math::cos(TAU * local.year_fraction()),
            _ => unreachable!("what is counted is no wave"),
        }
    }
}
