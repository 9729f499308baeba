//! The standard plugin `ratio`.

use oast_sdk::{Params, Row, transform};

/// Two numbers.
#[derive(Row)]
pub struct Input {
    /// What is divided.
    pub numerator: Option<f64>,
    /// What it is divided by.
    pub denominator: Option<f64>,
}

/// Their ratio.
#[derive(Row)]
pub struct Output {
    /// The quotient, or null when there is none.
    pub ratio: Option<f64>,
}

/// The parameters of [`ratio()`].
#[derive(Params)]
pub struct Zero {
    /// The ratio when the denominator is 0; null when absent.
    pub zero: Option<f64>,
}

/// Divides one column by another: `ratio = numerator / denominator`, in IEEE 754 double precision.
///
/// The ratio is null when the numerator or the denominator is null. When the denominator is 0 or -0 the ratio is the
/// parameter `zero`, whatever the numerator.
#[transform]
pub fn ratio(row: Input, params: &Zero) -> Output {
    let ratio = match (row.numerator, row.denominator) {
        (Some(_), Some(0.0)) => params.zero,
        (Some(numerator), Some(denominator)) => Some(numerator / denominator),
        _ => None,
    };
    Output { ratio }
}

#[cfg(test)]
mod tests;
