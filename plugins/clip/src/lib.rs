//! The standard plugin `clip`.

use oast_sdk::{Error, Json, Map, Params, Row, transform};

/// A number.
#[derive(Row)]
pub struct Input {
    /// What is clipped; int64 is converted to the nearest double.
    pub value: Option<f64>,
}

/// The number within its bounds.
#[derive(Row)]
pub struct Output {
    /// Null where the input is.
    pub clipped: Option<f64>,
}

/// The parameters of [`clip()`].
#[derive(Debug)]
pub struct Bounds {
    /// Below it comes this value.
    pub min: f64,
    /// Above it comes this value.
    pub max: f64,
}

#[derive(Params)]
struct Given {
    /// What comes instead of any smaller value. One of the two bounds may be left out.
    min: Option<f64>,
    /// What comes instead of any larger value.
    max: Option<f64>,
}

impl Params for Bounds {
    fn from_object(object: &Map<String, Json>) -> Result<Self, Error> {
        let given = Given::from_object(object)?;
        if given.min.is_none() && given.max.is_none() {
            return Err(Error::new(
                "parameter `min`: expected a number here or in `max`, for example `0.0`, got nothing",
            ));
        }
        let (min, max) = (given.min.unwrap_or(f64::NEG_INFINITY), given.max.unwrap_or(f64::INFINITY));
        if min > max {
            return Err(Error::new(format!(
                "parameter `max`: expected a number that is not below `min`, for example `{min:?}`, got `{max:?}`"
            )));
        }
        Ok(Self { min, max })
    }

    fn documentation() -> String {
        Given::documentation()
    }
}

/// Keeps a number within bounds: `clipped = min` below `min`, `max` above `max`, and the value itself between them.
///
/// Null stays null and NaN stays NaN. It is what `numpy.clip` computes.
#[transform]
pub fn clip(row: Input, bounds: &Bounds) -> Output {
    let clip = |value: f64| {
        if value < bounds.min {
            bounds.min
        } else if value > bounds.max {
            bounds.max
        } else {
            value
        }
    };
    Output { clipped: row.value.map(clip) }
}

#[cfg(test)]
mod tests;
