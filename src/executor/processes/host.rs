//! The interface between the pool of workers and the place where its workers run.

use std::fmt::{self, Debug, Display, Formatter};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::remote::Tasks;
use crate::error::Result;
use crate::storage::transfer::Home;

/// A place where a [`WorkerPool`](super::WorkerPool) runs its worker processes: this machine, or the machines of a
/// cluster.
pub trait WorkerHost: Send + Sync + 'static {
    /// Maximum number of workers that run tasks of one job at a time.
    fn slots(&self) -> usize;

    /// Number of workers that may run tasks of one job now. Waits for at most `limit` until it is larger than `known`.
    fn free_slots(&self, known: usize, limit: Duration) -> usize {
        let _ = (known, limit);
        self.slots()
    }

    /// Starts worker `number` for a stage. The worker replaces one that was lost, or is one of the
    /// [free slots](Self::free_slots). Stages that run at the same time may exceed these, so it must not wait for a slot.
    ///
    /// # Errors
    ///
    /// Returns an error if no worker can be started.
    fn start(&self, number: usize, tasks: &Tasks<'_>) -> Result<HostedWorker>;
}

/// A worker process that a [`WorkerHost`] has started, and the connections to it.
pub struct HostedWorker {
    /// The process.
    pub handle: Box<dyn WorkerHandle>,
    /// The channel of the worker: the other end of [`WorkerChild::channel`](super::WorkerChild::channel).
    pub channel: UnixStream,
    /// Standard output and standard error of the worker.
    pub outputs: [Box<dyn Read + Send>; 2],
    /// The [mark](super::WorkerChild::mark) of the worker.
    pub mark: String,
    /// The name of the worker before each line of its output.
    pub label: String,
}

impl Debug for HostedWorker {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostedWorker")
            .field("handle", &self.handle)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

/// A worker process that runs on this machine or on another one. Dropping the handle need not end the process.
pub trait WorkerHandle: Debug + Send {
    /// Returns how the process has ended, or `None` if it still runs. Does not wait.
    ///
    /// # Errors
    ///
    /// Returns an error if this is unknown.
    fn try_wait(&mut self) -> io::Result<Option<WorkerExit>>;

    /// Kills the process, and waits until it has ended, or until its machine counts as lost.
    fn kill(&mut self);

    /// The home of the worker, if it shares no disk with the others.
    fn home(&self) -> Option<&Home> {
        None
    }

    /// Returns whether the home is lost, with all files.
    fn is_home_lost(&self) -> bool {
        false
    }

    /// Returns whether the worker should receive no more tasks, because its machine is about to end.
    fn is_leaving(&self) -> bool {
        false
    }
}

/// Outcome of a worker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum WorkerExit {
    /// It has exited with this code.
    Code(i32),
    /// This signal has killed it.
    Signal(i32),
    /// Its machine is lost.
    MachineLost,
    /// The reason is unknown.
    Unknown,
}

impl From<ExitStatus> for WorkerExit {
    fn from(status: ExitStatus) -> Self {
        let signal = status.signal().map(Self::Signal);
        let code = status.code().map(Self::Code);
        signal.or(code).unwrap_or(Self::Unknown)
    }
}

impl Display for WorkerExit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
            Self::MachineLost => f.write_str("its machine is lost"),
            Self::Unknown => f.write_str("ended"),
        }
    }
}
