//! Views that end in `latest`: what [`Fold`](crate::fold::Fold) looks up row after row, for all spine rows of some keys in one
//! pass. No plugin takes part, so that all there is to find is which event is the newest. The rules are the fold's own.

use oast_core::Timestamp;

use super::compute::{Events, Lookups};
use crate::{
    fold::{Features, is_expired, is_newest, status},
    view::View,
};

/// What the spine rows of some keys see.
#[derive(Default)]
struct Seen {
    rows: Vec<u32>,
    /// The event whose values each row sees; none where there is none, or where it has expired.
    events: Vec<Option<u32>>,
    expired: Vec<bool>,
    newest: Vec<Option<Timestamp>>,
}

/// The features of the lookups of some keys, given in order of time for each key, and the rows of the spine that they are of.
pub(super) fn look_all<'k>(
    view: &View,
    columns: &[usize],
    events: &Events,
    lookups: &Lookups,
    of_keys: impl Iterator<Item = &'k [u32]>,
) -> (Vec<u32>, Features) {
    let mut seen = Seen::default();
    for (number, of_key) in of_keys.enumerate() {
        seen.look(view, events, &events.of_key[number], lookups, of_key);
    }
    let columns: Vec<_> =
        columns.iter().map(|column| events.rows.columns[*column].take_or_null(&seen.events)).collect();
    let status = |row: usize, is_valid: bool| status(seen.expired[row], false, is_valid);
    let rows = 0..seen.rows.len();
    let statuses = columns.iter().map(|column| rows.clone().map(|row| status(row, column.is_valid(row))).collect());
    let statuses = statuses.collect();
    let features = Features { columns, statuses, newest: seen.newest, failed_rows: 0, audited_rows: 0 };
    (seen.rows, features)
}

impl Seen {
    /// Looks at the events of a key, in fold order, and at its lookups, in order of time.
    fn look(&mut self, view: &View, events: &Events, of_key: &[u32], lookups: &Lookups, looked_up: &[u32]) {
        let retention = view.spec.source.retention();
        let mut waiting = of_key.iter().copied().peekable();
        // The last event by event time, then offset.
        let mut latest: Option<u32> = None;
        let place = |event: u32| (events.times[event as usize], events.offsets[event as usize]);
        for lookup in looked_up {
            let time = lookups.times[*lookup as usize];
            while let Some(event) = waiting.next_if(|event| events.visible[*event as usize] < time) {
                if is_newest(latest.map(place), place(event)) {
                    latest = Some(event);
                }
            }
            // The source need not keep anything of an entity whose newest event is older than its retention.
            let known = latest.filter(|event| !is_expired(retention, Some(place(*event).0), time));
            let newest = known.map(|event| place(event).0);
            let expired = is_expired(view.ttl, newest, time);
            self.rows.push(lookups.rows[*lookup as usize]);
            self.events.push(known.filter(|_| !expired));
            self.expired.push(expired);
            self.newest.push(newest);
        }
    }
}
