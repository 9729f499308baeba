//! Views that end in `latest`: what [`Fold`](crate::fold::Fold) looks up row after row, for all spine rows of some keys in one
//! pass. No plugin takes part, so that all there is to find is which event is the newest. The rules are the fold's own.

use oast_core::{Batch, Timestamp};

use super::{
    buckets::{EVENT_COLUMNS, timestamps},
    compute::{ComputedView, Key, Lookups, Numbers, events_of_keys, integers},
};
use crate::{
    RuntimeError,
    fold::{Features, is_expired, is_newest, status},
    view::{Shape, View},
};

/// A bucket of such a view, as far as its events have gone by.
pub(super) struct Latest<'a> {
    of: &'a ComputedView<'a>,
    /// The columns of the bucket's events that become features.
    columns: Vec<usize>,
    lookups: &'a Lookups,
    /// The newest event so far of each key that still has lookups to make.
    newest: Batch,
}

/// When the events of a bucket happened and became visible.
struct Times<'e> {
    visible: Vec<Timestamp>,
    event: Vec<Timestamp>,
    offsets: &'e [i64],
}

/// What spine rows see.
#[derive(Default)]
struct Seen {
    rows: Vec<u32>,
    /// The event whose values each row sees; none where there is none, or where it has expired.
    events: Vec<Option<u32>>,
    expired: Vec<bool>,
    newest: Vec<Option<Timestamp>>,
}

impl<'a> Latest<'a> {
    /// A bucket of which no event has gone by, if the view ends in `latest`.
    pub(super) fn of(of: &'a ComputedView<'a>, lookups: &'a Lookups) -> Option<Self> {
        let Shape::Latest(columns) = &of.view.shape else { return None };
        let place = |column| of.buckets.used.iter().position(|used| used == column);
        let place = |column| EVENT_COLUMNS.len() + place(column).expect("a bucket has what features are made from");
        Some(Self { of, columns: columns.iter().map(place).collect(), lookups, newest: Batch::default() })
    }

    /// Makes the lookups that see no event after these, the next ones in fold order.
    pub(super) fn run(
        &mut self,
        events: Batch,
        numbers: &Numbers<'_>,
        keys: &mut [Key],
        is_last: bool,
    ) -> Result<(), RuntimeError> {
        let mut rows = std::mem::take(&mut self.newest);
        if rows.rows == 0 {
            rows = events;
        } else {
            rows.append(&events);
        }
        let of_keys = events_of_keys(&rows, numbers, keys.len());
        let times = Times { visible: timestamps(&rows, 1), event: timestamps(&rows, 2), offsets: integers(&rows, 3) };
        let until = times.visible.last().copied().filter(|_| !is_last);
        let (mut seen, mut newest) = (Seen::default(), Vec::new());
        for (key, of_key) in keys.iter_mut().zip(&of_keys) {
            let latest = seen.look(self.of.view, &times, of_key, self.lookups, key, until);
            newest.extend(latest.filter(|_| !key.is_done()));
        }
        self.newest = rows.take(&newest);
        let (rows, features) = seen.features(&rows, &self.columns);
        self.of.keep(&rows, &features)
    }
}

impl Seen {
    /// Looks at the events of a key, in fold order, and at its lookups up to a time, in order of time; returns the newest event.
    fn look(
        &mut self,
        view: &View,
        times: &Times<'_>,
        of_key: &[u32],
        lookups: &Lookups,
        key: &mut Key,
        until: Option<Timestamp>,
    ) -> Option<u32> {
        let retention = view.spec.source.retention();
        let place = |event: u32| (times.event[event as usize], times.offsets[event as usize] as u64);
        // The last event by event time, then offset.
        let newer =
            |latest: Option<u32>, event| if is_newest(latest.map(place), place(event)) { Some(event) } else { latest };
        let (mut waiting, mut latest) = (of_key.iter().copied().peekable(), None);
        for lookup in &key.lookups[key.next..] {
            let time = lookups.times[*lookup as usize];
            if until.is_some_and(|until| time > until) {
                break;
            }
            while let Some(event) = waiting.next_if(|event| times.visible[*event as usize] < time) {
                latest = newer(latest, event);
            }
            // The source need not keep anything of an entity whose newest event is older than its retention.
            let known = latest.filter(|event| !is_expired(retention, Some(place(*event).0), time));
            let newest = known.map(|event| place(event).0);
            let expired = is_expired(view.ttl, newest, time);
            self.rows.push(lookups.rows[*lookup as usize]);
            self.events.push(known.filter(|_| !expired));
            self.expired.push(expired);
            self.newest.push(newest);
            key.next += 1;
        }
        // Lookups after that time see all of them.
        waiting.fold(latest, newer)
    }

    /// The rows of the spine, and their features.
    fn features(self, events: &Batch, columns: &[usize]) -> (Vec<u32>, Features) {
        let columns: Vec<_> = columns.iter().map(|column| events.columns[*column].take_or_null(&self.events)).collect();
        let status = |row: usize, is_valid: bool| status(self.expired[row], false, is_valid);
        let seen = 0..self.rows.len();
        let statuses = columns.iter().map(|column| seen.clone().map(|row| status(row, column.is_valid(row))).collect());
        let statuses = statuses.collect();
        (self.rows, Features { columns, statuses, newest: self.newest, failed_rows: 0, audited_rows: 0 })
    }
}
