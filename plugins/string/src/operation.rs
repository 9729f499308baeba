//! The operations.

use std::borrow::Cow;

use oast_sdk::Error;
use regex_lite::{Regex, RegexBuilder};

use crate::{Name, Settings};

/// The most memory that a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 64 << 10;

/// An operation with what it needs.
#[derive(Debug)]
pub(crate) enum Operation {
    Lower,
    Upper,
    Trim,
    Normalise,
    Length,
    Bytes,
    Matches(Regex),
    /// The pattern and a group of it.
    Extract(Regex, usize),
    Replace(Regex, String),
}

impl Operation {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        check_unused(settings)?;
        Ok(match settings.op {
            Name::Lower => Self::Lower,
            Name::Upper => Self::Upper,
            Name::Trim => Self::Trim,
            Name::Normalise => Self::Normalise,
            Name::Length => Self::Length,
            Name::Bytes => Self::Bytes,
            Name::Matches => Self::Matches(pattern(settings)?),
            Name::Extract => {
                let pattern = pattern(settings)?;
                let groups = pattern.captures_len();
                let group = settings.group.map_or(usize::from(groups > 1), |group| group as usize);
                if group >= groups {
                    return Err(Error::new(format!(
                        "parameter `group`: expected a group of the pattern, for example `{}`, got `{group}`",
                        groups - 1
                    )));
                }
                Self::Extract(pattern, group)
            }
            Name::Replace => {
                let missing = || Error::new("parameter `with`: expected a text, for example `\"\"`, got nothing");
                Self::Replace(pattern(settings)?, settings.with.clone().ok_or_else(missing)?)
            }
        })
    }

    /// The text that comes of a text, for an operation that makes one.
    pub(crate) fn text<'t>(&self, text: &'t str) -> Option<Cow<'t, str>> {
        Some(match self {
            Self::Lower => text.to_lowercase().into(),
            Self::Upper => text.to_uppercase().into(),
            Self::Trim => text.trim().into(),
            Self::Normalise => {
                let words: Vec<&str> = text.split_whitespace().collect();
                words.join(" ").to_lowercase().into()
            }
            Self::Extract(pattern, 0) => pattern.find(text)?.as_str().into(),
            Self::Extract(pattern, group) => pattern.captures(text)?.get(*group)?.as_str().into(),
            Self::Replace(pattern, with) => pattern.replace_all(text, with),
            Self::Length | Self::Bytes | Self::Matches(_) => return None,
        })
    }
}

fn check_unused(settings: &Settings) -> Result<(), Error> {
    let takes_pattern = matches!(settings.op, Name::Matches | Name::Extract | Name::Replace);
    let unused = [
        ("pattern", settings.pattern.is_some() && !takes_pattern),
        ("group", settings.group.is_some() && settings.op != Name::Extract),
        ("with", settings.with.is_some() && settings.op != Name::Replace),
    ];
    match unused.iter().find(|(_, unused)| *unused) {
        Some((name, _)) => Err(Error::new(format!(
            "parameter `{name}`: expected nothing beside this `op`, for example `{{\"op\":\"lower\"}}`"
        ))),
        None => Ok(()),
    }
}

fn pattern(settings: &Settings) -> Result<Regex, Error> {
    let expected = "parameter `pattern`: expected a regular expression, for example `\"^N(\\\\d+)\"`";
    let Some(text) = &settings.pattern else { return Err(Error::new(format!("{expected}, got nothing"))) };
    let pattern = RegexBuilder::new(text)
        .size_limit(PATTERN_BYTES_MAX)
        .build()
        .map_err(|error| Error::new(format!("{expected}, got `{text}`: {error}")))?;
    // The first match makes room that later ones use again; made here, it is not charged to the first row.
    pattern.is_match("");
    Ok(pattern)
}
