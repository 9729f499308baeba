use std::collections::BTreeMap;

use oast_core::Column;
use serde::Serialize;

use super::{compare::Matched, kept::Dataset};
use crate::{RuntimeError, json};

/// How many features of a row are shown.
const FEATURES_SHOWN_MAX: usize = 5;

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
    /// The features that add most to the score.
    pub features: Vec<FeatureOfRow>,
}

/// A feature of a row: name, value before, value after.
pub type FeatureOfRow = (String, serde_json::Value, serde_json::Value);

/// How far a row is off: how many of its features differ, and the score.
pub(super) type Off = (u64, f64);

/// The rows with the highest scores; the earlier one of two with the same.
pub(super) fn most(off: &[Off], rows_max: usize) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..off.len()).filter(|row| off[*row].0 > 0).collect();
    let by_score = |a: &usize, b: &usize| off[*b].1.total_cmp(&off[*a].1).then(off[*b].0.cmp(&off[*a].0));
    rows.sort_by(by_score);
    rows.truncate(rows_max);
    rows
}

/// Describes rows by the features of theirs that differ, for which the columns are read once more.
pub(super) fn describe_rows<'d>(
    (before, after): (&Dataset<'_>, &Dataset<'_>),
    changed: impl Iterator<Item = &'d Matched<'d>>,
    off: &[Off],
    chosen: &[usize],
) -> Result<Vec<DifferingRow>, RuntimeError> {
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let spine = &before.derived.spine;
    let row = |row: &usize| {
        let (changed, score) = off[*row];
        DifferingRow { row: *row as u64 + 1, spine: BTreeMap::new(), changed, score, features: Vec::new() }
    };
    let mut rows: Vec<DifferingRow> = chosen.iter().map(row).collect();
    let value = |column: &Column, row: usize| json::to_json(column.get(row).as_ref());
    for name in before.derived.service.entity.iter().map(|field| &field.name).chain([&spine.time_column]) {
        let column = before.columns.read(spine.column(name))?;
        for (described, row) in rows.iter_mut().zip(chosen) {
            described.spine.insert(name.clone(), value(&column, *row));
        }
    }
    let mut features: Vec<Vec<(f64, FeatureOfRow)>> = vec![Vec::new(); chosen.len()];
    for each in changed {
        let pair = each.read(before, after)?;
        for (features, row) in features.iter_mut().zip(chosen) {
            if let Some(distance) = pair.scaled_distance(*row) {
                let (before, after) = (value(&pair.before, *row), value(&pair.after, *row));
                features.push((distance, (each.name.to_owned(), before, after)));
            }
        }
    }
    for (described, mut features) in rows.iter_mut().zip(features) {
        features.sort_by(|a, b| b.0.total_cmp(&a.0));
        described.features = features.into_iter().take(FEATURES_SHOWN_MAX).map(|(_, feature)| feature).collect();
    }
    Ok(rows)
}
