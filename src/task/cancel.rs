//! Handles that cancel jobs.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::JobState;
use crate::error::{Error, ErrorKind};

/// Cancels jobs, from any thread. Clones cancel the same jobs.
///
/// [`Context::with_cancel`](crate::Context::with_cancel) passes a handle to the jobs of a context,
/// [`JobHandle::cancel_handle`](crate::JobHandle::cancel_handle) returns that of a job in the background, and
/// [`Layers::cancel_handle`](crate::extend::Layers::cancel_handle) that of layers.
///
/// # Examples
///
/// ```
/// use holdall::{CancelHandle, Context};
///
/// let cancel = CancelHandle::new();
/// let context = Context::default().with_cancel(&cancel);
/// let endless = context.from_iter(0_u64..);
/// std::thread::spawn(move || cancel.cancel());
/// assert!(endless.count().unwrap_err().is_cancelled());
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct CancelHandle(Arc<Cancel>);

#[derive(Default)]
struct Cancel {
    is_cancelled: AtomicBool,
    targets: Mutex<Vec<Target>>,
}

/// Jobs that a handle cancels.
enum Target {
    Job(Weak<JobState>),
    /// Another handle.
    Handle(Weak<Cancel>),
}

impl Target {
    fn cancel(&self) {
        match self {
            Self::Job(job) => {
                if let Some(job) = job.upgrade() {
                    job.fail(Error::new(ErrorKind::Cancelled));
                }
            }
            Self::Handle(handle) => {
                if let Some(handle) = handle.upgrade() {
                    CancelHandle(handle).cancel();
                }
            }
        }
    }

    fn has_ended(&self) -> bool {
        match self {
            Self::Job(job) => job.strong_count() == 0,
            Self::Handle(handle) => handle.strong_count() == 0,
        }
    }
}

impl CancelHandle {
    /// Creates a handle that cancels no jobs yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the running jobs, and those that begin later, with [`Cancelled`](ErrorKind::Cancelled). Does not wait for
    /// their end. Further calls have no effect, and neither has a call after the end of a job.
    ///
    /// Tasks end when they next [check](crate#cancellation-and-deadlines) whether their job has been cancelled. Worker
    /// processes that do not end their tasks within a second are killed.
    pub fn cancel(&self) {
        let mut targets = self.lock();
        self.0.is_cancelled.store(true, Ordering::SeqCst);
        let all = std::mem::take(&mut *targets);
        // The last reference to a job may be dropped here, and with it values of the user.
        drop(targets);
        all.iter().for_each(Target::cancel);
    }

    /// Returns whether [`cancel`](Self::cancel) has been called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::SeqCst)
    }

    /// Has this handle cancel `job`, immediately if it has been cancelled before.
    pub(crate) fn add(&self, job: &Arc<JobState>) {
        self.add_target(Target::Job(Arc::downgrade(job)));
    }

    /// Has this handle cancel `part`, which must not lead back to it, immediately if it has been cancelled before.
    pub(crate) fn add_handle(&self, part: &Self) {
        self.add_target(Target::Handle(Arc::downgrade(&part.0)));
    }

    fn add_target(&self, target: Target) {
        let mut targets = self.lock();
        if self.is_cancelled() {
            drop(targets);
            return target.cancel();
        }
        targets.retain(|target| !target.has_ended());
        targets.push(target);
    }

    /// Forgets the jobs and handles that were added so far: they are no longer cancelled.
    pub(crate) fn release(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Target>> {
        let targets = self.0.targets.lock();
        targets.unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelHandle")
            .field(&self.is_cancelled())
            .finish()
    }
}
