//! Events of jobs, for status pages, traces and logs.
//!
//! An [`Observer`] receives an [`Event`] when a job or a stage begins or ends, when tasks are done or fail, when
//! records are spilled, and when a worker starts or is lost. Pass it to
//! [`ContextBuilder::observer`](crate::ContextBuilder::observer). The progress bar, the printed summary and
//! [`Context::last_job`](crate::Context::last_job) are observers, too.
//!
//! # Order
//!
//! The events of a job come in this order:
//!
//! 1. [`JobStarted`](Event::JobStarted).
//! 2. For each stage that runs, after the stages that it reads:
//!    1. [`StageStarted`](Event::StageStarted),
//!    2. the events of its tasks and workers, from any thread and in any order, possibly concurrently,
//!    3. [`StageDone`](Event::StageDone), even if the stage has failed.
//! 3. [`JobDone`](Event::JobDone), even if the job has failed or was cancelled. The action returns after this event.
//!
//! Stages that do not read each other, such as the two sides of a join, may run at the same time. Their events mix. Each
//! event of a stage has the number of the stage.
//!
//! If map output is damaged or lost, earlier stages run again while the stage that needs it is open. Each of them begins
//! with [`StageRestarted`](Event::StageRestarted). Its tasks count towards the summary of the open stage.
//!
//! Jobs that run concurrently, for example inside a loop over [`iter`](crate::Bag::iter), mix their events. Each event
//! has the number of its job.
//!
//! # Costs
//!
//! Events are sent for batches of up to 256 tasks, never for a record. Without an observer, a batch checks only whether
//! there is one. With an observer, the thread that has done a batch creates one or two events and calls the observer.
//!
//! # Examples
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use holdall::Context;
//! use holdall::events::Event;
//!
//! let lines = Arc::new(Mutex::new(Vec::new()));
//! let log = Arc::clone(&lines);
//! let observer = move |event: &Event| {
//!     let line = match event {
//!         Event::JobStarted { action, plan, .. } => format!("{action}: {} stages", plan.stages().len()),
//!         Event::StageDone { summary, .. } => format!("{}: {} tasks", summary.operator, summary.tasks),
//!         Event::JobDone { outcome, .. } => format!("{outcome:?}"),
//!         _ => return,
//!     };
//!     log.lock().unwrap().push(line);
//! };
//! let context = Context::builder().observer(observer).build()?;
//! assert_eq!(context.range(0..1000).map(|n| n % 7).distinct().count()?, 7);
//! assert_eq!(*lines.lock().unwrap(), ["count: 2 stages", "map: 64 tasks", "distinct: 64 tasks", "Completed"]);
//! # Ok::<(), holdall::Error>(())
//! ```

mod event;
mod last_job;
mod monitor;
mod observer;
mod progress_bar;
mod summary;

pub(crate) use event::message;
pub use event::{Event, JobOutcome, TaskRunner};
pub(crate) use last_job::{LastJob, SummaryPrinter};
pub(crate) use monitor::JobMonitor;
pub use monitor::{JobProgress, StageProgress};
pub use observer::Observer;
pub(crate) use observer::{GuardedObserver, JobEvents};
pub(crate) use progress_bar::StageBar;
pub use summary::{JobSummary, StageSummary};
