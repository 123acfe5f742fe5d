//! Executors, which run tasks, and the interface for custom ones.
//!
//! holdall has three kinds of [executors](crate::Executor): the calling thread, a pool of threads, and worker processes
//! on this machine. The last one uses only the public items of this module. To write another, for example for the
//! machines of a cluster, implement [`RemoteExecutor`] and pass it to
//! [`ContextBuilder::remote_executor`](crate::ContextBuilder::remote_executor), or [`register`] a scheme for its
//! addresses. An executor that starts this program again as a worker, here or on another machine, can run its stages on
//! a [`WorkerPool`], as worker processes on this machine do. Operators do not depend on the executor.
//!
//! A remote executor handles only plain data, which serde can send to another process of the same program:
//!
//! - A [`Stage`] is what all tasks of a stage share: the code, as an address in the executable, with its state, and the
//!   locations of the [outputs](MapOutput) that earlier stages have written. Each worker needs it once.
//! - A [`TaskSpec`] names the partitions of one task. A task is the unit of an attempt: it succeeds or fails as a
//!   whole.
//! - A [`Report`] describes what a task has done. Its output for the next stage is in files that the report names. The
//!   files are in the [scratch directory](Stage::scratch) of the job, which all workers must be able to access, or at
//!   the [home](#workers-that-share-no-disk) of the worker. Results for the action are sent in chunks while the task
//!   runs.
//!
//! # What an executor must do
//!
//! - Run each task that it takes from [`Tasks`] on a [`Worker`], in this process or in another process of the same
//!   executable, and report to `Tasks` how the task ended. A task that has no report when [`run`](RemoteExecutor::run)
//!   returns counts as lost.
//! - Forward the chunks of a task in order, and before it reports that the task is done.
//! - Give each worker of a stage a different number, because the names of its files contain the number.
//! - Ensure that a task no longer runs before it reports the task as lost.
//! - Expect concurrent calls of [`run`](RemoteExecutor::run). Stages of one job that do not depend on each other run at
//!   the same time if one of them has too few tasks for all [slots](RemoteExecutor::slots).
//!
//! # Stages that run at the same time
//!
//! The stages of one job share the slots of the executor: [`next`](Tasks::next) and [`try_next`](Tasks::try_next) assign
//! no more tasks of all of these stages together than there are slots, and prefer the stage with the lowest number. An
//! executor that gives each running task a worker therefore needs no more workers than slots for a job. If it keeps workers between tasks, its calls of `run` should share them; [`Stage::job`] is the
//! number of the job. A [`Worker`] can switch to another stage at any task, but decodes the stage again each time. An
//! executor may also serialise the calls of `run`, for example by a lock. The stages then run one after the other.
//!
//! Only while no other stage of the job has tasks, an executor can take more tasks in advance than there are slots.
//! Another stage begins once fewer tasks are assigned than there are slots, and no others are left. An executor with
//! one slot is never called concurrently for the same job.
//!
//! # Workers that share no disk
//!
//! By default, all processes access the files in the scratch directory of the job by their paths. If the workers are on
//! several machines, each machine has a directory of its own instead, and a [`Home`]: a name for the place of its files.
//! Map outputs and persisted partitions stay where they were written, and are read by range by the tasks that need
//! them. The executor provides the access to them:
//!
//! - Each process has a [`FileTransfer`], which reads and removes files of other homes. Pass that of a worker to
//!   [`Worker::with_home`], with the directory, and return that of this process from
//!   [`transfer`](RemoteExecutor::transfer). This process has a home, too, because tasks may need files of it.
//! - A machine serves its files to the others: [`ScratchDirectory`] creates its directory, and opens and removes the
//!   files in it.
//! - If a home is lost, the job goes on: map tasks whose output was there run again, and no others, once that output is
//!   needed. An executor that knows of the loss reports it by [`lost_home`](Tasks::lost_home).
//!
//! With a [shuffle directory](crate::ContextBuilder::shuffle_directory), map outputs have no home, and the loss of a
//! machine does not concern them: a [`Worker`] copies its outputs to the directory that [`Stage::shuffle`] names, and
//! the process that runs the job removes them at its end. If that process is killed, an executor should call
//! [`ShuffleDirectory::remove_all`] in another one.
//!
//! An executor that takes its tasks by [`next_near`](Tasks::next_near) runs them where most of their input is, as long
//! as a worker there is free.
//!
//! Files that the program itself reads and writes, such as those of [`read_text`](crate::read_text), must be on paths
//! that all machines share.
//!
//! # What it may do
//!
//! - Run tasks in any order and on any number of workers, lose them, and run them again, even concurrently. The result
//!   is the same: the first attempt that finishes counts, and all others are discarded.
//! - Take tasks in advance by [`try_next`](Tasks::try_next), and return them unused.
//! - Report the workers that it starts by [`worker_started`](Tasks::worker_started), for
//!   [observers](crate::events).
//! - Stop tasks by a [`Canceller`] if [`is_cancelled`](Tasks::is_cancelled) returns `true`, because their results are
//!   no longer needed.
//!
//! # Examples
//!
//! An executor that runs one task after the other in this process, from the bytes that others would send:
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

