//! The handle to a job in the background.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context as Polled, Poll, Waker};
use std::time::Duration;

use serde::Serialize;

use super::queue::{JobQueue, StartedJob, blocking};
use crate::error::{Error, ErrorKind, Result, caught};
use crate::events::JobProgress;
use crate::scheduler::JobScope;
use crate::storage::process_number;
use crate::task::{CancelHandle, Site, is_in_task};

/// A handle to a job in the background, which returns a result of type `R`. Returned by
/// [`Bag::start`](crate::Bag::start), [`Context::start`](crate::Context::start) and
/// [`Context::submit`](crate::Context::submit).
///
/// [`result`](Self::result) waits for the result. The handle is also a [`Future`], which any runtime can await, because
/// the job runs on threads of its own. To take the results of several jobs as they end, use
/// [`as_completed`](crate::as_completed).
///
/// Dropping the handle cancels the job, without waiting for its end. To let the job go on, call
/// [`detach`](Self::detach).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let handle = holdall::range(0..1_000_000).start(|bag| bag.sum::<u64>())?;
/// while !handle.wait_timeout(Duration::from_millis(100)) {
///     println!("{}", handle.progress()); // sum: stage 1/1 (range): 12/64 tasks
/// }
/// assert_eq!(handle.result()?, 499_999_500_000);
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use = "dropping it cancels its job"]
pub struct JobHandle<R> {
    started: Arc<Started<R>>,
    is_detached: bool,
    /// The process in which the job runs.
    process: u64,
}

/// Status of a job in the background. Returned by [`JobHandle::status`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use holdall::JobStatus;
///
/// let handle = holdall::range(0..10).map(|n| 10 / n).start(|bag| bag.count())?;
/// assert!(handle.wait_timeout(Duration::from_secs(60)));
/// assert_eq!(handle.status(), JobStatus::Failed);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum JobStatus {
    /// It waits until earlier jobs end; see
    /// [`ContextBuilder::concurrent_jobs`](crate::ContextBuilder::concurrent_jobs).
    Pending,
    /// It is running. A job that has been cancelled may run for a while.
    Running,
    /// It has returned a result.
    Completed,
    /// It has returned an error, such as [`DeadlineExceeded`](ErrorKind::DeadlineExceeded).
    Failed,
    /// It has ended because it was cancelled.
    Cancelled,
}

type Work<R> = Box<dyn FnOnce() -> Result<R> + Send>;

/// A job, and what waits for its end.
struct Started<R> {
    site: Site,
    scope: Arc<JobScope>,
    state: Mutex<State<R>>,
    changed: Condvar,
}

struct State<R> {
    phase: Phase<R>,
    /// Woken at the end.
    waker: Option<Waker>,
    /// Receives the number at the end.
    listener: Option<(Sender<usize>, usize)>,
}

enum Phase<R> {
    Pending(Work<R>),
    Running,
    Ended {
        status: JobStatus,
        /// `None` once it has been taken.
        result: Option<Result<R>>,
    },
}

