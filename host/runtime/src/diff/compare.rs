use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use oast_core::{Column, Values as Cells};
use serde::Serialize;

use super::{
    DiffReport, Distribution, VersionEntry,
    drift::{Values, counted, distribution},
    kept::Dataset,
    rows::{Off, describe_rows, most},
};
use crate::{Progress, RuntimeError};

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

/// A feature that both versions have, and its column in each.
pub(super) struct Matched<'d> {
    pub(super) name: &'d str,
    before: usize,
    after: usize,
}

/// The values of such a feature.
pub(super) struct Pair<'d> {
    name: &'d str,
    pub(super) before: Column,
    pub(super) after: Column,
    /// The standard deviation in the first version; 1 where there is none.
    scale: f64,
}

/// Compares two datasets over one spine, one feature after the other.
pub(super) fn compare(
    before: &Dataset<'_>,
    after: &Dataset<'_>,
    rows_max: usize,
    progress: &dyn Progress,
) -> Result<DiffReport, RuntimeError> {
    let matched = matched(before, after);
    progress.phase("comparing features", Some(matched.len() as u64));
    let rows = before.derived.spine.rows;
    let mut off: Vec<Off> = vec![(0, 0.0); rows as usize];
    let mut features = Vec::with_capacity(matched.len());
    for each in &matched {
        let pair = each.read(before, after)?;
        for (row, (changed, score)) in off.iter_mut().enumerate() {
            let distance = pair.scaled_distance(row);
            *changed += u64::from(distance.is_some());
            *score += distance.unwrap_or(0.0);
        }
        features.push(pair.describe());
        progress.advance(1);
    }
    let names = |of: &Dataset<'_>| feature_names(of).map(|(_, name)| name.to_owned()).collect::<BTreeSet<_>>();
    let (mine, theirs) = (names(before), names(after));
    let changed = matched.iter().zip(&features).filter(|(_, feature)| feature.changed > 0).map(|(each, _)| each);
    Ok(DiffReport {
        before: version(before),
        after: version(after),
        spine: PathBuf::new(),
        rows,
        rows_changed: off.iter().filter(|(changed, _)| *changed > 0).count() as u64,
        rows_most: describe_rows((before, after), changed, &off, &most(&off, rows_max))?,
        features,
        removed: feature_names(before).map(|(_, name)| name.to_owned()).filter(|name| !theirs.contains(name)).collect(),
        added: feature_names(after).map(|(_, name)| name.to_owned()).filter(|name| !mine.contains(name)).collect(),
    })
}

fn version(Dataset { derived, .. }: &Dataset<'_>) -> VersionEntry {
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
fn feature_names<'d>(Dataset { derived, .. }: &'d Dataset<'_>) -> impl Iterator<Item = (usize, &'d str)> {
    let prefix = match &derived.service.views[..] {
        [view] if view.spec.name == derived.service.spec.name => format!("{}__", view.spec.name),
        _ => String::new(),
    };
    let first = derived.spine.schema.len();
    let fields = derived.schema.fields()[first..].iter().enumerate();
    fields.map(move |(at, field)| (first + at, field.name.strip_prefix(&prefix).unwrap_or(&field.name)))
}

/// In the order of the first version.
fn matched<'d>(before: &'d Dataset<'_>, after: &'d Dataset<'_>) -> Vec<Matched<'d>> {
    let theirs: BTreeMap<&str, usize> = feature_names(after).map(|(at, name)| (name, at)).collect();
    let both = |(before, name)| Some(Matched { name, before, after: *theirs.get(name)? });
    feature_names(before).filter_map(both).collect()
}

impl<'d> Matched<'d> {
    pub(super) fn read(&self, before: &Dataset<'_>, after: &Dataset<'_>) -> Result<Pair<'d>, RuntimeError> {
        let (before, after) = (before.columns.read(self.before)?, after.columns.read(self.after)?);
        Ok(Pair { name: self.name, scale: deviation(&before), before, after })
    }
}

impl Pair<'_> {
    /// How far the two values of a row are apart, in standard deviations, if they are not the same bits.
    pub(super) fn scaled_distance(&self, row: usize) -> Option<f64> {
        if self.before.same_bits(row, &self.after, row) {
            return None;
        }
        let distance = self.distance(row).filter(|distance| distance.is_finite());
        Some(distance.map_or(1.0, |distance| distance / self.scale))
    }

    fn distance(&self, row: usize) -> Option<f64> {
        Some((number(&self.before, row)? - number(&self.after, row)?).abs())
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
            changed: count(&|row| !self.before.same_bits(row, &self.after, row)),
            nulls_before: nulls(&self.before),
            nulls_after: nulls(&self.after),
            became_null: count(&|row| self.before.is_valid(row) && !self.after.is_valid(row)),
            became_present: count(&|row| !self.before.is_valid(row) && self.after.is_valid(row)),
            mean_before: mean(&finite(&self.before)),
            mean_after: mean(&finite(&self.after)),
            distance_mean: mean(&distances),
            distance_max: distances.iter().copied().max_by(f64::total_cmp),
            distribution: distribution(
                (values(&self.before), nulls(&self.before)),
                (values(&self.after), nulls(&self.after)),
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
    let text = |value: oast_core::Value| match value.to_json() {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Values::Texts(counted((0..column.len()).filter_map(|row| column.get(row)).map(text)))
}
