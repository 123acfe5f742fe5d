//! Where tasks run, and the seam for executors of one's own.
//!
//! holdall comes with three kinds of [executors](crate::Executor): the calling thread, a pool of threads, and worker
//! processes on this machine. The last one uses nothing but what is public here. Another one, for the machines of a
//! cluster, say, implements [`RemoteExecutor`] and is given to
//! [`ContextBuilder::remote_executor`](crate::ContextBuilder::remote_executor); no operator has to know.
//!
//! Everything that such an executor sees is plain data, which serde can carry to another process of the same program:
//!
//! - A [`Stage`] is what all tasks of a stage have in common: the code, as an address in the executable, with its state;
//!   and where the [blocks](MapBlock) are that earlier stages have left. It has to be carried to a worker once.
//! - A [`TaskSpec`] names the partitions of one task. It is the unit of an attempt: done as a whole or not at all.
//! - A [`Report`] says what a task has done. What it leaves for the next stage is in files, which the report names; they
//!   are in the [scratch directory](Stage::scratch) of the job, which all must be able to reach. What it gives to the
//!   action comes in chunks, while it runs.
//!
//! # What an executor must do
//!
//! - Give each task that it takes from [`Tasks`] to a [`Worker`], in this process or in another one of the same
//!   executable, and tell `Tasks` how it ended. What is not told when [`run`](RemoteExecutor::run) returns counts as
//!   lost.
//! - Hand on the chunks of a task in their order, before it says that the task is done.
//! - Give each worker of a stage another number, since they name their files by it.
//! - Be sure that a task which it says was lost does not run any more.
//!
//! # What it may do
//!
//! - Run tasks in any order and on any number of workers, lose them, and run them again, also several at a time: the
//!   result is the same, since the first that is done counts and all others are dropped.
//! - Take tasks beforehand, by [`try_next`](Tasks::try_next), and give them back.
//! - End tasks when [`is_cancelled`](Tasks::is_cancelled) says that nobody wants them, by a [`Canceller`].
//!
//! # Examples
//!
//! An executor that runs everything here, one task after the other, from the bytes that others would send:
//!
//! ```
//! use holdall::Context;
//! use holdall::executor::{RemoteExecutor, Stage, Tasks, Worker};
//!
//! struct Here;
//!
//! impl RemoteExecutor for Here {
//!     fn slots(&self) -> usize {
//!         1
//!     }
//!
//!     fn run(&self, stage: &Stage, tasks: &Tasks<'_>) -> holdall::Result<()> {
//!         let mut worker = Worker::new(1);
//!         while let Some(task) = tasks.next() {
//!             let outcome = worker.run(stage, &task, &mut |partition, number, chunk| {
//!                 tasks.chunk(&task, partition, number, chunk);
//!             });
//!             match outcome {
//!                 Ok(report) => tasks.done(&task, report),
//!                 Err(error) => tasks.failed(&task, error),
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let context = Context::builder().remote_executor(Here).build()?;
//! let counts = context.range(0..1000).map(|n| n % 3).count_by_value();
//! assert_eq!(counts.filter(|(remainder, _)| *remainder == 0).collect()?, [(0, 334)]);
//! # Ok::<(), holdall::Error>(())
//! ```

mod bytes;
mod inline;
#[cfg(target_os = "linux")]
mod processes;
mod remote;
mod revocable;
mod threads;

pub(crate) use inline::Inline;
#[cfg(target_os = "linux")]
pub(crate) use processes::Processes;
pub use remote::{
    Canceller, PartitionSpec, RemoteExecutor, Report, Stage, TaskSpec, Tasks, Worker,
};
pub(crate) use remote::{Driver, Round, StageSite};
pub(crate) use threads::Threads;

pub use crate::task::{FilePart, MapBlock};

use std::sync::Arc;

use crate::error::Result;

/// Runs the tasks of stages on threads of this process.
pub(crate) trait StageExecutor: Send + Sync {
    /// Calls `work` on each thread that is to work on a stage, and returns when all calls have returned.
    ///
    /// `work` takes task after task until there are none left, so one call is enough to finish a stage: who cannot get
    /// another thread makes it on the one that it is called on. It does not panic.
    ///
    /// # Errors
    ///
    /// If threads cannot be started.
    fn run(&self, work: &(dyn Fn() + Sync)) -> Result<()>;

    /// On how many threads.
    fn threads(&self) -> usize;
}

/// An executor of either kind.
#[derive(Clone)]
pub(crate) enum AnyExecutor {
    Local(Arc<dyn StageExecutor>),
    Remote(Arc<dyn RemoteExecutor>),
}

impl AnyExecutor {
    /// The threads of this process that run tasks, where they do. Where they do not, the scheduler has its own ways.
    pub(crate) fn local(&self) -> &dyn StageExecutor {
        match self {
            Self::Local(executor) => &**executor,
            Self::Remote(_) => unreachable!("its stages are run as plain data"),
        }
    }

    /// How many tasks run at a time.
    pub(crate) fn slots(&self) -> usize {
        match self {
            Self::Local(executor) => executor.threads(),
            Self::Remote(executor) => executor.slots().max(1),
        }
    }
}

/// Makes this process a worker, if it was started as one.
///
/// Worker processes are this program, started again, so `main` must begin with this call where jobs run on
/// [`Executor::Processes`](crate::Executor::Processes). In a worker it does not return: the process runs tasks, and
/// ends when it is not needed any more. In any other process it does nothing, and costs next to nothing.
///
/// What stands before the call in `main` happens in each worker, too; what comes after it does not. So a static that is
/// set later is unset in the workers: hand its value to the closures by [`with`](crate::Bag::with). Programs that are
/// tests call it from a test of this name, at their root or in a module `tests` or `common` there; workers run that test
/// only:
///
/// ```text
/// #[test]
/// fn holdall_worker() {
///     holdall::init();
/// }
/// ```
///
/// A process becomes a worker only if a driver that runs the same program as the same user has started it. The worker
/// then takes the variable that says so out of its environment. So make the call before `main` starts other threads.
///
/// # Safety
///
/// A worker makes closures of their types alone, since a closure that captures nothing has no bytes. The compiler cannot
/// tell such a closure from one that captures a value of a type without bytes. Normally, that makes no difference. It
/// makes one if the type is a *token*: if `unsafe` code relies on its values existing only after something was done, as
/// in "whoever has a `Ready` has opened the device". A closure that captures a token by `move` would use it in a worker,
/// where nobody has opened the device. No token may be captured that stands for something that happens after this call.
/// Obtain the token within the closure instead.
///
/// # Examples
///
/// ```
/// use holdall::{Context, Executor};
///
/// fn main() -> holdall::Result<()> {
///     holdall::init();
///     let context = Context::builder().executor(Executor::Processes(2)).build()?;
///     assert_eq!(context.range(0..1000).filter(|n| n % 7 == 0).count()?, 143);
///     Ok(())
/// }
/// ```
pub fn init() {
    #[cfg(target_os = "linux")]
    processes::init();
}
