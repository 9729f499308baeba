//! Parameters: the JSON object of a definition as a struct.

use std::{borrow::Cow, fmt::Display, ops::RangeInclusive};

use serde_json::{Map, Value as Json};

use crate::Error;

/// A struct of parameters, by `#[derive(Params)]`.
///
/// ```
/// # use oast_sdk::Params;
/// #[derive(Params)]
/// struct Scale {
///     /// What every value is multiplied by.
///     factor: f64,
///     /// What to add afterwards.
///     #[param(default = 0.0)]
///     shift: f64,
///     /// Leave values above this alone.
///     limit: Option<f64>, // None when absent or null
/// }
///
/// let error = Scale::parse(r#"{ "factor": "two" }"#).err().expect("a text is no number");
/// assert_eq!(error.to_string(), r#"parameter `factor`: expected a number, for example `1.5`, got `"two"`"#);
/// ```
///
/// The doc comments become the documentation of the parameters in the plugin's descriptor. An attribute says more of one:
///
/// - `#[param(default = …)]`: what it is when absent; without one it is required, unless it is an [`Option`].
/// - `#[param(rename = "…")]`: its name in the definition.
/// - `#[param(range = 1..=50)]`: the least and the greatest number.
/// - `#[param(example = ["origin", "carrier"])]`: an example in JSON, for errors and documentation.
/// - `#[param(secret)]`: what is given is not repeated in an error.
///
/// ```
/// # use oast_sdk::Params;
/// #[derive(Params)]
/// struct Sample {
///     #[param(default = 3, range = 1..=50)]
///     size: u32,
///     #[param(example = { "column": "origin", "above": 10 })]
///     condition: oast_sdk::Map<String, oast_sdk::Json>,
/// }
///
/// let error = |json| Sample::parse(json).err().expect("it is wrong").to_string();
/// assert_eq!(
///     error(r#"{ "size": 51, "condition": {} }"#),
///     "parameter `size`: expected an integer from 1 to 50, for example `1`, got `51`"
/// );
/// assert_eq!(
///     error("{}"),
///     r#"parameter `condition`: expected an object, for example `{"above":10,"column":"origin"}`, got nothing"#
/// );
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a set of parameters",
    note = "add `#[derive(oast_sdk::Params)]` to the struct"
)]
pub trait Params: Sized + 'static {
    /// Reads the parameters from a JSON object. An error says which parameter is wrong, what was expected and an example.
    fn from_object(object: &Map<String, Json>) -> Result<Self, Error>;

    /// One Markdown list item for each parameter, or nothing.
    fn documentation() -> String;

    /// Reads the parameters from the text of a JSON object.
    fn parse(json: &str) -> Result<Self, Error> {
        match serde_json::from_str(json) {
            Ok(Json::Object(object)) => Self::from_object(&object),
            Ok(other) => Err(Error::new(format!(
                "parameters: expected an object, for example `{{\"limit\":10}}`, got `{other}`"
            ))),
            Err(error) => Err(Error::new(format!("parameters: not valid JSON: {error}"))),
        }
    }
}

impl Params for () {
    fn from_object(object: &Map<String, Json>) -> Result<Self, Error> {
        known(object, &[])
    }

    fn documentation() -> String {
        String::new()
    }
}

/// The object as it is, for parameters whose names depend on the columns at hand.
impl Params for Map<String, Json> {
    fn from_object(object: &Map<String, Json>) -> Result<Self, Error> {
        Ok(object.clone())
    }

    fn documentation() -> String {
        String::new()
    }
}

/// A type that a parameter may have. For a choice between texts it can be derived:
///
/// ```
/// # use oast_sdk::{Param, Params};
/// #[derive(Debug, PartialEq, Param)]
/// enum Rounding {
///     TowardZero,
///     Nearest,
///     #[param(rename = "floor")]
///     Down,
/// }
///
/// #[derive(Debug, Params)]
/// struct Settings {
///     #[param(default = Rounding::TowardZero, example = "nearest")]
///     rounding: Rounding,
/// }
///
/// let settings = Settings::parse(r#"{ "rounding": "floor" }"#).expect("a variant has this name");
/// assert_eq!(settings.rounding, Rounding::Down);
/// let error = Settings::parse(r#"{ "rounding": "up" }"#).expect_err("none has");
/// assert_eq!(
///     error.to_string(),
///     r#"parameter `rounding`: expected "toward_zero", "nearest" or "floor", for example `"nearest"`, got `"up"`"#
/// );
/// ```
#[diagnostic::on_unimplemented(
    message = "a parameter cannot be `{Self}`",
    note = "use f64, i64, u32, bool, String, a Vec or an Option of one of these, an enum with `#[derive(oast_sdk::Param)]`, or \
            implement `oast_sdk::Param`"
)]
pub trait Param: Sized {
    /// What is expected, with its article, for example `a number`.
    const EXPECTED: &'static str;
    /// A value in JSON.
    const EXAMPLE: &'static str;

