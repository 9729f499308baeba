//! The rows that an author ships with a component, in a custom section at its end: a golden file, whose format is described in
//! `plugins/README.md`.

use std::ops::Range;

use oast_core::{Batch, ColumnBuilder, Field, Schema};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::{RuntimeError, json};

/// The custom section that carries an author's samples.
pub const SAMPLES_SECTION: &str = "oast:samples";

/// What to read when a golden file is malformed.
pub(crate) const GOLDEN_HINT: &str = "the format of golden.json is described in plugins/README.md";

/// The header of a component: magic number, version, layer.
const HEADER_BYTES: usize = 8;

/// The id of a custom section.
const CUSTOM: u8 = 0;

/// Puts a golden file into a component, in the place of one that it may carry already.
pub fn attach_samples(component: &[u8], golden: &str) -> Result<Vec<u8>, RuntimeError> {
    Samples::parse(golden)?;
    let sections = sections(component).ok_or_else(|| {
        RuntimeError::request(
            "samples can only be attached to a component",
            "build the plugin first, and name its `.wasm`",
        )
    })?;
    let mut bytes = component[..HEADER_BYTES].to_vec();
    for section in sections.iter().filter(|section| !section.has_samples(component)) {
        bytes.extend_from_slice(&component[section.whole.clone()]);
    }
    let mut body = Vec::new();
    push_leb128(&mut body, SAMPLES_SECTION.len());
    body.extend_from_slice(SAMPLES_SECTION.as_bytes());
    body.extend_from_slice(golden.as_bytes());
    bytes.push(CUSTOM);
    push_leb128(&mut bytes, body.len());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// Whether a component carries samples.
pub fn has_samples(component: &[u8]) -> bool {
    attached_samples(component).is_some()
}

/// The golden file that a component carries, if it carries one that is text.
pub(crate) fn attached_samples(component: &[u8]) -> Option<&str> {
    let sections = sections(component)?;
    let section = sections.iter().rfind(|section| section.has_samples(component))?;
    let (_, text) = section.named(component)?;
    std::str::from_utf8(text).ok()
}

/// A section of a component.
struct Section {
    id: u8,
    /// With its id and length.
    whole: Range<usize>,
    body: Range<usize>,
}

impl Section {
    /// The name and the content of a custom section.
    fn named<'b>(&self, bytes: &'b [u8]) -> Option<(&'b [u8], &'b [u8])> {
        let body = &bytes[self.body.clone()];
        let (length, read) = leb128(body)?;
        body.get(read..)?.split_at_checked(length)
    }

    fn has_samples(&self, bytes: &[u8]) -> bool {
        self.id == CUSTOM && self.named(bytes).is_some_and(|(name, _)| name == SAMPLES_SECTION.as_bytes())
    }
}

/// The outermost sections; nothing if the bytes are cut off.
fn sections(bytes: &[u8]) -> Option<Vec<Section>> {
    let mut sections = Vec::new();
    let mut at = HEADER_BYTES;
    if bytes.len() < at || !bytes.starts_with(b"\0asm") {
        return None;
    }
    while at < bytes.len() {
        let (length, read) = leb128(&bytes[at + 1..])?;
        let start = at + 1 + read;
        let end = start.checked_add(length).filter(|end| *end <= bytes.len())?;
        sections.push(Section { id: bytes[at], whole: at..end, body: start..end });
        at = end;
    }
    Some(sections)
}

/// A number of at most 32 bits and how many bytes it takes.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, at + 1));
        }
    }
    None
}

fn push_leb128(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// A golden file.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Samples {
    pub(crate) cases: Vec<Sample>,
}

/// A case of a golden file: parameters and columns, and either rows or what `configure` says against them.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Sample {
    pub(crate) name: String,
    params: Json,
    offered: Vec<(String, String)>,
    pub(crate) error: Option<String>,
    #[serde(default)]
    input: Vec<(String, String)>,
    #[serde(default)]
    output: Vec<(String, String)>,
    #[serde(default)]
    rows: Vec<Vec<Json>>,
}

impl Samples {
    pub(crate) fn parse(golden: &str) -> Result<Self, RuntimeError> {
        let samples: Self = serde_json::from_str(golden)
            .map_err(|error| RuntimeError::request(format!("the samples are no golden file: {error}"), GOLDEN_HINT))?;
        for sample in &samples.cases {
            sample.offered()?;
            sample.rows()?;
        }
        Ok(samples)
    }
}

