//! The standard plugin `power`.

use oast_sdk::math::{exp_m1, ln, ln_1p, pow};
use oast_sdk::{Error, Json, Map, Param, Params, Row, transform};

/// A number.
#[derive(Row)]
pub struct Input {
    /// What is transformed; int64 is converted to the nearest double.
    pub value: Option<f64>,
}

/// The number, its distribution more like a normal one.
#[derive(Row)]
pub struct Output {
    /// Null where the input is, or where the function is not defined.
    pub powered: Option<f64>,
}

/// The parameters of [`power()`].
#[derive(Debug)]
pub enum Power {
    /// `ln(1 + x)`.
    Log1p,
    /// `x^exponent`.
    Exponent(f64),
    /// Box and Cox, with their lambda.
    BoxCox(f64),
    /// Yeo and Johnson, with their lambda.
    YeoJohnson(f64),
}

#[derive(Params)]
struct Given {
    /// Which function.
    method: Method,
    /// For `"power"`: the exponent.
    exponent: Option<f64>,
    /// For `"box_cox"` and `"yeo_johnson"`: their parameter, as fitted to the training data.
    lambda: Option<f64>,
}

#[derive(Debug, Clone, Copy, Param)]
enum Method {
    Log1p,
    Power,
    BoxCox,
    YeoJohnson,
}

impl Params for Power {
    fn from_object(object: &Map<String, Json>) -> Result<Self, Error> {
        let Given { method, exponent, lambda } = Given::from_object(object)?;
        let missing =
            |name| Error::new(format!("parameter `{name}`: expected a number, for example `0.5`, got nothing"));
        let (wanted, power) = match method {
            Method::Log1p => ("", Self::Log1p),
            Method::Power => ("exponent", Self::Exponent(exponent.ok_or_else(|| missing("exponent"))?)),
            Method::BoxCox => ("lambda", Self::BoxCox(lambda.ok_or_else(|| missing("lambda"))?)),
            Method::YeoJohnson => ("lambda", Self::YeoJohnson(lambda.ok_or_else(|| missing("lambda"))?)),
        };
        match object.keys().find(|key| *key != "method" && *key != wanted) {
            Some(other) => Err(Error::new(format!(
                "parameter `{other}`: expected nothing beside this method, for example `{{\"method\":\"log1p\"}}`"
            ))),
            None => Ok(power),
        }
    }

    fn documentation() -> String {
        Given::documentation()
    }
}

/// Makes a skewed number more like a normally distributed one.
///
/// - `"log1p"`: `ln(1 + x)`, for x above -1
/// - `"power"`: `x^exponent`, for example the square root with 0.5
/// - `"box_cox"`: `(x^lambda - 1) / lambda`, or `ln x` when lambda is 0, for x above 0: Box and Cox, *An Analysis of
///   Transformations*, Journal of the Royal Statistical Society B 26 (1964)
/// - `"yeo_johnson"`: for x from 0 up `((x + 1)^lambda - 1) / lambda`, or `ln(x + 1)` when lambda is 0; below 0
///   `-((1 - x)^(2 - lambda) - 1) / (2 - lambda)`, or `-ln(1 - x)` when lambda is 2: Yeo and Johnson, *A New Family of
///   Power Transformations to Improve Normality or Symmetry*, Biometrika 87 (2000)
///
/// The result is null where the function is not defined, as the logarithm is for what is not above 0. NaN stays NaN.
/// The last two are `PowerTransformer` of scikit-learn without its standardisation, which the plugin `scale` does.
#[transform]
pub fn power(row: Input, power: &Power) -> Output {
    Output { powered: row.value.and_then(|value| apply(value, power)) }
}

fn apply(x: f64, power: &Power) -> Option<f64> {
    if x.is_nan() {
        return Some(x);
    }
    match *power {
        Power::Log1p => (x > -1.0).then(|| ln_1p(x)),
        Power::Exponent(exponent) => Some(pow(x, exponent)).filter(|result| !result.is_nan()),
        Power::BoxCox(lambda) => (x > 0.0).then(|| one_less_over(ln(x), lambda)),
        Power::YeoJohnson(lambda) if x >= 0.0 => Some(one_less_over(ln_1p(x), lambda)),
        Power::YeoJohnson(lambda) => Some(-one_less_over(ln_1p(-x), 2.0 - lambda)),
    }
}

/// `(y^lambda - 1) / lambda` for the logarithm of y, and what it tends to as lambda tends to 0. Written with `exp_m1`,
/// it keeps its digits for a small lambda.
fn one_less_over(logarithm: f64, lambda: f64) -> f64 {
    if lambda == 0.0 { logarithm } else { exp_m1(lambda * logarithm) / lambda }
}

#[cfg(test)]
mod tests;