    /// Reads a value, or says with `None` that it has the wrong type.
    fn from_json(json: &Json) -> Option<Self>;

    /// The value of a parameter that is absent and has no default.
    fn absent() -> Option<Self> {
        None
    }
}

macro_rules! param {
    ($type:ty, $expected:literal, $example:literal, |$json:ident| $read:expr) => {
        impl Param for $type {
            const EXPECTED: &'static str = $expected;
            const EXAMPLE: &'static str = $example;

            fn from_json($json: &Json) -> Option<Self> {
                $read
            }
        }
    };
}

param!(f64, "a number", "1.5", |json| json.as_f64());
param!(i64, "an integer", "10", |json| json.as_i64());
param!(u32, "an integer from 0 to 4294967295", "10", |json| json.as_u64()?.try_into().ok());
param!(bool, "true or false", "true", |json| json.as_bool());
param!(String, "a text", "\"name\"", |json| json.as_str().map(str::to_owned));
param!(
    Map<String, Json>,
    "an object",
    "{}",
    |json| json.as_object().cloned()
);
param!(Json, "any value", "1.5", |json| Some(json.clone()));

impl<T: Param> Param for Vec<T> {
    const EXPECTED: &'static str = "a list";
    const EXAMPLE: &'static str = "[]";

    fn from_json(json: &Json) -> Option<Self> {
        json.as_array()?.iter().map(T::from_json).collect()
    }
}

impl<T: Param> Param for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const EXAMPLE: &'static str = T::EXAMPLE;

    fn from_json(json: &Json) -> Option<Self> {
        match json {
            Json::Null => Some(None),
            json => T::from_json(json).map(Some),
        }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

/// Checks that an object has no parameters but these.
#[doc(hidden)]
pub fn known(object: &Map<String, Json>, names: &[&str]) -> Result<(), Error> {
    let Some(unknown) = object.keys().find(|key| !names.contains(&key.as_str())) else {
        return Ok(());
    };
    let known: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    Err(Error::new(match known.as_slice() {
        [] => format!("unknown parameter `{unknown}`: there are none, for example `{{}}`"),
        known => format!("unknown parameter `{unknown}`: expected one of {}", known.join(", ")),
    }))
}

/// A number whose range can be stated by `#[param(range = …)]`, or an [`Option`] of one.
#[diagnostic::on_unimplemented(
    message = "`range` cannot be stated for `{Self}`",
    note = "it can for f64, i64, u32 and an Option of one of these"
)]
pub trait Ranged: Param {
    /// The type of the bounds.
    type Number: PartialOrd + Display + 'static;
    /// What is expected within the range, with its article.
    const KIND: &'static str;

    /// Whether the number, if there is one, lies in the range.
    fn is_within(&self, range: &RangeInclusive<Self::Number>) -> bool;
}

macro_rules! ranged {
    ($type:ty, $kind:literal) => {
        impl Ranged for $type {
            type Number = $type;
            const KIND: &'static str = $kind;

            fn is_within(&self, range: &RangeInclusive<$type>) -> bool {
                range.contains(self)
            }
        }
    };
}

ranged!(f64, "a number");
ranged!(i64, "an integer");
ranged!(u32, "an integer");

impl<T: Ranged> Ranged for Option<T> {
    type Number = T::Number;
    const KIND: &'static str = T::KIND;

    fn is_within(&self, range: &RangeInclusive<T::Number>) -> bool {
        self.as_ref().is_none_or(|number| number.is_within(range))
    }
}

/// Whether a value is accepted.
type Check<T> = Box<dyn Fn(&T) -> bool>;

/// What `#[derive(Params)]` knows of one parameter.
#[doc(hidden)]
pub struct Spec<T> {
    name: &'static str,
    expected: Cow<'static, str>,
    example: Cow<'static, str>,
    read: fn(&Json) -> Option<T>,
    absent: fn() -> Option<T>,
    accepts: Option<Check<T>>,
    is_secret: bool,
}

/// A function of its own, since the compiler says more of its bound than of an impl's.
#[doc(hidden)]
pub fn spec<T: Param>(name: &'static str) -> Spec<T> {
    let (expected, example) = (Cow::Borrowed(T::EXPECTED), Cow::Borrowed(T::EXAMPLE));
    Spec { name, expected, example, read: T::from_json, absent: T::absent, accepts: None, is_secret: false }
}

impl<T> Spec<T> {
    pub fn range(mut self, range: RangeInclusive<T::Number>) -> Self
    where
        T: Ranged,
    {
        self.expected = format!("{} from {} to {}", T::KIND, range.start(), range.end()).into();
        self.example = range.start().to_string().into();
        self.accepts = Some(Box::new(move |value| value.is_within(&range)));
        self
    }

    pub fn example(mut self, json: &Json) -> Self {
        self.example = json.to_string().into();
        self
    }