impl<R> JobHandle<R> {
    /// Waits for the end of the job, and returns its result.
    ///
    /// # Errors
    ///
    /// Returns the error of the job. It is [`Cancelled`](ErrorKind::Cancelled) if the job has been cancelled, and
    /// [`TaskPanicked`](ErrorKind::TaskPanicked) if the closure that was passed to `start` has panicked. In a closure
    /// of a running job, returns [`NestedJob`](ErrorKind::NestedJob), and cancels the job of the handle.
    ///
    /// # Panics
    ///
    /// Panics if the handle, as a future, has already returned the result.
    ///
    /// # Examples
    ///
    /// ```
    /// let handle = holdall::range(0..10).start(|bag| bag.max())?;
    /// assert_eq!(handle.result()?, Some(9));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn result(self) -> Result<R> {
        if is_in_task() {
            return Err(Error::new(ErrorKind::NestedJob));
        }
        blocking(|| {
            let mut state = self.started.lock();
            loop {
                if let Some(result) = state.take_result() {
                    return result;
                }
                let waited = self.started.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            }
        })
    }

    /// Waits for the end of the job, but at most for `timeout`. Returns whether the job has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let endless = holdall::from_iter(0_u64..).start(|bag| bag.count())?;
    /// assert!(!endless.wait_timeout(Duration::from_millis(10)));
    /// endless.cancel();
    /// assert!(endless.result().unwrap_err().is_cancelled());
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let is_running = |state: &mut State<R>| !state.has_ended();
        blocking(|| {
            let changed = &self.started.changed;
            let waited = changed.wait_timeout_while(self.started.lock(), timeout, is_running);
            waited.unwrap_or_else(PoisonError::into_inner).0.has_ended()
        })
    }

    /// Returns the status of the job.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::JobStatus;
    ///
    /// let handle = holdall::from_iter(0_u64..).start(|bag| bag.count())?;
    /// assert!(matches!(handle.status(), JobStatus::Pending | JobStatus::Running));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn status(&self) -> JobStatus {
        match self.started.lock().phase {
            Phase::Pending(_) => JobStatus::Pending,
            Phase::Running => JobStatus::Running,
            Phase::Ended { status, .. } => status,
        }
    }

    /// Returns whether the job has ended, so that [`result`](Self::result) does not wait.
    ///
    /// # Examples
    ///
    /// ```
    /// let handle = holdall::range(0..10).start(|bag| bag.count())?;
    /// while !handle.is_finished() {
    ///     std::thread::yield_now();
    /// }
    /// assert_eq!(handle.result()?, 10);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.started.lock().has_ended()
    }

    /// Returns what the job has done so far. If the closure that was passed to `start` runs several jobs, this
    /// describes the one that began last.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let handle = holdall::range(0..1000).start(|bag| bag.distinct().count())?;
    /// assert!(handle.wait_timeout(Duration::from_secs(60)));
    /// let progress = handle.progress();
    /// assert_eq!((progress.action, progress.stages_done, progress.stages), ("count", 2, 2));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn progress(&self) -> JobProgress {
        self.started.scope.progress()
    }

    /// Cancels the job, without waiting for its end. It then returns [`Cancelled`](ErrorKind::Cancelled), unless it
    /// has ended before.
    ///
    /// [Cancellation and deadlines](crate#cancellation-and-deadlines) describes when the job ends. A job that is
    /// pending ends at once.
    ///
    /// # Examples
    ///
    /// ```
    /// let endless = holdall::from_iter(0_u64..).start(|bag| bag.count())?;
    /// endless.cancel();
    /// assert!(endless.result().unwrap_err().is_cancelled());
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn cancel(&self) {
        self.started.cancel();
    }

    /// Returns a handle that cancels the job, for example from another thread that does not wait for the result. If it
    /// is cancelled while the job is pending, the job ends when it would begin.
    ///
    /// # Examples
    ///
    /// ```
    /// let endless = holdall::from_iter(0_u64..).start(|bag| bag.count())?;
    /// let cancel = endless.cancel_handle();
    /// std::thread::spawn(move || cancel.cancel());
    /// assert!(endless.result().unwrap_err().is_cancelled());
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn cancel_handle(&self) -> CancelHandle {
        self.started.scope.cancel.clone()
    }

    /// Lets the job run to its end, and discards its result. The job still ends if the process does.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("numbers");
    /// # let output = path.clone();
    /// holdall::range(0..10).start(move |bag| bag.write_text(output))?.detach();
    /// # while !path.exists() {
    /// #     std::thread::yield_now();
    /// # }
    /// # assert_eq!(holdall::read_text(&path)?.count()?, 10);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn detach(mut self) {
        self.is_detached = true;
    }

    /// Has `number` sent to `listener` at the end of the job, immediately if it has ended.
    pub(super) fn listen(&self, listener: &Sender<usize>, number: usize) {
        let mut state = self.started.lock();
        if state.has_ended() {
            drop(state);
            let _ = listener.send(number);
        } else {
            state.listener = Some((listener.clone(), number));
        }
    }
}

