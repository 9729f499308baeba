//! The laws of merging: what states come to together, and what the plugin promises of it.

use oast_core::{Batch, Failure, MergeLaw};

use super::{FINISH_HINT, Folded, same};
use crate::{
    EngineError,
    check::{Stop, differs, law, rows::permutation},
};

impl Folded<'_> {
    /// One state merged is that state; the state before the first row changes nothing; and finishing several states is
    /// finishing their merge.
    pub(super) fn merges_as_it_finishes(&self) -> Result<String, Stop> {
        let rows = self.rows.rows;
        let parts = self.parts(&self.rows)?;
        let [a, b, c] = parts.each_ref().map(Vec::as_slice);
        for state in [a, b, c] {
            match self.merge(&[state])? {
                Ok(merged) => {
                    let names = ("the state".to_owned(), "merged by itself".to_owned());
                    self.same_states("merging one state does not give that state", rows, names, state, &merged)?;
                }
                Err(failure) => {
                    let expected = ("one state, merged by itself".to_owned(), "that state".to_owned());
                    let found = ("the merge".to_owned(), failure.to_string());
                    return Err(self.broken("merging one state fails", FINISH_HINT, rows, expected, found));
                }
            }
        }
        let alone = self.finish(&[a])?;
        for group in [[a, &[]], [&[], a]] {
            let meaning = "the state before the first row changes what it is merged with";
            self.same_features(
                meaning,
                FINISH_HINT,
                rows,
                ("a state", &alone),
                ("with an empty one", &self.finish(&group)?),
            )?;
        }
        for group in [&[a, b][..], &[a, b, c]] {
            let merged = match self.merge(group)? {
                Ok(merged) => self.finish(&[&merged])?,
                Err(failure) => Err(failure),
            };
            let meaning = "finishing several states is not finishing their merge";
            let expected = self.finish(group)?;
            self.same_features(
                meaning,
                FINISH_HINT,
                rows,
                ("finished together", &expected),
                ("merged first", &merged),
            )?;
        }
        self.merges_from_left([a, b, c])?;
        Ok("states of three runs of rows, alone, with the empty state, together, and one after the other".to_owned())
    }

    /// Merging all at once is merging the first two and then the third with what came of them, through the saved state: that
    /// is how windows are merged, whatever a plugin promises of rows.
    fn merges_from_left(&self, [a, b, c]: [&[u8]; 3]) -> Result<(), Stop> {
        let at_once = self.merge(&[a, b, c])?;
        let stepwise = match self.merge(&[a, b])? {
            Ok(first) => self.merge(&[&first, c])?,
            Err(failure) => Err(failure),
        };
        let features = |merged: Result<Vec<u8>, Failure>| match merged {
            Ok(state) => self.finish(&[&state]),
            Err(failure) => Ok(Err(failure)),
        };
        self.same_features(
            "merging three states at once is not merging them one after the other",
            FINISH_HINT,
            self.rows.rows,
            ("one after the other", &features(stepwise)?),
            ("three at once", &features(at_once)?),
        )
    }

    /// Merged states finish into what one state over all the rows finishes into, as far as the plugin promises it.
    pub(super) fn keeps_merge_law(&self) -> Result<String, Stop> {
        let descriptor = self.plugin.descriptor();
        let Some(merge_law) = descriptor.merge_law else {
            return Ok("nothing is promised by a plugin of package 0.1.0".to_owned());
        };
        let everything = merge_law == MergeLaw::Exact && !descriptor.order_sensitive && self.failing.is_empty();
        for rows in [Some(&self.sampled.ordinary), Some(&self.rows).filter(|_| everything)].into_iter().flatten() {
            let whole = self.finish(&[&self.fold(rows)?])?;
            let parts = self.parts(rows)?;
            let merged = self.finish(&parts.each_ref().map(Vec::as_slice))?;
            if same(merge_law, law::scale_of(rows), &whole, &merged) {
                continue;
            }
            return Err(differs(
                &format!(
                    "states merge into other features than one state of all their rows, and the plugin promises `{}`",
                    name_of(merge_law)
                ),
                "promise what merge keeps (`exact`, `rounded` or `approximate`), or mend merge",
                self.schema(),
                rows,
                (format!("{} rows in one state", rows.rows), self.features_text(&whole)),
                ("the same rows in three states, merged", self.features_text(&merged)),
            ));
        }
        let rows = if everything { self.sampled.ordinary.rows + self.rows.rows } else { self.sampled.ordinary.rows };
        let compared = if merge_law == MergeLaw::Approximate { ": which features are null or NaN" } else { "" };
        Ok(format!("`{}`, with {rows} rows in one state and in three{compared}", name_of(merge_law)))
    }

    pub(super) fn keeps_order_law(&self) -> Result<String, Stop> {
        let descriptor = self.plugin.descriptor();
        if descriptor.order_sensitive {
            return Ok("the plugin says that the order of rows matters".to_owned());
        }
        // Package 0.1.0 cannot say that a plugin is approximate.
        if matches!(descriptor.merge_law, None | Some(MergeLaw::Approximate)) {
            return Ok("not compared: the plugin may be approximate".to_owned());
        }
        let rows = &self.sampled.ordinary;
        let shuffled = rows.take(&permutation(rows.rows, self.sampled.seed.as_bytes()));
        let in_order = self.finish(&[&self.fold(rows)?])?;
        let out_of_order = self.finish(&[&self.fold(&shuffled)?])?;
        if !same(MergeLaw::Rounded, law::scale_of(rows), &in_order, &out_of_order) {
            return Err(differs(
                "the order of rows decides the features by more than rounding, and the plugin says that it does not",
                "say in the descriptor that the aggregate is order-sensitive",
                self.schema(),
                rows,
                (format!("{} rows in order", rows.rows), self.features_text(&in_order)),
                ("the same rows shuffled", self.features_text(&out_of_order)),
            ));
        }
        Ok(format!("{} rows in order and shuffled", rows.rows))
    }

    /// The states of the first, middle and last third of rows.
    fn parts(&self, rows: &Batch) -> Result<[Vec<u8>; 3], EngineError> {
        let third = rows.rows / 3;
        let part = |start: usize, end: usize| self.fold(&rows.slice(start, end));
        Ok([part(0, third)?, part(third, 2 * third)?, part(2 * third, rows.rows)?])
    }
}

fn name_of(law: MergeLaw) -> &'static str {
    match law {
        MergeLaw::Exact => "exact",
        MergeLaw::Rounded => "rounded",
        MergeLaw::Approximate => "approximate",
    }
}