mod inline;
#[cfg(target_os = "linux")]
mod processes;
mod remote;
mod revocable;
mod schemes;
mod threads;

pub(crate) use inline::Inline;
#[cfg(target_os = "linux")]
pub(crate) use processes::Processes;
#[cfg(target_os = "linux")]
pub use processes::{HostedWorker, WorkerChild, WorkerExit, WorkerHandle, WorkerHost, WorkerPool};
pub use remote::{
    Canceller, PartitionSpec, RemoteExecutor, Report, ScratchDirectory, Stage, TaskSpec, Tasks,
    Worker, WorkerHome,
};
pub(crate) use remote::{Driver, Locality, Round, SharedSlots, StageSite};
pub(crate) use schemes::connect;
pub use schemes::register;
pub(crate) use threads::Threads;

pub use crate::files::ShuffleDirectory;
pub use crate::storage::transfer::{FileTransfer, Home};
pub use crate::task::MapOutput;

use std::ffi::OsString;
use std::sync::Arc;

use crate::error::Result;
use crate::storage::environment;
use crate::storage::limits::default_budget_bytes;
use crate::storage::transfer::Transfer;

/// Calls the work again on each thread that has left it, because there are new tasks. Does not wait for the threads.
pub(crate) type Summon<'a> = dyn Fn() + 'a;

/// Runs the tasks of stages on threads of this process.
pub(crate) trait StageExecutor: Send + Sync {
    /// Calls `work` on each thread that takes part in a stage, and returns when all calls have returned.
    ///
    /// `work` takes tasks until none are left, so one call is enough to finish a stage. An executor that cannot get
    /// another thread calls it on the current one. `work` does not panic. `is_streamed` tells whether calls of `work` may
    /// wait for one that pulls a partition from a stream. More than `most` threads at a time would find no task.
    ///
    /// # Errors
    ///
    /// Returns an error if threads cannot be started.
    fn run(&self, is_streamed: bool, most: usize, work: &(dyn Fn() + Sync)) -> Result<()> {
        self.run_summoning(is_streamed, most, &|_| work())
    }