impl<R: Send + 'static> JobHandle<R> {
    /// Starts `work` in the background, for the method at `site`.
    ///
    /// # Errors
    ///
    /// Returns an error on a thread that runs a task, or if no thread can be started.
    pub(crate) fn start(
        queue: &Arc<JobQueue>,
        site: Site,
        work: impl FnOnce() -> Result<R> + Send + 'static,
    ) -> Result<Self> {
        if is_in_task() {
            return Err(Error::new(ErrorKind::NestedJob));
        }
        let started = Arc::new(Started {
            site,
            scope: Arc::new(JobScope::new()),
            state: Mutex::new(State {
                phase: Phase::Pending(Box::new(work)),
                waker: None,
                listener: None,
            }),
            changed: Condvar::new(),
        });
        queue.add(Arc::<Started<R>>::clone(&started))?;
        Ok(Self {
            started,
            is_detached: false,
            process: process_number(),
        })
    }
}

impl<R> Future for JobHandle<R> {
    type Output = Result<R>;

    /// Panics if it is called again after it has returned the result.
    fn poll(self: Pin<&mut Self>, polled: &mut Polled<'_>) -> Poll<Result<R>> {
        // Cloning and dropping a waker runs code of the runtime.
        let waker = polled.waker().clone();
        let mut state = self.started.lock();
        match state.take_result() {
            Some(result) => Poll::Ready(result),
            None => {
                let replaced = state.waker.replace(waker);
                drop(state);
                drop(replaced);
                Poll::Pending
            }
        }
    }
}

impl<R> Drop for JobHandle<R> {
    fn drop(&mut self) {
        // A forked copy of the process does not run the job, but its copies of locks may be held.
        if !self.is_detached && self.process == process_number() {
            self.started.cancel();
        }
    }
}

impl<R> fmt::Debug for JobHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let progress = self.progress();
        f.debug_struct("JobHandle")
            .field("status", &self.status())
            .field("job", &progress.job)
            .field("progress", &format_args!("{progress}"))
            .finish_non_exhaustive()
    }
}

impl<R> State<R> {
    fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. })
    }

    /// Takes the result, once the job has ended.
    fn take_result(&mut self) -> Option<Result<R>> {
        let Phase::Ended { result, .. } = &mut self.phase else {
            return None;
        };
        assert!(result.is_some(), "the result has already been taken");
        result.take()
    }
}

impl<R> Started<R> {
    /// Cancels the jobs of the closure. If it has not begun, ends it.
    fn cancel(&self) {
        self.scope.cancel.cancel();
        let is_pending = |state: &State<R>| matches!(state.phase, Phase::Pending(_));
        self.end_if(is_pending, Err(Error::new(ErrorKind::Cancelled)));
    }

    /// Ends the job with `result`, if `condition` holds, and tells those that wait.
    fn end_if(&self, condition: impl FnOnce(&State<R>) -> bool, result: Result<R>) {
        let mut state = self.lock();
        if !condition(&state) {
            drop(state);
            return drop(result);
        }
        let status = match &result {
            Ok(_) => JobStatus::Completed,
            Err(error) if error.is_cancelled() => JobStatus::Cancelled,
            Err(_) => JobStatus::Failed,
        };
        let ended = Phase::Ended {
            status,
            result: Some(result),
        };
        let before = std::mem::replace(&mut state.phase, ended);
        let (waker, listener) = (state.waker.take(), state.listener.take());
        drop(state);
        self.changed.notify_all();
        if let Some((listener, number)) = listener {
            let _ = listener.send(number);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        // May drop values that the closure has captured.
        drop(before);
    }

    /// No code of the user runs while the lock is held.
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Send> StartedJob for Started<R> {
    fn run(&self) {
        let mut state = self.lock();
        if state.has_ended() {
            return;
        }
        let phase = std::mem::replace(&mut state.phase, Phase::Running);
        drop(state);
        let work = || match phase {
            Phase::Pending(work) if !self.scope.cancel.is_cancelled() => work(),
            _ => Err(Error::new(ErrorKind::Cancelled)),
        };
        let result = self.scope.enter(|| caught(Some(self.site), work));
        // What the closure has returned or detached, such as other handles and iterators, goes on.
        self.scope.cancel.release();
        self.end_if(|_| true, result);
    }
}