    /// Its value is not repeated in an error.
    pub fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    /// The value, which must be there unless its type says otherwise.
    pub fn required(&self, object: &Map<String, Json>) -> Result<T, Error> {
        match object.get(self.name) {
            Some(json) => self.read(json),
            None => (self.absent)().ok_or_else(|| self.wrong("nothing")),
        }
    }

    /// The value, or the default.
    pub fn optional(&self, object: &Map<String, Json>, default: impl FnOnce() -> T) -> Result<T, Error> {
        object.get(self.name).map_or_else(|| Ok(default()), |json| self.read(json))
    }

    /// One Markdown list item.
    pub fn document(&self, default: Option<&str>, documentation: &str) -> String {
        let default = match default {
            Some(default) => default.to_owned(),
            None if (self.absent)().is_some() => "optional".to_owned(),
            None => format!("required, for example `{}`", self.example),
        };
        format!("- `{}`: {}, {default}. {documentation}\n", self.name, self.expected)
    }

    fn read(&self, json: &Json) -> Result<T, Error> {
        let value = (self.read)(json).filter(|value| self.accepts.as_ref().is_none_or(|accepts| accepts(value)));
        value.ok_or_else(|| match json {
            json if self.is_secret && !json.is_null() => self.wrong("something else, which is secret"),
            json => self.wrong(&format!("`{json}`")),
        })
    }

    fn wrong(&self, got: &str) -> Error {
        let Self { name, expected, example, .. } = self;
        Error::new(format!("parameter `{name}`: expected {expected}, for example `{example}`, got {got}"))
    }
}

#[cfg(test)]
mod tests {
    use crate::Params;

    #[derive(Debug, PartialEq, Params)]
    struct Settings {
        /// What to multiply by,
        /// and nothing else.
        factor: f64,
        #[param(default = 3)]
        count: i64,
        #[param(rename = "type")]
        kind: Option<String>,
        #[param(default = vec![true])]
        flags: Vec<bool>,
        #[param(range = -1.5..=2.0)]
        bias: Option<f64>,
        #[param(secret, default = "")]
        token: String,
    }

    fn check(json: &str, expect: Result<Settings, &str>) {
        let parsed = Settings::parse(json).map_err(|error| error.to_string());
        assert_eq!(parsed, expect.map_err(str::to_owned), "{json}");
    }

    #[test]
    fn defaults_stand_in_for_what_is_absent() {
        let settings = |count, kind: Option<&str>, flags: &[bool]| Settings {
            factor: 2.0,
            count,
            kind: kind.map(str::to_owned),
            flags: flags.to_vec(),
            bias: None,
            token: String::new(),
        };
        check(r#"{"factor":2}"#, Ok(settings(3, None, &[true])));
        check(
            r#"{"factor":2.0,"count":-9007199254740993,"type":"x","flags":[]}"#,
            Ok(settings(-9_007_199_254_740_993, Some("x"), &[])),
        );
        check(r#"{"factor":2,"type":null}"#, Ok(settings(3, None, &[true])));
    }

    #[test]
    fn errors_name_parameter_expectation_and_example() {
        check("{}", Err("parameter `factor`: expected a number, for example `1.5`, got nothing"));
        check(
            r#"{"factor":1,"count":1.5}"#,
            Err("parameter `count`: expected an integer, for example `10`, got `1.5`"),
        );
        check(r#"{"factor":1,"flags":[1]}"#, Err("parameter `flags`: expected a list, for example `[]`, got `[1]`"));
        check(
            r#"{"factor":1,"bias":2.5}"#,
            Err("parameter `bias`: expected a number from -1.5 to 2, for example `-1.5`, got `2.5`"),
        );
        check(
            r#"{"factor":1,"token":["s3cret"]}"#,
            Err("parameter `token`: expected a text, for example `\"name\"`, got something else, which is secret"),
        );
        check(
            r#"{"factor":1,"kind":"x"}"#,
            Err("unknown parameter `kind`: expected one of `factor`, `count`, `type`, `flags`, `bias`, `token`"),
        );
        check("[]", Err("parameters: expected an object, for example `{\"limit\":10}`, got `[]`"));
        check("{", Err("parameters: not valid JSON: EOF while parsing an object at line 1 column 1"));
    }

    #[test]
    fn doc_comments_become_documentation() {
        let documentation = Settings::documentation();
        let lines: Vec<&str> = documentation.lines().collect();
        assert_eq!(
            lines[0],
            "- `factor`: a number, required, for example `1.5`. What to multiply by, and nothing else."
        );
        assert_eq!(lines[1].trim_end(), "- `count`: an integer, default `3`.");
        assert_eq!(lines[2].trim_end(), "- `type`: a text, optional.");
        assert_eq!(lines[3].trim_end(), "- `flags`: a list, optional.");
        assert_eq!(lines[4].trim_end(), "- `bias`: a number from -1.5 to 2, optional.");
    }
}