    /// Like [`run`](Self::run), but passes a [`Summon`] to `work`.
    ///
    /// # Errors
    ///
    /// Returns an error if threads cannot be started.
    fn run_summoning(
        &self,
        is_streamed: bool,
        most: usize,
        work: &(dyn Fn(&Summon<'_>) + Sync),
    ) -> Result<()>;

    /// Number of threads that run tasks.
    fn threads(&self) -> usize;
}

/// A local or remote executor.
#[derive(Clone)]
pub(crate) enum AnyExecutor {
    Local(Arc<dyn StageExecutor>),
    Remote(Arc<dyn RemoteExecutor>),
}

impl AnyExecutor {
    /// Returns the executor if it runs tasks on threads of this process. The scheduler runs stages of remote executors
    /// separately.
    pub(crate) fn local(&self) -> &dyn StageExecutor {
        match self {
            Self::Local(executor) => &**executor,
            Self::Remote(_) => unreachable!("its stages are run as plain data"),
        }
    }

    /// Returns the access of this process to the files of workers that share no disk with it.
    pub(crate) fn transfer(&self) -> Transfer {
        match self {
            Self::Local(_) => Transfer::default(),
            Self::Remote(executor) => executor.transfer().into(),
        }
    }

    /// Returns whether its workers share no disk.
    pub(crate) fn has_homes(&self) -> bool {
        matches!(self, Self::Remote(executor) if executor.transfer().is_some())
    }

    /// Number of tasks that run at a time.
    pub(crate) fn slots(&self) -> usize {
        match self {
            Self::Local(executor) => executor.threads(),
            Self::Remote(executor) => executor.slots().max(1),
        }
    }

    /// Returns whether the memory of the context is divided among the slots.
    pub(crate) fn divides_memory(&self) -> bool {
        match self {
            Self::Local(_) => true,
            Self::Remote(executor) => executor.divides_memory(),
        }
    }
}

/// Turns this process into a worker if it was started as one.
///
/// A worker process is your program, started again. If jobs run on [`Executor::Processes`](crate::Executor::Processes),
/// `main` must therefore begin with this call. In a worker, the call does not return: the process runs tasks and exits
/// when it is no longer needed. In any other process, the call does nothing and costs almost nothing.
///
/// Workers also execute the code in `main` before the call, but not the code after it. A static that is set later is
/// therefore unset in workers: pass its value to the closures by [`with`](crate::Bag::with). In a test program, call
/// `init` from a test of the following name, at the root of the program or in a module `tests` or `common` there.
/// Workers run only that test:
///
/// ```text
/// #[test]
/// fn holdall_worker() {
///     holdall::init();
/// }
/// ```
///
/// A process becomes a worker only if it was started by a driver that runs the same program as the same user. The
/// worker then removes the variable that identified it as a worker from its environment. Call `init` before `main`
/// starts other threads, because that changes the environment.
///
/// # Safety
///
/// A worker recreates closures from their types alone, because a closure that captures nothing has no bytes. The
/// compiler cannot distinguish such a closure from one that captures a value of a zero-sized type. The difference
/// matters only if the type is a *token*: if `unsafe` code relies on the fact that its values exist only after a
/// certain action, as in "a `Ready` proves that the device is open". A closure that captures a token by `move` would
/// use the token in a worker, where the device was never opened. Do not capture a token that stands for an action after
/// this call. Obtain the token within the closure instead.
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
    processes::init(|| Ok(None));
}

/// Returns an environment variable, as holdall reads its own. A variable that is empty counts as unset. In a program that
/// runs with privileges that its caller lacks, every variable counts as unset, because the caller sets them.
///
/// # Examples
///
/// ```
/// assert_eq!(holdall::executor::environment_variable("HOLDALL_NO_SUCH_SETTING"), None);
/// ```
#[must_use]
pub fn environment_variable(name: &str) -> Option<OsString> {
    environment::variable(name)
}

/// Returns the memory that a context uses by default, in bytes: half of this machine's memory, or of this process's limit
/// if that is lower.
#[must_use]
pub fn default_memory_bytes() -> usize {
    default_budget_bytes()
}

/// Like [`init`], for workers that [share no disk](self#workers-that-share-no-disk). In a worker, `home` returns the
/// place for its files; otherwise, it is not called.
#[cfg(target_os = "linux")]
pub fn init_with_home(home: impl FnOnce() -> std::io::Result<Option<WorkerHome>>) {
    processes::init(home);
}
