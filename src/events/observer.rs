//! Observers, and the events of one job.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::event::{Event, JobOutcome};
use super::summary::JobSummary;
use crate::error::caught;
use crate::id::JobId;
use crate::task::in_task;

/// Receives the events of the jobs of a context. Set by [`ContextBuilder::observer`](crate::ContextBuilder::observer).
///
/// Closures that take an [`Event`] are observers.
///
/// The threads that run the job call the observer, so a slow observer slows down the job. An observer cannot run jobs:
/// an action in it fails with [`NestedJob`](crate::ErrorKind::NestedJob).
///
/// # Panics
///
/// If an observer panics, the panic is caught and the job continues. The observer receives no more events, of this job
/// or of others. Other observers are not affected.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use holdall::Context;
/// use holdall::events::{Event, Observer};
///
/// #[derive(Clone, Default)]
/// struct Shuffled(Arc<AtomicU64>);
///
/// impl Observer for Shuffled {
///     fn event(&self, event: &Event) {
///         if let Event::TasksDone { shuffled_records, .. } = event {
///             self.0.fetch_add(*shuffled_records, Ordering::Relaxed);
///         }
///     }
/// }
///
/// let shuffled = Shuffled::default();
/// let context = Context::builder().observer(shuffled.clone()).build()?;
/// context.range(0..1000).map(|n| (n % 10, n)).sum_by_key().count()?;
/// assert_eq!(shuffled.0.load(Ordering::Relaxed), 1000);
/// # Ok::<(), holdall::Error>(())
/// ```
pub trait Observer: Send + Sync {
    /// Takes an event. Called from any thread, also concurrently.
    fn event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> Observer for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}

/// An observer whose panics are caught.
pub(crate) struct GuardedObserver {
    observer: Box<dyn Observer>,
    has_panicked: AtomicBool,
}

impl GuardedObserver {
    pub(crate) fn new(observer: impl Observer + 'static) -> Arc<Self> {
        Arc::new(Self {
            observer: Box::new(observer),
            has_panicked: AtomicBool::new(false),
        })
    }

    fn send(&self, event: &Event) {
        // After a panic, the state of the observer may be inconsistent.
        if self.has_panicked.load(Ordering::Relaxed) {
            return;
        }
        let sent = || {
            self.observer.event(event);
            Ok(())
        };
        // Marked as a task, because a job that the observer started would block a thread of this job.
        if in_task(|| caught(None, sent)).is_err() {
            self.has_panicked.store(true, Ordering::Relaxed);
        }
    }
}

/// Sends the events of one job to its observers.
#[derive(Default)]
pub(crate) struct JobEvents {
    job: u64,
    /// Observers of the end of the job only, so that a job without others creates no other event.
    of_end: Vec<Arc<GuardedObserver>>,
    observers: Vec<Arc<GuardedObserver>>,
}

impl JobEvents {
    /// Creates the events of a new job. The observers `of_end` only receive [`Event::JobDone`], before all others.
    pub(crate) fn new(
        of_end: Vec<Arc<GuardedObserver>>,
        observers: Vec<Arc<GuardedObserver>>,
    ) -> Self {
        Self {
            job: JobId::next().number(),
            of_end,
            observers,
        }
    }

    /// Returns the number of the job.
    pub(crate) fn job(&self) -> u64 {
        self.job
    }

    /// Sends the event that `event` creates from the number of the job. Creates none if the job is not observed.
    pub(crate) fn send(&self, event: impl FnOnce(u64) -> Event) {
        if self.observers.is_empty() {
            return;
        }
        let event = event(self.job);
        for observer in &self.observers {
            observer.send(&event);
        }
    }

    /// Sends [`Event::Spilled`] if files have been written. `take_written` returns the bytes that no event contains.
    pub(crate) fn send_spilled(&self, stage: usize, take_written: impl FnOnce() -> u64) {
        if self.observers.is_empty() {
            return;
        }
        let bytes = take_written();
        if bytes > 0 {
            self.send(|job| Event::Spilled { job, stage, bytes });
        }
    }

    /// Sends [`Event::JobDone`].
    pub(crate) fn send_end(&self, summary: JobSummary, outcome: JobOutcome) {
        let job = self.job;
        let event = Event::JobDone {
            job,
            summary,
            outcome,
        };
        for observer in self.of_end.iter().chain(&self.observers) {
            observer.send(&event);
        }
    }
}

impl fmt::Debug for JobEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobEvents").field(&self.job).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Returns an observer that records the number of the job of each event.
    fn recording(jobs: &Arc<Mutex<Vec<u64>>>) -> Vec<Arc<GuardedObserver>> {
        let jobs = Arc::clone(jobs);
        let observer = move |event: &Event| jobs.lock().unwrap().push(event.job());
        vec![GuardedObserver::new(observer)]
    }

    fn restarted(job: u64) -> Event {
        let (stage, operator) = (1, "map");
        Event::StageRestarted {
            job,
            stage,
            operator,
        }
    }

    #[test]
    fn observers_of_the_end_create_no_other_events() {
        let jobs = Arc::default();
        let events = JobEvents::new(recording(&jobs), Vec::new());
        events.send(|_| panic!("no event"));
        events.send_spilled(1, || panic!("no event"));
        assert!(jobs.lock().unwrap().is_empty());
        events.send_end(JobSummary::default(), JobOutcome::Completed);
        assert_eq!(*jobs.lock().unwrap(), [events.job()]);
    }

    #[test]
    fn an_event_is_sent_only_if_records_were_spilled() {
        let (jobs, sizes) = (Arc::default(), Arc::new(Mutex::new(Vec::new())));
        let seen = Arc::clone(&sizes);
        let mut observers = recording(&jobs);
        observers.push(GuardedObserver::new(move |event: &Event| {
            if let Event::Spilled { bytes, .. } = event {
                seen.lock().unwrap().push(*bytes);
            }
        }));
        let events = JobEvents::new(Vec::new(), observers);
        events.send(restarted);
        for bytes in [0, 3, 0, 7] {
            events.send_spilled(1, || bytes);
        }
        assert_eq!(*sizes.lock().unwrap(), [3, 7]);
        assert_eq!(*jobs.lock().unwrap(), [events.job(); 3]);
    }
}
