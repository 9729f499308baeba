use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use oast_core::{Column, Values as Cells};
use serde::Serialize;

use super::{
    DiffReport, Distribution, VersionEntry, Whole,
    drift::{Values, distribution},
};
use crate::json;

/// How many features of a row are shown.
const FEATURES_SHOWN_MAX: usize = 5;

/// How one feature differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureDiff {
    /// Its column.
    pub name: String,
    /// Its type in the first version, and in the second.
    pub types: (String, String),
    /// Rows in which it is not the same bits.
    pub changed: u64,
    /// Rows without a value in the first version.
    pub nulls_before: u64,
    /// Rows without a value in the second version.
    pub nulls_after: u64,
    /// Rows that have lost their value.
    pub became_null: u64,
    /// Rows that have gained a value.
    pub became_present: u64,
    /// The mean in the first version, of finite numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_before: Option<f64>,
    /// The mean in the second version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_after: Option<f64>,
    /// The mean distance of the numbers of a row, over rows with numbers on both sides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance_mean: Option<f64>,
    /// The largest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance_max: Option<f64>,
    /// How the values are spread.
    pub distribution: Distribution,
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DifferingRow {
    /// The row, from 1.
    pub row: u64,
    /// Its entity keys and its time.
    pub spine: BTreeMap<String, serde_json::Value>,
    /// How many of its features differ.
    pub changed: u64,
    /// How far it is off: the sum, over its features, of the distance in standard deviations of the first version; 1 where
    /// there is no such distance.
    pub score: f64,
    /// The features that add most to the score: name, value before, value after.
    pub features: Vec<(String, serde_json::Value, serde_json::Value)>,
}

/// A feature of both versions.
struct Pair<'d> {
    name: &'d str,
    before: &'d Column,
    after: &'d Column,
    /// The standard deviation in the first version; 1 where there is none.
    scale: f64,
}

/// Compares two datasets over one spine.
pub(super) fn compare(before: &Whole, after: &Whole, rows_max: usize) -> DiffReport {
    let pairs = pairs(before, after);
    let rows = before.rows.rows;
    let mut off = vec![(0_u64, 0.0_f64); rows];
    for pair in &pairs {
        for (row, (changed, score)) in off.iter_mut().enumerate() {
            let distance = pair.scaled_distance(row);
            *changed += u64::from(distance.is_some());
            *score += distance.unwrap_or(0.0);
        }
    }
    let names = |of: &Whole| feature_names(of).map(|(_, name)| name.to_owned()).collect::<BTreeSet<_>>();
    let (mine, theirs) = (names(before), names(after));
    DiffReport {
        before: version(before),
        after: version(after),
        spine: PathBuf::new(),
        rows: rows as u64,
        rows_changed: off.iter().filter(|(changed, _)| *changed > 0).count() as u64,
        features: pairs.iter().map(Pair::describe).collect(),
        removed: feature_names(before).map(|(_, name)| name.to_owned()).filter(|name| !theirs.contains(name)).collect(),
        added: feature_names(after).map(|(_, name)| name.to_owned()).filter(|name| !mine.contains(name)).collect(),
        rows_most: most(&off, rows_max).into_iter().map(|row| describe_row(before, &pairs, row, off[row])).collect(),
    }
}

fn version(Whole { derived, .. }: &Whole) -> VersionEntry {
    let service = &derived.service;
    // A view stands in a service of its own, whose version nobody published.
    let version = match &service.views[..] {
        [view] if view.spec.name == service.spec.name => view.version.to_string(),
        _ => service.version.to_string(),
    };
    VersionEntry { kind: String::new(), name: service.spec.name.clone(), version, dataset: derived.hash.to_string() }
}

/// The columns of a dataset's features, with the names by which versions are matched: those of one view go without its name,
/// so that two views can be compared.
fn feature_names(Whole { derived, .. }: &Whole) -> impl Iterator<Item = (usize, &str)> {
    let prefix = match &derived.service.views[..] {
        [view] if view.spec.name == derived.service.spec.name => format!("{}__", view.spec.name),
        _ => String::new(),
    };
    let first = derived.spine.schema.len();
    let fields = derived.schema.fields()[first..].iter().enumerate();
    fields.map(move |(at, field)| (first + at, field.name.strip_prefix(&prefix).unwrap_or(&field.name)))
}

fn pairs<'d>(before: &'d Whole, after: &'d Whole) -> Vec<Pair<'d>> {
    let theirs: BTreeMap<&str, usize> = feature_names(after).map(|(at, name)| (name, at)).collect();
    let pair = |(at, name): (usize, &'d str)| {
        let (before, after) = (&before.rows.columns[at], &after.rows.columns[*theirs.get(name)?]);
        Some(Pair { name, before, after, scale: deviation(before) })
    };
    feature_names(before).filter_map(pair).collect()
}

