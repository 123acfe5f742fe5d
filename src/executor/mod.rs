//! Where tasks run.

mod inline;
mod loan;
mod threads;

pub(crate) use inline::Inline;
pub(crate) use threads::Threads;

use crate::error::Result;

/// Runs the tasks of stages.
pub(crate) trait Executor: Send + Sync {
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
