//! Executor that runs tasks in worker processes on this machine. A worker is this program, started again.
//!
//! ```text
//!   driver                                              worker
//!   Processes ── a thread for each worker (serve) ──┐
//!                                                   │   ┌─> control thread ─ commands ─> main thread: runs tasks
//!                                   socket pair ────┴───┤
//!                                                       └── chunks, reports, signs of life
//!   stdout, stderr <── labelled (output) <── pipes ──────── stdout, stderr
//! ```
//!
//! A worker lives as long as the context, and serves one job at a time, stage by stage. The stages of a job that run at
//! the same time share its workers. When the driver ends, the system closes the socket, and the worker ends immediately.
//! A worker that ends, or that is silent for too long, is replaced, and its unfinished tasks are retried.

mod channel;
mod child;
mod driver;
mod forget;
mod host;
mod output;
mod pool;
mod process;
mod program;
mod serve;
mod token;
mod worker;
mod workers;

pub use child::WorkerChild;
pub use host::{HostedWorker, WorkerExit, WorkerHandle, WorkerHost};
pub use pool::WorkerPool;
pub(super) use program::init;

use std::time::Duration;

use child::ThisMachine;

use super::remote::{RemoteExecutor, Stage, Tasks};
use crate::error::Result;

/// Worker processes on this machine, started when they are first needed.
#[derive(Debug)]
pub(crate) struct Processes(WorkerPool<ThisMachine>);

impl Processes {
    /// Uses up to `workers` processes for each job that runs. A worker that gives no sign of life for `timeout`
    /// counts as lost.
    pub(crate) fn new(workers: usize, timeout: Duration) -> Self {
        Self(WorkerPool::new(ThisMachine { workers }, timeout))
    }

    /// Checks that this process can have workers.
    ///
    /// # Errors
    ///
    /// Returns [`NoInit`](crate::ErrorKind::NoInit), or [`WorkerStart`](crate::ErrorKind::WorkerStart) in a worker.
    pub(crate) fn check() -> Result<()> {
        program::check()
    }
}

impl RemoteExecutor for Processes {
    fn slots(&self) -> usize {
        self.0.slots()
    }

    fn run(&self, stage: &Stage, tasks: &Tasks<'_>) -> Result<()> {
        self.0.run(stage, tasks)
    }
}
