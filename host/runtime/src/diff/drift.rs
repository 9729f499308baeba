use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// How many bins numbers are put into, by the quantiles of the first version.
const BINS: usize = 10;

/// How many categories have a bin of their own.
const CATEGORIES: usize = 20;

/// The share that stands for an empty bin, whose logarithm would be infinite.
const SHARE_MIN: f64 = 1e-4;

/// How the values of a feature are spread in two versions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Distribution {
    /// The population stability index over the bins: the sum of `(b - a) ln(b / a)` over the shares of both versions, in
    /// which an empty bin counts as 0.0001. Below 0.1 is commonly read as stable, above 0.25 as shifted.
    pub psi: f64,
    /// The Kolmogorov-Smirnov statistic: the largest distance between the two cumulative distributions, nulls aside; none
    /// for features that are not numbers, or without values on one side.
    pub ks: Option<f64>,
    /// The bins: numbers by the deciles of the first version, other values by themselves, nulls in the last.
    pub bins: Vec<Bin>,
}

/// How many values of each version fall into one bin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// What falls into it: `(a, b]` for numbers.
    pub name: String,
    /// How many values of the first version.
    pub before: u64,
    /// How many values of the second version.
    pub after: u64,
}

/// The values of a feature in one version: numbers, or how often there is each text that stands for one.
pub(super) enum Values {
    Numbers(Vec<f64>),
    Texts(Counts),
}

type Counts = BTreeMap<String, u64>;

/// Compares how values are spread; nulls are given by their number.
pub(super) fn distribution(before: (Values, u64), after: (Values, u64)) -> Distribution {
    let ((before, nulls_before), (after, nulls_after)) = (before, after);
    let (ks, mut bins) = match (before, after) {
        (Values::Numbers(before), Values::Numbers(after)) => {
            let (before, after) = (sorted(before), sorted(after));
            (kolmogorov_smirnov(&before, &after), number_bins(&before, &after))
        }
        (before, after) => (None, text_bins(&before.into_texts(), &after.into_texts())),
    };
    bins.push(Bin { name: "null".to_owned(), before: nulls_before, after: nulls_after });
    Distribution { psi: stability_index(&bins), ks, bins }
}

impl Values {
    fn into_texts(self) -> Counts {
        match self {
            Self::Texts(counts) => counts,
            Self::Numbers(numbers) => counted(numbers.iter().map(f64::to_string)),
        }
    }
}

/// How often each text comes.
pub(super) fn counted(texts: impl Iterator<Item = String>) -> Counts {
    let mut counts = Counts::new();
    texts.for_each(|text| *counts.entry(text).or_default() += 1);
    counts
}

/// In the order of IEEE 754, in which every NaN of ours comes last.
fn sorted(mut numbers: Vec<f64>) -> Vec<f64> {
    // The two zeros are one number here, and two only where bits are compared.
    numbers.iter_mut().for_each(|number| *number += 0.0);
    numbers.sort_by(f64::total_cmp);
    numbers
}

fn kolmogorov_smirnov(before: &[f64], after: &[f64]) -> Option<f64> {
    if before.is_empty() || after.is_empty() {
        return None;
    }
    let (mut at_before, mut at_after, mut largest) = (0, 0, 0.0_f64);
    while at_before < before.len() && at_after < after.len() {
        let (left, right) = (before[at_before], after[at_after]);
        let value = if left.total_cmp(&right).is_le() { left } else { right };
        let beyond = |number: &f64| number.total_cmp(&value).is_le();
        at_before += before[at_before..].partition_point(beyond);
        at_after += after[at_after..].partition_point(beyond);
        let shares = (at_before as f64 / before.len() as f64, at_after as f64 / after.len() as f64);
        largest = largest.max((shares.0 - shares.1).abs());
    }
    Some(largest)
}

fn number_bins(before: &[f64], after: &[f64]) -> Vec<Bin> {
    let reference = if before.is_empty() { after } else { before };
    if reference.is_empty() {
        return Vec::new();
    }
    let mut edges: Vec<f64> = (1..BINS).map(|at| reference[at * (reference.len() - 1) / BINS]).collect();
    edges.dedup_by(|a, b| a.total_cmp(b).is_eq());
    let below = |values: &[f64], edge: f64| values.partition_point(|value| value.total_cmp(&edge).is_le()) as u64;
    let mut bins = Vec::with_capacity(edges.len() + 1);
    let (mut from, mut counted) = ("-∞".to_owned(), (0, 0));
    for edge in edges {
        let up_to = (below(before, edge), below(after, edge));
        let name = format!("({from}, {edge}]");
        bins.push(Bin { name, before: up_to.0 - counted.0, after: up_to.1 - counted.1 });
        (from, counted) = (edge.to_string(), up_to);
    }
    let rest = (before.len() as u64 - counted.0, after.len() as u64 - counted.1);
    bins.push(Bin { name: format!("({from}, ∞)"), before: rest.0, after: rest.1 });
    bins
}