impl Sample {
    /// The parameters as canonical JSON.
    pub(crate) fn params(&self) -> String {
        self.params.to_string()
    }

    /// The columns at hand.
    pub(crate) fn offered(&self) -> Result<Schema, RuntimeError> {
        self.schema(&self.offered)
    }

    /// The columns the plugin takes, says the sample.
    pub(crate) fn input(&self) -> Result<Schema, RuntimeError> {
        self.schema(&self.input)
    }

    /// The columns the plugin gives, says the sample.
    pub(crate) fn output(&self) -> Result<Schema, RuntimeError> {
        self.schema(&self.output)
    }

    /// The rows, whose columns are those of the input.
    pub(crate) fn rows(&self) -> Result<Batch, RuntimeError> {
        let schema = self.input()?;
        let mut builders: Vec<_> = schema.fields().iter().map(|field| ColumnBuilder::new(field.data_type)).collect();
        for (number, row) in self.rows.iter().enumerate() {
            if row.len() != schema.len() {
                return Err(self.wrong(format!("row {} has {} values", number + 1, row.len())));
            }
            for ((field, json), builder) in schema.fields().iter().zip(row).zip(&mut builders) {
                let value = json::from_json(field, Some(json));
                let value = value.map_err(|error| self.wrong(format!("row {}: {}", number + 1, error.message)))?;
                builder.push(value.as_ref());
            }
        }
        Ok(Batch { rows: self.rows.len(), columns: builders.into_iter().map(ColumnBuilder::finish).collect() })
    }

    fn schema(&self, pairs: &[(String, String)]) -> Result<Schema, RuntimeError> {
        let fields = pairs.iter().map(|(name, data_type)| Field::parse(name, data_type));
        let fields = fields.collect::<Result<_, _>>().map_err(|error| self.wrong(error.to_string()))?;
        Schema::new(fields).map_err(|error| self.wrong(error.to_string()))
    }

    fn wrong(&self, what: String) -> RuntimeError {
        RuntimeError::request(format!("the sample `{}` is malformed: {what}", self.name), "mend golden.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn golden(rows: &str) -> String {
        format!(
            r#"{{"plugin": "p", "kind": "transform", "cases": [{{"name": "n", "params": {{"b": 1, "a": 2}},
               "offered": [["x", "float64?"]], "input": [["x", "float64?"]], "output": [], "rows": {rows}, "expect": []}}]}}"#
        )
    }

    #[test]
    fn samples_travel_in_a_component() {
        assert_eq!(attached_samples(EMPTY), None);
        let first = attach_samples(EMPTY, &golden("[[1.5], [null]]")).expect("a component");
        assert_eq!(attached_samples(&first), Some(&golden("[[1.5], [null]]")[..]));
        assert!(first.starts_with(EMPTY));
        let long = golden(&format!("[{}]", vec!["[\"NaN\"]"; 100].join(",")));
        let second = attach_samples(&first, &long).expect("a component");
        assert_eq!(attached_samples(&second), Some(&long[..]));
        assert_eq!(attach_samples(EMPTY, &long).expect("a component"), second, "the old samples are gone");
    }

    #[test]
    fn bytes_that_are_cut_off_carry_nothing() {
        let whole = attach_samples(EMPTY, &golden("[]")).expect("a component");
        for end in 0..whole.len() {
            assert_eq!(attached_samples(&whole[..end]), None, "{end}");
        }
        for bytes in [&b""[..], b"\0asm", &whole[..whole.len() - 1]] {
            let error = attach_samples(bytes, &golden("[]")).expect_err("no component");
            assert_eq!(error.to_string(), "samples can only be attached to a component");
        }
    }

    #[test]
    fn rows_become_values_of_their_columns() {
        let samples = Samples::parse(&golden("[[1.5], [null], [\"NaN\"]]")).expect("a golden file");
        let sample = &samples.cases[0];
        assert_eq!(sample.params(), r#"{"a":2,"b":1}"#);
        let rows = sample.rows().expect("rows");
        assert_eq!((rows.rows, rows.columns[0].null_count()), (3, 1));
        let refused = |rows: &str| Samples::parse(&golden(rows)).expect_err("a malformed row").to_string();
        assert_eq!(refused("[[1, 2]]"), "the sample `n` is malformed: row 1 has 2 values");
        assert!(refused("[[\"x\"]]").starts_with("the sample `n` is malformed: row 1: `x` is the string \"x\""));
    }
}
