//! Views that end in `latest`: what [`Fold`](crate::fold::Fold) looks up row after row, for all spine rows of some keys in one
//! pass. No plugin takes part, so that all there is to find is which event is the newest. The rules are the fold's own.

use oast_core::{Column, Field, Timestamp};

use super::{
    Spine,
    partition::{Chunk, Events, KeyWork},
};
use crate::{
    fold::{Features, is_expired, is_newest, status},
    view::View,
};

/// What the spine rows of a chunk of keys see.
#[derive(Default)]
struct Seen {
    rows: Vec<u32>,
    /// The event whose values each row sees; none where there is none, or where it has expired.
    events: Vec<Option<u32>>,
    expired: Vec<bool>,
    newest: Vec<Option<Timestamp>>,
}

/// The features of the spine rows of a chunk of keys.
pub(super) fn run_chunk(view: &View, columns: &[usize], events: &Events, spine: &Spine, chunk: &[KeyWork]) -> Chunk {
    let mut seen = Seen::default();
    for work in chunk {
        seen.look(view, events, spine, work);
    }
    // Without a single event there are no columns either.
    let column = |(column, field): (&usize, &Field)| match events.rows.columns.get(*column) {
        Some(column) => column.take_or_null(&seen.events),
        None => Column::nulls(field.data_type, seen.rows.len()),
    };
    let columns: Vec<_> = columns.iter().zip(&view.features).map(column).collect();
    let status = |row: usize, is_valid: bool| status(seen.expired[row], false, is_valid);
    let rows = 0..seen.rows.len();
    let statuses = columns.iter().map(|column| rows.clone().map(|row| status(row, column.is_valid(row))).collect());
    let statuses = statuses.collect();
    let features = Features { columns, statuses, newest: seen.newest, failed_rows: 0, audited_rows: 0 };
    Chunk { rows: seen.rows, features: vec![features] }
}

impl Seen {
    /// Looks at the events of a key, in fold order, and at its spine rows, in order of time.
    fn look(&mut self, view: &View, events: &Events, spine: &Spine, work: &KeyWork) {
        let retention = view.spec.source.retention();
        let mut waiting = work.events.iter().copied().peekable();
        // The last event by event time, then offset.
        let mut latest: Option<u32> = None;
        let place = |event: u32| (events.times[event as usize], events.orders[event as usize].1);
        for row in &work.lookups {
            let time = spine.times[*row as usize];
            while let Some(event) = waiting.next_if(|event| events.orders[*event as usize].0 < time) {
                if is_newest(latest.map(place), place(event)) {
                    latest = Some(event);
                }
            }
            // The source need not keep anything of an entity whose newest event is older than its retention.
            let known = latest.filter(|event| !is_expired(retention, Some(place(*event).0), time));
            let newest = known.map(|event| place(event).0);
            let expired = is_expired(view.ttl, newest, time);
            self.rows.push(*row);
            self.events.push(known.filter(|_| !expired));
            self.expired.push(expired);
            self.newest.push(newest);
        }
    }
}
