//! Appends under way. Events are gated and put in line for the log one request at a time, wait together until they are durable,
//! and are shown to the views in the order of the log. Until the views have seen events, no lookup is at a later time than
//! theirs.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicI64, Ordering},
    },
};

use oast_core::Timestamp;
use oast_store::StoreError;

/// Later than every time.
const NOTHING_IN_FLIGHT: i64 = i64::MAX;

/// The appends under way.
pub(crate) struct Flights {
    under_way: Mutex<UnderWay>,
    landed: Condvar,
    /// What the oldest flight holds lookups back to. What is in flight has later times.
    horizon: AtomicI64,
}

#[derive(Default)]
struct UnderWay {
    next: u64,
    /// By number, the time that the flight holds lookups back to.
    horizons: BTreeMap<u64, Timestamp>,
    /// Why the log takes no more events until it is opened again.
    failure: Option<Arc<StoreError>>,
}

impl Default for Flights {
    fn default() -> Self {
        Self { under_way: Mutex::default(), landed: Condvar::new(), horizon: AtomicI64::new(NOTHING_IN_FLIGHT) }
    }
}

impl Flights {
    /// The time that no lookup may pass.
    pub(crate) fn horizon(&self) -> Timestamp {
        Timestamp::from_micros(self.horizon.load(Ordering::SeqCst))
    }

    /// Begins the flight of events that will have later times than this. Whoever begins one keeps others from doing so
    /// until the events are in line for the log.
    pub(super) fn begin(&self, horizon: Timestamp) -> Flight<'_> {
        let mut under_way = self.lock();
        let number = under_way.next;
        under_way.next += 1;
        under_way.horizons.insert(number, horizon);
        self.publish(&under_way);
        Flight { flights: self, number }
    }

    /// Waits until all have landed; the caller sees to it that none begins.
    pub(crate) fn wait_for_all(&self) {
        let under_way = self.lock();
        drop(self.landed.wait_while(under_way, |under_way| !under_way.horizons.is_empty()));
    }

    /// Why the log takes no more events, if it does not.
    pub(crate) fn failure(&self) -> Option<Arc<StoreError>> {
        self.lock().failure.clone()
    }

    fn publish(&self, under_way: &UnderWay) {
        let oldest = under_way.horizons.first_key_value();
        self.horizon.store(oldest.map_or(NOTHING_IN_FLIGHT, |(_, time)| time.as_micros()), Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().expect("nothing panics while it looks at what is under way")
    }
}

/// One append, until it is dropped.
pub(super) struct Flight<'f> {
    flights: &'f Flights,
    number: u64,
}

impl Flight<'_> {
    /// Waits until all that began before has landed. If the log failed in the meantime, what came before may not be in it.
    pub(super) fn wait_for_turn(&self) -> Result<(), Arc<StoreError>> {
        let under_way = self.flights.lock();
        let waits = |under_way: &mut UnderWay| under_way.horizons.keys().next() != Some(&self.number);
        let under_way = self.flights.landed.wait_while(under_way, waits).expect("nothing panics under this lock");
        under_way.failure.clone().map_or(Ok(()), Err)
    }

    /// Lets lookups come up to this time: the views have seen what is before it, or are locked until they have.
    pub(super) fn reach(&self, horizon: Timestamp) {
        let mut under_way = self.flights.lock();
        under_way.horizons.insert(self.number, horizon);
        self.flights.publish(&under_way);
    }

    /// Whether another has begun since.
    pub(super) fn is_followed(&self) -> bool {
        self.flights.lock().next > self.number + 1
    }

    /// The log has failed, for those behind as well.
    pub(super) fn fail(&self, failure: Arc<StoreError>) {
        self.flights.lock().failure.get_or_insert(failure);
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut under_way = self.flights.lock();
        under_way.horizons.remove(&self.number);
        self.flights.publish(&under_way);
        drop(under_way);
        self.flights.landed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    fn time(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn lookups_are_held_back_by_the_oldest_flight() {
        let flights = Flights::default();
        assert_eq!(flights.horizon(), time(i64::MAX));
        let (first, second) = (flights.begin(time(10)), flights.begin(time(20)));
        assert_eq!((flights.horizon(), first.is_followed(), second.is_followed()), (time(10), true, false));
        first.reach(time(15));
        assert_eq!(flights.horizon(), time(15));
        drop(first);
        assert_eq!(flights.horizon(), time(20));
        drop(second);
        assert_eq!(flights.horizon(), time(i64::MAX));
    }

    #[test]
    fn flights_land_in_their_order_and_learn_what_failed_before_them() {
        let flights = Flights::default();
        let mine: Vec<_> = (0..8).map(|at| flights.begin(time(at))).collect();
        let (landed, order) = mpsc::channel();
        thread::scope(|scope| {
            for flight in mine.into_iter().rev() {
                let landed = landed.clone();
                scope.spawn(move || {
                    let turn = flight.wait_for_turn();
                    if flight.number == 4 {
                        flight.fail(Arc::new(StoreError::LogClosed));
                    }
                    landed.send((flight.number, turn.is_ok())).expect("the receiver waits");
                });
            }
            flights.wait_for_all();
        });
        drop(landed);
        let expected: Vec<_> = (0..8).map(|number| (number, number <= 4)).collect();
        assert_eq!(order.iter().collect::<Vec<_>>(), expected);
        assert!(flights.failure().is_some());
    }
}
