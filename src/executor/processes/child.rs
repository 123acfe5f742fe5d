//! Starts worker processes on this machine.

use std::io;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};

use super::channel::{self, Sender};
use super::driver::Summons;
use super::host::{HostedWorker, WorkerExit, WorkerHandle, WorkerHost};
use super::program;
use crate::error::{Error, ErrorKind, Result};
use crate::executor::remote::Tasks;

/// A worker process on this machine: this program, started again.
///
/// Its standard output and standard error are pipes.
#[derive(Debug)]
#[non_exhaustive]
pub struct WorkerChild {
    /// The process. It is not killed when it is dropped, but ends when the channel is closed.
    pub process: Child,
    /// The channel over which the worker receives its tasks. Messages of a [`WorkerPool`](super::WorkerPool) and of the
    /// worker are passed on unchanged.
    pub channel: UnixStream,
    /// A line that the worker prints after its output, to show how much of it has arrived.
    pub mark: String,
}

impl WorkerChild {
    /// Starts worker `number`. `configure` sets variables of its environment, for example.
    ///
    /// # Errors
    ///
    /// Returns [`NoInit`](crate::ErrorKind::NoInit) if `main` does not call [`init`](crate::init), and
    /// [`WorkerStart`](crate::ErrorKind::WorkerStart) if the process cannot be started.
    pub fn start(number: usize, configure: impl FnOnce(&mut Command)) -> Result<Self> {
        program::check()?;
        let (here, there) = UnixStream::pair().map_err(not_started)?;
        let summons = Summons::new(number, &there).map_err(not_started)?;
        let begin = here.try_clone().and_then(|channel| {
            // The buffer of a new socket has the capacity for it.
            let begin = channel::Command::Begin(summons.token().clone());
            Sender::new(channel).send(&begin, &[])
        });
        begin.map_err(not_started)?;
        let mut command = program::command(&summons, there);
        configure(&mut command);
        let process = command.spawn().map_err(not_started)?;
        Ok(Self {
            process,
            channel: here,
            mark: summons.token().mark(),
        })
    }
}

fn not_started(error: io::Error) -> Error {
    let reason = error.to_string();
    Error::new(ErrorKind::WorkerStart { reason })
}

/// This machine.
#[derive(Debug)]
pub(super) struct ThisMachine {
    pub(super) workers: usize,
}

impl WorkerHost for ThisMachine {
    fn slots(&self) -> usize {
        self.workers
    }

    fn start(&self, number: usize, _: &Tasks<'_>) -> Result<HostedWorker> {
        let WorkerChild {
            mut process,
            channel,
            mark,
        } = WorkerChild::start(number, |_| ())?;
        let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            unreachable!("both are pipes");
        };
        Ok(HostedWorker {
            handle: Box::new(process),
            channel,
            outputs: [Box::new(stdout), Box::new(stderr)],
            mark,
            label: format!("[worker {number}] "),
        })
    }
}

impl WorkerHandle for Child {
    fn try_wait(&mut self) -> io::Result<Option<WorkerExit>> {
        Ok(Self::try_wait(self)?.map(WorkerExit::from))
    }

    fn kill(&mut self) {
        let _ = Self::kill(self);
        let _ = self.wait();
    }
}
