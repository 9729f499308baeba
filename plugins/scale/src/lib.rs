//! The standard plugin `scale`.

use oast_sdk::{Error, Json, Map, Param, Params, Row, transform};

/// A number.
#[derive(Row)]
pub struct Input {
    /// What is scaled; int64 is converted to the nearest double.
    pub value: Option<f64>,
}

/// The number on its new scale.
#[derive(Row)]
pub struct Output {
    /// Null where the input is.
    pub scaled: Option<f64>,
}

/// The parameters of [`scale()`].
#[derive(Debug)]
pub struct Scale {
    center: f64,
    spread: f64,
}

#[derive(Params)]
struct Given {
    /// Which statistics are given.
    method: Method,
    /// For `"standard"`: the mean of the training data.
    mean: Option<f64>,
    /// For `"standard"`: their standard deviation.
    std: Option<f64>,
    /// For `"min_max"`: the smallest value of the training data, which becomes 0.
    min: Option<f64>,
    /// For `"min_max"`: the largest, which becomes 1.
    max: Option<f64>,
    /// For `"robust"`: the median of the training data.
    median: Option<f64>,
    /// For `"robust"`: the distance between their quartiles.
    iqr: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Param)]
enum Method {
    Standard,
    MinMax,
    Robust,
}

impl Method {
    /// The parameters that go with the method.
    fn statistics(self) -> [&'static str; 2] {
        match self {
            Self::Standard => ["mean", "std"],
            Self::MinMax => ["min", "max"],
            Self::Robust => ["median", "iqr"],
        }
    }
}

impl Params for Scale {
    fn from_object(object: &Map<String, Json>) -> Result<Self, Error> {
        let given = Given::from_object(object)?;
        let statistics = given.method.statistics();
        if let Some(other) = object.keys().find(|key| *key != "method" && !statistics.contains(&key.as_str())) {
            let [center, spread] = statistics;
            return Err(Error::new(format!(
                "parameter `{other}`: this method takes `{center}` and `{spread}`, for example `\"{center}\":1.5`"
            )));
        }
        let (center, spread) = match given.method {
            Method::Standard => (given.mean, given.std),
            Method::MinMax => (given.min, given.max),
            Method::Robust => (given.median, given.iqr),
        };
        let statistic = |at: usize, value: Option<f64>| {
            let missing =
                || format!("parameter `{}`: expected a number, for example `1.5`, got nothing", statistics[at]);
            value.ok_or_else(|| Error::new(missing()))
        };
        let (center, mut spread) = (statistic(0, center)?, statistic(1, spread)?);
        if given.method == Method::MinMax {
            spread -= center;
        }
        if spread < 0.0 {
            let [center_name, spread_name] = statistics;
            return Err(Error::new(match given.method {
                Method::MinMax => {
                    format!("parameter `max`: expected a number that is not below `min`, for example `{center:?}`")
                }
                _ => format!(
                    "parameter `{spread_name}`: expected a number from 0 up beside `{center_name}`, for example `1.5`, got \
                         `{spread:?}`"
                ),
            }));
        }
        Ok(Self { center, spread: if spread == 0.0 { 1.0 } else { spread } })
    }

    fn documentation() -> String {
        Given::documentation()
    }
}

/// Puts a number on a common scale by statistics that are given, for example those of the training data.
///
/// - `"standard"`: `scaled = (value - mean) / std`
/// - `"min_max"`: `scaled = (value - min) / (max - min)`, which is outside of 0 to 1 for a value outside of `min` to
///   `max`
/// - `"robust"`: `scaled = (value - median) / iqr`
///
/// A divisor of 0 counts as 1, so that a constant column becomes 0. Null stays null. These are `StandardScaler`,
/// `MinMaxScaler` and `RobustScaler` of scikit-learn.
#[transform]
pub fn scale(row: Input, scale: &Scale) -> Output {
    Output { scaled: row.value.map(|value| (value - scale.center) / scale.spread) }
}

#[cfg(test)]
mod tests;