/// The rows with the highest scores; the earlier one of two with the same.
fn most(off: &[(u64, f64)], rows_max: usize) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..off.len()).filter(|row| off[*row].0 > 0).collect();
    let by_score = |a: &usize, b: &usize| off[*b].1.total_cmp(&off[*a].1).then(off[*b].0.cmp(&off[*a].0));
    rows.sort_by(by_score);
    rows.truncate(rows_max);
    rows
}

fn describe_row(whole: &Whole, pairs: &[Pair<'_>], row: usize, (changed, score): (u64, f64)) -> DifferingRow {
    let mut features: Vec<(&Pair<'_>, f64)> =
        pairs.iter().filter_map(|pair| Some((pair, pair.scaled_distance(row)?))).collect();
    features.sort_by(|a, b| b.1.total_cmp(&a.1));
    let shown = |(pair, _): &(&Pair<'_>, f64)| {
        let value = |column: &Column| json::to_json(column.get(row).as_ref());
        (pair.name.to_owned(), value(pair.before), value(pair.after))
    };
    let spine = &whole.derived.spine;
    let names = whole.derived.service.entity.iter().map(|field| &field.name).chain([&spine.time_column]);
    DifferingRow {
        row: row as u64 + 1,
        spine: names
            .map(|name| (name.clone(), json::to_json(whole.rows.columns[spine.column(name)].get(row).as_ref())))
            .collect(),
        changed,
        score,
        features: features.iter().take(FEATURES_SHOWN_MAX).map(shown).collect(),
    }
}

impl Pair<'_> {
    /// How far the two values of a row are apart, in standard deviations, if they are not the same bits.
    fn scaled_distance(&self, row: usize) -> Option<f64> {
        if self.before.same_bits(row, self.after, row) {
            return None;
        }
        let distance = self.distance(row).filter(|distance| distance.is_finite());
        Some(distance.map_or(1.0, |distance| distance / self.scale))
    }

    fn distance(&self, row: usize) -> Option<f64> {
        Some((number(self.before, row)? - number(self.after, row)?).abs())
    }

    fn describe(&self) -> FeatureDiff {
        let rows = self.before.len();
        let nulls = |column: &Column| column.null_count() as u64;
        let count = |wanted: &dyn Fn(usize) -> bool| (0..rows).filter(|row| wanted(*row)).count() as u64;
        let distances: Vec<f64> =
            (0..rows).filter_map(|row| self.distance(row)).filter(|distance| distance.is_finite()).collect();
        FeatureDiff {
            name: self.name.to_owned(),
            types: (self.before.data_type().to_string(), self.after.data_type().to_string()),
            changed: count(&|row| !self.before.same_bits(row, self.after, row)),
            nulls_before: nulls(self.before),
            nulls_after: nulls(self.after),
            became_null: count(&|row| self.before.is_valid(row) && !self.after.is_valid(row)),
            became_present: count(&|row| !self.before.is_valid(row) && self.after.is_valid(row)),
            mean_before: mean(&finite(self.before)),
            mean_after: mean(&finite(self.after)),
            distance_mean: mean(&distances),
            distance_max: distances.iter().copied().max_by(f64::total_cmp),
            distribution: distribution(
                (values(self.before), nulls(self.before)),
                (values(self.after), nulls(self.after)),
            ),
        }
    }
}

impl FeatureDiff {
    /// By how much features differ, for an order in which the most different comes first.
    pub fn by_difference(&self, other: &Self) -> Ordering {
        let psi = other.distribution.psi.total_cmp(&self.distribution.psi);
        psi.then(other.changed.cmp(&self.changed)).then_with(|| self.name.cmp(&other.name))
    }
}

fn number(column: &Column, row: usize) -> Option<f64> {
    match &column.values {
        Cells::Float64(values) if column.is_valid(row) => Some(values[row]),
        Cells::Int64(values) if column.is_valid(row) => Some(values[row] as f64),
        _ => None,
    }
}

fn finite(column: &Column) -> Vec<f64> {
    (0..column.len()).filter_map(|row| number(column, row)).filter(|number| number.is_finite()).collect()
}

fn mean(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

fn deviation(column: &Column) -> f64 {
    let numbers = finite(column);
    let Some(mean) = mean(&numbers) else { return 1.0 };
    let variance = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / numbers.len() as f64;
    let deviation = variance.sqrt();
    if deviation.is_normal() { deviation } else { 1.0 }
}

fn values(column: &Column) -> Values {
    if matches!(column.values, Cells::Float64(_) | Cells::Int64(_)) {
        return Values::Numbers((0..column.len()).filter_map(|row| number(column, row)).collect());
    }
    let valid = (0..column.len()).filter_map(|row| column.get(row));
    Values::Texts(
        valid
            .map(|value| match value.to_json() {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            })
            .collect(),
    )
}
