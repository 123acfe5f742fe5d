//! Limits that may end a job early: handles that cancel it, and its deadline.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::timer::Timer;
use crate::error::{Error, ErrorContext, ErrorKind, Result};
use crate::events::{JobMonitor, JobProgress};
use crate::task::{CancelHandle, JobState, Site};

/// Limits that may end the jobs of a context early.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobLimits {
    cancels: Vec<CancelHandle>,
    deadline: Option<Instant>,
    /// Maximum time of each job.
    timeout: Option<Duration>,
}

impl JobLimits {
    /// Adds a handle that cancels the jobs.
    pub(crate) fn cancelled_by(mut self, cancel: &CancelHandle) -> Self {
        self.cancels.push(cancel.clone());
        self
    }

    /// Adds a deadline. The earliest one counts.
    pub(crate) fn until(mut self, deadline: Instant) -> Self {
        let before = self.deadline.unwrap_or(deadline);
        self.deadline = Some(before.min(deadline));
        self
    }

    /// Adds a maximum time of each job. The shortest one counts.
    pub(crate) fn within(mut self, timeout: Duration) -> Self {
        let before = self.timeout.unwrap_or(timeout);
        self.timeout = Some(before.min(timeout));
        self
    }

    /// Has these limits and the scope of this thread end the job of `state` early. Returns the timer of its deadline.
    ///
    /// # Errors
    ///
    /// Returns an error if no thread can wait for the deadline.
    pub(super) fn apply(
        &self,
        state: &Arc<JobState>,
        monitor: &Arc<JobMonitor>,
        site: Site,
    ) -> Result<Option<Timer>> {
        if let Some(scope) = SCOPE.with_borrow(Option::clone) {
            let mut followed = scope.monitor.lock().unwrap_or_else(PoisonError::into_inner);
            *followed = Some(Arc::clone(monitor));
            drop(followed);
            scope.cancel.add(state);
        }
        for cancel in &self.cancels {
            cancel.add(state);
        }
        let start = monitor.start();
        let Some(deadline) = self.deadline(start) else {
            return Ok(None);
        };
        let (job, monitor) = (Arc::downgrade(state), Arc::clone(monitor));
        let exceeded = move || {
            let Some(job) = job.upgrade().filter(|job| !job.is_stopped()) else {
                return;
            };
            let context = ErrorContext {
                stage: monitor.stage(),
                ..site.into()
            };
            let elapsed = deadline.saturating_duration_since(start);
            job.fail(Error::new(ErrorKind::DeadlineExceeded { context, elapsed }));
        };
        if deadline <= start {
            exceeded();
            return Ok(None);
        }
        Timer::new(deadline, exceeded).map(Some)
    }

    /// Returns the deadline of a job that starts at `start`. A time that is too long to represent is no limit.
    fn deadline(&self, start: Instant) -> Option<Instant> {
        let by_timeout = self.timeout.and_then(|timeout| start.checked_add(timeout));
        self.deadline.into_iter().chain(by_timeout).min()
    }
}

/// All jobs that one thread runs for a job handle.
#[derive(Default)]
pub(crate) struct JobScope {
    pub(crate) cancel: CancelHandle,
    /// Follows the job that began last.
    monitor: Mutex<Option<Arc<JobMonitor>>>,
}

thread_local! {
    static SCOPE: RefCell<Option<Arc<JobScope>>> = const { RefCell::new(None) };
}

impl JobScope {
    /// Creates a scope. If this thread runs in another one, cancelling that cancels the new one too.
    pub(crate) fn new() -> Self {
        let scope = Self::default();
        if let Some(outer) = SCOPE.with_borrow(Option::clone) {
            outer.cancel.add_handle(&scope.cancel);
        }
        scope
    }

    /// Runs `work`. The jobs that it starts on this thread belong to the scope.
    pub(crate) fn enter<R>(self: &Arc<Self>, work: impl FnOnce() -> R) -> R {
        /// When dropped, also by unwinding, restores the previous scope of the thread.
        struct Before(Option<Arc<JobScope>>);

        impl Drop for Before {
            fn drop(&mut self) {
                SCOPE.set(self.0.take());
            }
        }

        let _before = Before(SCOPE.replace(Some(Arc::clone(self))));
        work()
    }

    /// Returns whether the jobs of this thread belong to a scope.
    pub(crate) fn is_entered() -> bool {
        SCOPE.with_borrow(Option::is_some)
    }

    /// Returns what the job that began last has done.
    pub(crate) fn progress(&self) -> JobProgress {
        let monitor = self.monitor.lock().unwrap_or_else(PoisonError::into_inner);
        let monitor = monitor.clone();
        monitor.map_or_else(JobProgress::default, |monitor| monitor.progress())
    }
}
