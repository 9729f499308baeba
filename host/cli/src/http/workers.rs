use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::HttpError;

/// Runs blocking calls, at most so many at once and so many more in wait. Whoever comes when both are full is told to come
/// back, before anything of the request is read.
#[derive(Clone)]
pub(super) struct Workers {
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
    running_max: u32,
}

/// A place among those admitted, kept until the work is done even if the client has gone.
pub(super) struct Place {
    admitted: OwnedSemaphorePermit,
    running: Arc<Semaphore>,
}

impl Workers {
    pub(super) fn new(running: usize, waiting: usize) -> Self {
        let running_max = u32::try_from(running).expect("a handful of threads");
        let admitted = Arc::new(Semaphore::new(running + waiting));
        Self { admitted, running: Arc::new(Semaphore::new(running)), running_max }
    }

    /// Takes a place, or refuses at once.
    pub(super) fn admit(&self) -> Result<Place, HttpError> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| HttpError::busy())?;
        Ok(Place { admitted, running: Arc::clone(&self.running) })
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
        let running = self.running.acquire_owned().await.expect("the semaphore is never closed");
        let span = tracing::Span::current();
        let work = move || {
            let _permits = (running, self.admitted);
            span.in_scope(call)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| HttpError::panicked())
    }
}

#[cfg(test)]
mod tests {
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
    async fn a_panic_is_an_error_and_frees_its_place() {
        let workers = Workers::new(1, 0);
        let Ok(place) = workers.admit() else { panic!("nobody is there yet") };
        assert!(place.run(|| panic!("a bug in the host")).await.is_err());
        workers.idle().await;
        assert!(workers.admit().is_ok(), "the panic gave its place back");
    }
}
