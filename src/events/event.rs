//! The events that observers receive.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::summary::{JobSummary, StageSummary};
use crate::error::{Error, ErrorContext, SourceLocation, caught};
use crate::plan::Plan;

/// An event of a job. The [module](crate::events) describes the order of events.
///
/// An [`Observer`](super::Observer) receives an event on the thread on which it occurs, immediately afterwards. To
/// record the time of events, read a clock when they arrive. serde can serialise events, for example as JSON.
///
/// All variants have the field `job`, the number of the job. Jobs are numbered from 1 in the order in which they start,
/// over all contexts of the process. Stages are numbered from 1 within their job, as in
/// [`explain`](crate::Bag::explain).
///
/// # Examples
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use holdall::Context;
/// use holdall::events::Event;
///
/// let partitions = Arc::new(Mutex::new(0));
/// let seen = Arc::clone(&partitions);
/// let observer = move |event: &Event| {
///     if let Event::TasksDone { partitions, .. } = event {
///         *seen.lock().unwrap() += partitions.len();
///     }
/// };
/// let context = Context::builder().observer(observer).build()?;
/// context.range_partitioned(0..1000, 20).count()?;
/// assert_eq!(*partitions.lock().unwrap(), 20);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Event {
    /// A job has started.
    #[non_exhaustive]
    JobStarted {
        /// Number of the job.
        job: u64,
        /// Name of the action, which is a method of [`Bag`](crate::Bag).
        action: &'static str,
        /// Line of your program that called the action.
        location: SourceLocation,
        /// Stages that the job will run.
        plan: Plan,
    },
    /// A stage has started.
    #[non_exhaustive]
    StageStarted {
        /// Number of the job.
        job: u64,
        /// Number of the stage.
        stage: usize,
        /// Last method of the stage.
        operator: &'static str,
        /// Number of tasks, that is, of partitions, or `None` if it is unknown until the source has been read to its
        /// end.
        tasks: Option<usize>,
        /// Size of the input files, in bytes, if the stage reads files of known size.
        input_bytes: Option<u64>,
    },
    /// An earlier stage runs again, because its output is damaged or lost, or a stage runs again, because it has found
    /// such damage.
    ///
    /// The stage may have a number that is not in the plan, if the plan relied on persisted records that are lost.
    #[non_exhaustive]
    StageRestarted {
        /// Number of the job.
        job: u64,
        /// Number of the stage.
        stage: usize,
        /// Last method of the stage.
        operator: &'static str,
    },
    /// A batch of tasks is done: a thread or worker has computed some neighbouring partitions, one after the other.
    ///
    /// A thread may hold back results of its tasks until the end of the stage. In this case, one more event with an
    /// empty range of partitions follows after its last batch.
    #[non_exhaustive]
    TasksDone {
        /// Number of the job.
        job: u64,
        /// Number of the stage.
        stage: usize,
        /// Thread or worker that ran the tasks.
        runner: TaskRunner,
        /// Partitions of the batch. In a job of [layers](crate::extend::Layers), these are tasks, numbered as they begin.
        partitions: Range<usize>,
        /// Time from the start to the end of the batch.
        elapsed: Duration,
        /// Bytes read from input files, counted as stored on disk.
        input_bytes: u64,
        /// Number of records passed to the shuffle. Records that the thread holds back are not counted yet.
        shuffled_records: u64,
        /// Size of these records, in memory and in files, in bytes.
        shuffled_bytes: u64,
    },
    /// An attempt at some partitions has failed or was lost. Unless the error ends the job, another attempt follows.
    #[non_exhaustive]
    TaskFailed {
        /// Number of the job.
        job: u64,
        /// Number of the stage.
        stage: usize,
        /// Partitions of the attempt, or `None` if the failed work belongs to no single task.
        partitions: Option<Range<usize>>,
        /// Number of the attempt at these partitions in this run of the stage, from 1.
        attempt: usize,
        /// Message of the error.
        error: String,
        /// Location of the error.
        context: ErrorContext,
    },
    /// A worker has started. Events of workers come only from [processes](crate::Executor::Processes) and from custom
    /// executors that [report](crate::executor::Tasks::worker_started) them.
    #[non_exhaustive]
    WorkerStarted {
        /// Number of the job that needs the worker.
        job: u64,
        /// Number of the stage.
        stage: usize,
        /// Number of the worker.
        worker: usize,
    },
    /// A worker was lost before it finished a task. [`TaskFailed`](Self::TaskFailed) follows.
    #[non_exhaustive]
    WorkerLost {
        /// Number of the job.
        job: u64,
        /// Number of the stage.
        stage: usize,
        /// Number of the worker.
        worker: usize,
        /// Known reason.
        cause: String,
    },
    /// Records were written to the spill directory.
    #[non_exhaustive]
    Spilled {
        /// Number of the job.
        job: u64,
        /// Number of the stage.
        stage: usize,
        /// Bytes written since the last such event, counted after any compression.
        bytes: u64,
    },
    /// A stage has ended.
    #[non_exhaustive]
    StageDone {
        /// Number of the job.
        job: u64,
        /// Statistics of the stage.
        summary: StageSummary,
    },
    /// A job has ended.
    #[non_exhaustive]
    JobDone {
        /// Number of the job.
        job: u64,
        /// Statistics of the job, as returned by [`Context::last_job`](crate::Context::last_job).
        summary: JobSummary,
        /// Result of the job.
        outcome: JobOutcome,
    },
}