/// The most frequent values of both versions together, and the rest in one bin.
fn text_bins(before: &Counts, after: &Counts) -> Vec<Bin> {
    let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    before.iter().for_each(|(value, count)| counts.entry(value).or_default().0 = *count);
    after.iter().for_each(|(value, count)| counts.entry(value).or_default().1 = *count);
    let mut frequent: Vec<(&str, u64)> = counts.iter().map(|(value, (a, b))| (*value, a + b)).collect();
    frequent.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let own: BTreeSet<&str> = frequent.iter().take(CATEGORIES).map(|(value, _)| *value).collect();
    let (mut bins, mut others) = (Vec::new(), (0, 0));
    for (value, (before, after)) in counts {
        if own.contains(value) {
            bins.push(Bin { name: value.to_owned(), before, after });
        } else {
            others = (others.0 + before, others.1 + after);
        }
    }
    if others != (0, 0) {
        bins.push(Bin { name: "others".to_owned(), before: others.0, after: others.1 });
    }
    bins
}

fn stability_index(bins: &[Bin]) -> f64 {
    let totals = bins.iter().fold((0, 0), |sum, bin| (sum.0 + bin.before, sum.1 + bin.after));
    let share = |count: u64, total: u64| (count as f64 / total.max(1) as f64).max(SHARE_MIN);
    let term = |bin: &Bin| {
        let (before, after) = (share(bin.before, totals.0), share(bin.after, totals.1));
        (after - before) * (after / before).ln()
    };
    bins.iter().filter(|bin| bin.before + bin.after > 0).map(term).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(before: &[f64], after: &[f64]) -> Distribution {
        distribution((Values::Numbers(before.to_vec()), 0), (Values::Numbers(after.to_vec()), 0))
    }

    fn check_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "expected {expected}, found {found}");
    }

    #[test]
    fn the_same_values_do_not_drift() {
        let values: Vec<f64> = (0..1000).map(f64::from).collect();
        let same = numbers(&values, &values);
        assert_eq!((same.psi, same.ks), (0.0, Some(0.0)));
        assert_eq!(same.bins.iter().map(|bin| bin.before).sum::<u64>(), 1000);
    }

    #[test]
    fn the_statistics_are_those_of_the_text_books() {
        check_close(numbers(&[1.0, 2.0, 3.0, 4.0], &[3.0, 4.0, 5.0, 6.0]).ks.expect("both have values"), 0.5);
        check_close(numbers(&[1.0, 2.0], &[3.0, 4.0]).ks.expect("both have values"), 1.0);
        let bins = |before: u64, after: u64| Bin { name: String::new(), before, after };
        // 0.25 ln(0.75 / 0.5) + (-0.25) ln(0.25 / 0.5)
        check_close(stability_index(&[bins(2, 3), bins(2, 1)]), 0.25 * 1.5_f64.ln() - 0.25 * 0.5_f64.ln());
    }

    #[test]
    fn nulls_and_texts_have_bins() {
        let texts = |values: &[&str]| Values::Texts(counted(values.iter().map(|text| (*text).to_owned())));
        let found = distribution((texts(&["a", "a", "b"]), 1), (texts(&["a", "b", "b"]), 0));
        let bins: Vec<_> = found.bins.iter().map(|bin| (bin.name.as_str(), bin.before, bin.after)).collect();
        assert_eq!(bins, [("a", 2, 1), ("b", 1, 2), ("null", 1, 0)]);
        assert_eq!(found.ks, None);
    }

    #[test]
    fn values_that_are_not_finite_are_counted_too() {
        let found = numbers(&[f64::NEG_INFINITY, -0.0, 1.0], &[0.0, f64::INFINITY, f64::NAN]);
        assert_eq!(
            found
                .bins
                .iter()
                .map(|bin| (bin.before, bin.after))
                .fold((0, 0), |sum, bin| { (sum.0 + bin.0, sum.1 + bin.1) }),
            (3, 3)
        );
        assert!(found.psi.is_finite());
    }
}
