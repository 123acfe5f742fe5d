//! The interface for executors outside this process: stages and tasks as plain data.
//!
//! ```text
//!   driver                                        executor                             worker
//!   Tasks::next ───────────── TaskSpec ─────────> somewhere ──── Stage, TaskSpec ────> Worker::run
//!   Tasks::chunk <─────────────────────────────── parts of the result, as they come ── chunk(…)
//!   Tasks::done, failed, lost <────────────────── Report or Error ──────────────────── its value
//! ```

mod homes;
mod locality;
mod pull;
mod results;
mod shared_slots;
mod spec;
mod stage_site;
mod state;
mod tasks;
#[cfg(test)]
mod tests;
mod worker;

pub use homes::{ScratchDirectory, WorkerHome};
pub(crate) use locality::Locality;
pub(crate) use results::Driver;
pub(crate) use shared_slots::SharedSlots;
pub use spec::{PartitionSpec, Report, Stage, TaskSpec};
pub(crate) use stage_site::StageSite;
pub(crate) use state::Round;
pub use tasks::Tasks;
pub use worker::{Canceller, Worker};

use std::sync::Arc;

use crate::error::Result;
use crate::storage::transfer::FileTransfer;

/// Runs the tasks of stages outside this process, or as if they were outside.
///
/// The [module](crate::executor) lists what it must do and what it may do.
pub trait RemoteExecutor: Send + Sync + 'static {
    /// Number of tasks that run at a time, over all stages of a job. The memory budget of the context is divided among
    /// them, unless [workers have budgets of their own](Self::divides_memory).
    fn slots(&self) -> usize;

    /// Returns whether the memory budget of the context is divided among the slots. The default is `true`. Return `false`
    /// if all workers have [budgets of their own](WorkerHome::memory_bytes): the context's budget is then that of this
    /// process alone.
    fn divides_memory(&self) -> bool {
        true
    }

    /// Returns the access of this process to the files of its workers, if these [share no
    /// disk](crate::executor#workers-that-share-no-disk). The default is `None`: all processes can access the [scratch
    /// directory](Stage::scratch) of the job.
    fn transfer(&self) -> Option<Arc<dyn FileTransfer>> {
        None
    }

    /// Takes tasks from `tasks` until none are left, runs each on a [`Worker`], and reports the outcome to `tasks`.
    /// Called concurrently for stages of one job that do not depend on each other, and for stages of different jobs.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot run any tasks; the error ends the job. Report the failure of a single task by
    /// [`Tasks::failed`] or [`Tasks::lost`].
    fn run(&self, stage: &Stage, tasks: &Tasks<'_>) -> Result<()>;
}