impl Event {
    /// Returns the number of the job.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use holdall::Context;
    /// use holdall::events::Event;
    ///
    /// let jobs = Arc::new(Mutex::new(Vec::new()));
    /// let seen = Arc::clone(&jobs);
    /// let observer = move |event: &Event| seen.lock().unwrap().push(event.job());
    /// let context = Context::builder().observer(observer).build()?;
    /// context.range(0..10).count()?;
    /// let job = context.last_job().unwrap().job;
    /// assert!(jobs.lock().unwrap().iter().all(|seen| *seen == job));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn job(&self) -> u64 {
        match self {
            Self::JobStarted { job, .. }
            | Self::StageStarted { job, .. }
            | Self::StageRestarted { job, .. }
            | Self::TasksDone { job, .. }
            | Self::TaskFailed { job, .. }
            | Self::WorkerStarted { job, .. }
            | Self::WorkerLost { job, .. }
            | Self::Spilled { job, .. }
            | Self::StageDone { job, .. }
            | Self::JobDone { job, .. } => *job,
        }
    }
}

/// A thread or worker that runs tasks. Part of [`Event::TasksDone`].
///
/// # Examples
///
/// ```
/// use holdall::{Context, Executor};
/// use holdall::events::{Event, TaskRunner};
///
/// let observer = |event: &Event| {
///     if let Event::TasksDone { runner, .. } = event {
///         assert!(matches!(runner, TaskRunner::Thread(_)));
///     }
/// };
/// let context = Context::builder().executor(Executor::Inline).observer(observer).build()?;
/// assert_eq!(context.range(0..10).count()?, 10);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum TaskRunner {
    /// A thread of this process. Threads are numbered from 1 in the order of their first event; a thread keeps its
    /// number for all jobs.
    Thread(usize),
    /// A worker of a remote executor, by the number of the [`Worker`](crate::executor::Worker).
    Worker(usize),
}

impl TaskRunner {
    /// Returns the current thread.
    pub(crate) fn this_thread() -> Self {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static NUMBER: usize = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        }
        Self::Thread(NUMBER.with(|number| *number))
    }
}

/// Result of a job. Part of [`Event::JobDone`].
///
/// # Examples
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use holdall::Context;
/// use holdall::events::{Event, JobOutcome};
///
/// let failure = Arc::new(Mutex::new(String::new()));
/// let seen = Arc::clone(&failure);
/// let observer = move |event: &Event| {
///     if let Event::JobDone { outcome: JobOutcome::Failed { error, .. }, .. } = event {
///         seen.lock().unwrap().clone_from(error);
///     }
/// };
/// let context = Context::builder().observer(observer).build()?;
/// let error = context.range(0..10).map(|n| 100 / n).count().unwrap_err();
/// assert_eq!(*failure.lock().unwrap(), error.to_string());
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum JobOutcome {
    /// The job has computed everything that its action needs.
    Completed,
    /// The job was stopped before it was complete: it was [cancelled](crate::CancelHandle), its
    /// [iterator](crate::Iter) was dropped, or the process is ending.
    Cancelled,
    /// The action returns an error.
    #[non_exhaustive]
    Failed {
        /// Message of the error.
        error: String,
        /// Location of the error, if it is known.
        context: Option<ErrorContext>,
    },
}

impl JobOutcome {
    /// Describes the error that ended a job.
    pub(crate) fn failed(error: &Error) -> Self {
        Self::Failed {
            error: message(error),
            context: error.context().cloned(),
        }
    }
}

/// Returns the message of an error. `Display` of an error of the user's type may panic.
pub(crate) fn message(error: &Error) -> String {
    let message = caught(None, || Ok(error.to_string()));
    message.unwrap_or_else(|_| "an error without a message".to_owned())
}
