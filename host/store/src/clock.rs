use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use oast_core::Timestamp;

/// The log's clock: the wall clock, except that it never stands still and never goes back.
///
/// Ingest times and the times of lookups are drawn from one clock, so that any two of them are ordered. Clones are handles
/// to the same clock. A log that is opened advances its clock past the latest tick it has recorded.
#[derive(Clone)]
pub struct LogClock(Arc<Ticks>);

struct Ticks {
    wall: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// In microseconds; `i64::MIN` before the first tick.
    last: AtomicI64,
}

impl LogClock {
    /// A clock over this wall clock. Where time is simulated, let it return [`Timestamp::MIN`] and use
    /// [`Self::advance_to`].
    pub fn new(wall: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(Ticks { wall: Box::new(wall), last: AtomicI64::new(i64::MIN) }))
    }

    /// A clock over the machine's wall clock.
    pub fn system() -> Self {
        Self::new(|| {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
        })
    }

    /// A time strictly later than every one before: the wall clock's, or a microsecond after the last.
    ///
    /// # Panics
    ///
    /// When the clock was advanced to the end of time.
    pub fn tick(&self) -> Timestamp {
        let wall = (self.0.wall)().as_micros();
        let next = |last: i64| last.checked_add(1).map(|next| next.max(wall));
        let last = self.0.last.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        let last = last.expect("the clock stays before the end of time");
        Timestamp::from_micros((last + 1).max(wall))
    }

    /// The latest time that the clock gave out or was advanced to.
    pub fn last(&self) -> Option<Timestamp> {
        let last = self.0.last.load(Ordering::SeqCst);
        (last != i64::MIN).then(|| Timestamp::from_micros(last))
    }

    /// Makes every later tick later than `time`. An earlier time than the last changes nothing.
    pub fn advance_to(&self, time: Timestamp) {
        self.0.last.fetch_max(time.as_micros(), Ordering::SeqCst);
    }
}

impl fmt::Debug for LogClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogClock").field(&self.last()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_stands_still_or_goes_back_does_not_matter() {
        let wall = Arc::new(AtomicI64::new(100));
        let read = Arc::clone(&wall);
        let clock = LogClock::new(move || Timestamp::from_micros(read.load(Ordering::SeqCst)));
        let check = |wall_now: i64, expected: i64| {
            wall.store(wall_now, Ordering::SeqCst);
            assert_eq!(clock.tick().as_micros(), expected);
        };
        assert_eq!(clock.last(), None);
        check(100, 100);
        check(100, 101);
        check(50, 102);
        check(200, 200);
        clock.advance_to(Timestamp::from_micros(150));
        check(0, 201);
        clock.advance_to(Timestamp::from_micros(1000));
        assert_eq!(clock.last(), Some(Timestamp::from_micros(1000)));
        check(300, 1001);
    }

    #[test]
    fn threads_never_draw_the_same_time() {
        let clock = LogClock::new(|| Timestamp::MIN);
        let draw = || (0..1000).map(|_| clock.tick()).collect::<Vec<_>>();
        let mut times = std::thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(draw));
            threads.map(|thread| thread.join().unwrap()).concat()
        });
        times.sort();
        times.dedup();
        assert_eq!(times.len(), 4000);
    }
}
