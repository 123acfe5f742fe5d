//! The seam that executors outside of this process share: stages and tasks as plain data.
//!
//! ```text
//!   driver                                        executor                             worker
//!   Tasks::next ───────────── TaskSpec ─────────> somewhere ──── Stage, TaskSpec ────> Worker::run
//!   Tasks::chunk <─────────────────────────────── parts of the result, as they come ── chunk(…)
//!   Tasks::done, failed, lost <────────────────── Report or Error ──────────────────── its value
//! ```

mod pull;
mod results;
mod spec;
mod state;
mod tasks;
#[cfg(test)]
mod tests;
mod worker;

pub(crate) use results::Driver;
pub use spec::{PartitionSpec, Report, Stage, TaskSpec};
pub use tasks::Tasks;
pub(crate) use tasks::{Round, StageSite};
pub use worker::{Canceller, Worker};

use crate::error::Result;

/// Runs the tasks of stages outside of this process, or at least as if they were.
///
/// See the [module](crate::executor) for what it may do and what it must.
pub trait RemoteExecutor: Send + Sync + 'static {
    /// How many tasks it runs at a time. The memory budget of a context is divided by it.
    fn slots(&self) -> usize;

    /// Takes tasks from `tasks` until there are none, has each of them run by a [`Worker`], and tells `tasks` what came
    /// of it. Several stages may be running at a time, of jobs that run at a time.
    ///
    /// # Errors
    ///
    /// If it cannot run anything; that ends the job. What goes wrong with a single task is for [`Tasks::failed`] and
    /// [`Tasks::lost`].
    fn run(&self, stage: &Stage, tasks: &Tasks<'_>) -> Result<()>;
}
