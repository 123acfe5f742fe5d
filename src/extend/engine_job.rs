//! Jobs that another engine computes in this process.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::ContextResources;
use crate::context::Context;
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::lineage::Node;
use crate::scheduler::Job;
use crate::task::Site;

/// A job that another engine computes in this process, such as a query engine for columns.
///
/// The job has one stage. It has the [events](crate::events), the summary, the limits and the cancellation of every other
/// job, and the memory budget and the scratch directory of its context. The engine runs on threads of its own, whatever
/// the executor is.
///
/// # Examples
///
/// ```
/// use std::time::Instant;
/// use holdall::Context;
/// use holdall::extend::EngineJob;
///
/// let context = Context::builder().build()?;
/// let job = EngineJob::new("sum", "engine");
/// let sum = job.run(&context, |scope| {
///     let start = Instant::now();
///     let sum = (0..1000).sum::<u64>();
///     scope.end_task(start.elapsed(), 0);
///     Ok(sum)
/// })?;
/// assert_eq!(sum, 499_500);
/// let stage = &context.last_job().unwrap().stages[0];
/// assert_eq!((stage.operator, stage.tasks), ("engine", 1));
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a job does nothing until it is run"]
pub struct EngineJob {
    action: Site,
    operator: &'static str,
    detail: String,
    input_bytes: Option<u64>,
}

impl EngineJob {
    /// Describes a job: the method that runs it, and the name of its stage. The caller of this function is the line of the
    /// program that errors and events name.
    #[track_caller]
    pub fn new(action: &'static str, operator: &'static str) -> Self {
        Self {
            action: Site {
                operator: action,
                location: Location::caller().into(),
            },
            operator,
            detail: String::new(),
            input_bytes: None,
        }
    }

    /// Adds details for the plan, such as the number of files.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Sets the size of the input, if it is known.
    pub fn input_bytes(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.input_bytes = bytes.into();
        self
    }

    /// Runs the job: calls `work` on this thread.
    ///
    /// `work` should check [`EngineScope::is_stopped`] from time to time, and return early with any error if the job is
    /// stopped.
    ///
    /// # Errors
    ///
    /// Returns [`Cancelled`](ErrorKind::Cancelled) or [`DeadlineExceeded`](ErrorKind::DeadlineExceeded) if the job is
    /// stopped, [`NestedJob`](ErrorKind::NestedJob) in a closure of a running job, and otherwise the error of `work`:
    /// unchanged if it is an [`Error`] of this library, or as [`Engine`](ErrorKind::Engine). A panic of `work` is
    /// [`TaskPanicked`](ErrorKind::TaskPanicked).
    pub fn run<R>(
        self,
        context: &Context,
        work: impl FnOnce(&EngineScope<'_>) -> Result<R, BoxError>,
    ) -> Result<R> {
        let stage = Site {
            operator: self.operator,
            ..self.action
        };
        let node = Node::source(stage, self.detail, None, self.input_bytes);
        let job = context.job(&node, self.action)?;
        job.run_engine(|| {
            work(&EngineScope(&job)).map_err(|error| {
                Error::of_cause(error, |source| ErrorKind::Engine {
                    context: self.action.into(),
                    source,
                })
            })
        })
    }
}

/// Resources and state of a running [`EngineJob`].
#[derive(Clone, Copy)]
pub struct EngineScope<'a>(&'a Job);

impl EngineScope<'_> {
    /// Returns whether the job has been cancelled, or has exceeded its deadline.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.state().is_stopped()
    }

    /// Returns the number of threads that the engine should use: that of the executor.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.0.threads()
    }

    /// Returns the memory budget, and the scratch files of the job.
    #[must_use]
    pub fn resources(&self) -> ContextResources {
        let resources = self.0.state().resources();
        ContextResources {
            budget: resources.budget.clone(),
            scratch: resources.scratch.clone(),
            reclaimer: Arc::clone(&resources.reclaimer),
        }
    }

    /// Counts bytes that the engine has read from input files.
    pub fn count_bytes(&self, bytes: u64) {
        self.0.state().progress().add_bytes(bytes);
    }

    /// Counts a task of the engine that has ended, with its time and the bytes that it has read. They are part of the
    /// event; [`count_bytes`](Self::count_bytes) counts them.
    pub fn end_task(&self, elapsed: Duration, input_bytes: u64) {
        self.0.end_engine_task(elapsed, input_bytes);
    }
}

impl fmt::Debug for EngineScope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineScope")
            .field("is_stopped", &self.is_stopped())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::events::{Event, JobOutcome};
    use crate::task::CancelHandle;

    fn observed() -> (Context, Arc<Mutex<Vec<Event>>>) {
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let seen = Arc::clone(&events);
        let observer = move |event: &Event| seen.lock().unwrap().push(event.clone());
        let context = Context::builder().threads(1).observer(observer);
        (context.build().unwrap(), events)
    }

    #[test]
    fn a_job_of_an_engine_has_the_events_and_the_spilled_bytes_of_its_stage() {
        let (context, events) = observed();
        let job = EngineJob::new("collect", "frame").input_bytes(7);
        job.run(&context, |scope| {
            let mut file = scope.resources().create_file()?;
            file.append(&[1; 100_000])?;
            file.finish()?;
            scope.count_bytes(7);
            scope.end_task(Duration::from_millis(1), 7);
            Ok(())
        })
        .unwrap();
        let stage = &context.last_job().unwrap().stages[0];
        assert_eq!((stage.tasks, stage.input_bytes), (1, 7));
        assert!(stage.spilled_bytes >= 100_000);
        let events = events.lock().unwrap();
        assert!(matches!(
            &events[0],
            Event::JobStarted {
                action: "collect",
                ..
            }
        ));
        let input = |event: &Event| {
            matches!(
                event,
                Event::StageStarted {
                    input_bytes: Some(7),
                    ..
                }
            )
        };
        assert!(events.iter().any(input));
        let spilled = |event: &Event| matches!(event, Event::Spilled { .. });
        assert!(events.iter().any(spilled));
    }

    #[test]
    fn errors_and_panics_of_an_engine_end_its_job() {
        let (context, events) = observed();
        let job = EngineJob::new("collect", "frame");
        let error = job.run(&context, |_| Err::<(), _>("no such column".into()));
        let error = error.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Engine { .. }));
        assert_eq!(error.context().unwrap().operator, Some("collect"));
        assert!(error.to_string().ends_with("no such column"), "{error}");
        let job = EngineJob::new("collect", "frame");
        let error = job.run(&context, |_| -> Result<(), BoxError> { panic!("lost") });
        let kind = error.unwrap_err().into_kind();
        assert!(matches!(kind, ErrorKind::TaskPanicked { message, .. } if message == "lost"));
        let failed = |event: &&Event| {
            let outcome = JobOutcome::Completed;
            matches!(event, Event::JobDone { outcome: other, .. } if *other != outcome)
        };
        assert_eq!(events.lock().unwrap().iter().filter(failed).count(), 2);
    }

    #[test]
    fn a_cancelled_job_returns_that_it_was_cancelled() {
        let cancel = CancelHandle::new();
        let context = observed().0.with_cancel(&cancel);
        let job = EngineJob::new("collect", "frame");
        let error = job.run(&context, |scope| {
            assert!(!scope.is_stopped());
            cancel.cancel();
            assert!(scope.is_stopped());
            Err::<(), _>("it was interrupted".into())
        });
        assert!(error.unwrap_err().is_cancelled());
    }
}
