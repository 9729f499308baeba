use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{HttpError, deadline::Deadline};

/// Runs blocking calls, at most so many at once and so many more in wait. Whoever comes when both are full is told to come
/// back, before anything of the request is read.
#[derive(Clone)]
pub(super) struct Workers {
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
    running_max: u32,
    admitted_max: usize,
}

/// A place among those admitted, kept until the work is done even if the client has gone.
pub(super) struct Place {
    admitted: OwnedSemaphorePermit,
    running: Arc<Semaphore>,
    deadline: Deadline,
}

impl Workers {
    pub(super) fn new(running: usize, waiting: usize) -> Self {
        let running_max = u32::try_from(running).expect("a handful of threads");
        let admitted_max = running + waiting;
        let admitted = Arc::new(Semaphore::new(admitted_max));
        Self { admitted, running: Arc::new(Semaphore::new(running)), running_max, admitted_max }
    }

    /// Takes a place, or refuses at once.
    pub(super) fn admit(&self) -> Result<Place, HttpError> {
        self.admit_until(Deadline::default())
    }

    /// Takes a place for a call that is not begun after the deadline, or refuses at once.
    pub(super) fn admit_until(&self, deadline: Deadline) -> Result<Place, HttpError> {
        deadline.check()?;
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| HttpError::busy())?;
        Ok(Place { admitted, running: Arc::clone(&self.running), deadline })
    }

    /// How many run, and how many have been admitted besides.
    pub(super) fn depth(&self) -> (usize, usize) {
        let running = self.running_max as usize - self.running.available_permits();
        let admitted = self.admitted_max - self.admitted.available_permits();
        (running, admitted.saturating_sub(running))
    }

    /// Waits until nothing runs.
    pub(super) async fn idle(&self) {
        let all = self.running.acquire_many(self.running_max).await;
        drop(all.expect("the semaphore is never closed"));
    }
}

impl Place {
    /// Runs the call on a thread that may block.
    pub(super) async fn run<T: Send + 'static>(
        self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HttpError> {
        let Self { admitted, running, deadline } = self;
        let running = deadline.cut(running.acquire_owned()).await?.expect("the semaphore is never closed");
        let span = tracing::Span::current();
        let work = move || {
            let _permits = (running, admitted);
            // A thread may have been long in coming.
            deadline.check().map(|()| span.in_scope(call))
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| HttpError::panicked())?
    }

    /// Runs a call that does not block, on this thread.
    pub(super) fn run_at_once<T>(&self, call: impl FnOnce() -> T) -> Result<T, HttpError> {
        self.deadline.check()?;
        catch_unwind(AssertUnwindSafe(call)).map_err(|_| HttpError::panicked())
    }

    /// What the future gives, unless the deadline passes first.
    pub(super) async fn cut<T>(&self, future: impl Future<Output = T>) -> Result<T, HttpError> {
        self.deadline.cut(future).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_full_queue_refuses_and_an_emptied_one_admits() {
        let workers = Workers::new(1, 1);
        let (Ok(first), Ok(_second)) = (workers.admit(), workers.admit()) else { panic!("two places are free") };
        assert!(workers.admit().is_err(), "both places are taken");
        let value = first.run(|| 7).await.ok();
        assert_eq!(value, Some(7));
        assert!(workers.admit().is_ok(), "the first has left");
    }

    #[tokio::test]
    async fn a_call_whose_deadline_passes_in_the_queue_is_not_begun() {
        let workers = Workers::new(1, 1);
        let soon = Deadline::after(Duration::from_millis(1));
        let (Ok(first), Ok(second)) = (workers.admit(), workers.admit_until(soon)) else {
            panic!("two places are free")
        };
        let (told, tell) = std::sync::mpsc::channel::<()>();
        let first = tokio::spawn(first.run(move || tell.recv()));
        tokio::task::yield_now().await;
        assert_eq!(workers.depth(), (1, 1), "one runs and one waits");
        let refused = second.run(|| panic!("nobody waits for this any longer")).await.map_err(|error| error.code);
        assert_eq!(refused, Err::<(), _>("deadline_exceeded"));
        drop(told);
        assert!(first.await.is_ok_and(|ran| ran.is_ok()), "the first ends when it is told to");
        assert_eq!(workers.depth(), (0, 0));
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_frees_its_place() {
        let workers = Workers::new(1, 0);
        let Ok(place) = workers.admit() else { panic!("nobody is there yet") };
        assert!(place.run_at_once(|| panic!("a bug in the host")).is_err());
        assert!(place.run(|| panic!("a bug in the host")).await.is_err());
        workers.idle().await;
        assert!(workers.admit().is_ok(), "the panic gave its place back");
    }
}
