//! A worker process from the driver's side: start, communication, end.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::channel::{Command, Received, Receiver, Sender, WorkerMessage};
use super::host::{HostedWorker, WorkerExit, WorkerHandle};
use super::output::WorkerOutput;
use crate::error::{Error, ErrorKind, Result};
use crate::executor::remote::{TaskSpec, Tasks};
use crate::storage::transfer::Home;

/// Maximum time that the driver waits for a message before it checks for other work.
pub(super) const LISTEN: Duration = Duration::from_millis(20);

/// Minimum time that a worker has to become ready: far more than it needs. A longer `worker_timeout` takes precedence.
const MIN_START: Duration = Duration::from_secs(10);

/// Maximum time between the command to exit and the exit.
const EXIT: Duration = Duration::from_secs(1);

/// A worker process. Dropping it ends the process.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    number: usize,
    handle: Box<dyn WorkerHandle>,
    receiver: Receiver,
    sender: Sender,
    /// Standard output and standard error.
    outputs: [WorkerOutput; 2],
    /// Number of marks requested so far; the start requests the first.
    marks: usize,
    /// The stage that was sent last.
    stage: Option<u64>,
}

impl WorkerProcess {
    /// Connects to worker `number`, which has been started, and waits until it is ready. `limit` is the maximum time that
    /// the worker may take to read a message.
    pub(super) fn connect(
        number: usize,
        worker: HostedWorker,
        limit: Duration,
    ) -> Result<Self, StartError> {
        let mut process = Self::new(number, worker, limit).map_err(StartError::Failed)?;
        let limit = limit.max(MIN_START);
        let start = Instant::now();
        loop {
            match process.receive() {
                Ok(Received::Message(WorkerMessage::Ready, _)) => return Ok(process),
                Ok(Received::Nothing) if start.elapsed() < limit => {}
                Ok(Received::Nothing) => {
                    process.end_at_once();
                    let reason = format!("it was not ready after {limit:?}");
                    return Err(StartError::Lost(start_error(reason)));
                }
                _ => return Err(process.never_ready()),
            }
        }
    }

    /// Returns the error for a worker that ended before it was ready.
    fn never_ready(&mut self) -> StartError {
        let cause = self.end();
        let words = self.outputs.iter().rev().find_map(WorkerOutput::last_words);
        let words = words.map_or_else(String::new, |words| format!(": {words}"));
        let reason = format!("it ended before it was ready, {cause}{words}");
        let is_lost = matches!(
            self.handle.try_wait(),
            Ok(Some(WorkerExit::Signal(_) | WorkerExit::MachineLost))
        );
        if is_lost {
            StartError::Lost(start_error(reason))
        } else {
            StartError::failed(reason)
        }
    }

    fn new(number: usize, worker: HostedWorker, limit: Duration) -> Result<Self> {
        let HostedWorker {
            mut handle,
            channel,
            outputs: [stdout, stderr],
            mark,
            label,
        } = worker;
        let connect = || {
            let threads = |source| Error::new(ErrorKind::Threads(source));
            let outputs = [
                WorkerOutput::pass_on(stdout, label.clone(), mark.clone(), io::stdout)
                    .map_err(threads)?,
                WorkerOutput::pass_on(stderr, label, mark, io::stderr).map_err(threads)?,
            ];
            let not_connected = |error: io::Error| start_error(error.to_string());
            channel
                .set_write_timeout(Some(limit.max(LISTEN)))
                .map_err(not_connected)?;
            let sender = Sender::new(channel.try_clone().map_err(not_connected)?);
            let receiver = Receiver::new(channel, Some(LISTEN)).map_err(not_connected)?;
            Ok((sender, receiver, outputs))
        };
        match connect() {
            Ok((sender, receiver, outputs)) => Ok(Self {
                number,
                handle,
                receiver,
                sender,
                outputs,
                marks: 1,
                stage: None,
            }),
            Err(error) => {
                handle.kill();
                Err(error)
            }
        }
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Returns the home of its files, if that is lost.
    pub(super) fn lost_home(&self) -> Option<&Home> {
        self.handle.home().filter(|_| self.handle.is_home_lost())
    }

    /// Returns whether it has a home, where some tasks are nearer to their input than others.
    pub(super) fn has_home(&self) -> bool {
        self.handle.home().is_some()
    }

    /// Takes a task for the worker without waiting, preferably one near its input.
    pub(super) fn next_task(&self, tasks: &Tasks<'_>) -> Option<TaskSpec> {
        match self.handle.home() {
            _ if self.is_leaving() => None,
            Some(home) => tasks.try_next_near(home),
            None => tasks.try_next(),
        }
    }

    /// Returns whether it should receive no more tasks.
    pub(super) fn is_leaving(&self) -> bool {
        self.handle.is_leaving()
    }

    pub(super) fn send(&self, command: &Command, bytes: &[u8]) -> io::Result<()> {
        self.sender.send(command, bytes)
    }

    /// Sends a stage, unless the worker already has it.
    pub(super) fn send_stage(&mut self, id: u64, bytes: &[u8]) -> io::Result<()> {
        if self.stage != Some(id) {
            self.send(&Command::Stage, bytes)?;
            self.stage = Some(id);
        }
        Ok(())
    }

    /// Returns the next message of the worker, if one arrives within a short time.
    pub(super) fn receive(&mut self) -> io::Result<Received<WorkerMessage>> {
        self.receiver.receive()
    }

    /// Requests that the worker marks the end of its output so far, and returns whether it could be asked. The worker's
    /// tasks must have ended.
    pub(super) fn ask_for_mark(&mut self) -> bool {
        self.marks += 1;
        self.send(&Command::Mark, &[]).is_ok()
    }

    /// Waits until all output before the last [mark](Self::ask_for_mark) has been forwarded, and returns whether it has been.
    pub(super) fn has_finished_output(&self) -> bool {
        let [stdout, stderr] = &self.outputs;
        stdout.wait_for(Some(self.marks)) && stderr.wait_for(Some(self.marks))
    }

    /// Returns whether the process still runs.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.handle.try_wait(), Ok(None))
    }

    /// Waits for the end of the process, which is imminent, and describes it: `"killed by signal 9"`.
    pub(super) fn end(&mut self) -> String {
        let status = self.wait(EXIT).or_else(|| {
            self.end_at_once();
            self.handle.try_wait().ok().flatten()
        });
        for output in &self.outputs {
            output.wait_for(None);
        }
        status.unwrap_or(WorkerExit::Unknown).to_string()
    }

    /// Kills the process immediately.
    pub(super) fn kill(&mut self) {
        self.end_at_once();
    }

    fn end_at_once(&mut self) {
        // A worker without a channel exits, even if it cannot be killed.
        self.sender.close();
        self.handle.kill();
    }

    /// Waits for the end of the process.
    fn wait(&mut self, limit: Duration) -> Option<WorkerExit> {
        let deadline = Instant::now() + limit;
        loop {
            match self.handle.try_wait() {
                Ok(Some(status)) => return Some(status),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return None,
                _ if Instant::now() >= deadline => return None,
                _ => thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // If its status is unknown, it may still run.
        if matches!(self.handle.try_wait(), Ok(Some(_))) {
            return;
        }
        let asked = self.send(&Command::Exit, &[]);
        if asked.is_err() || self.wait(EXIT).is_none() {
            self.end_at_once();
        }
    }
}

/// Reason why a worker did not start.
pub(super) enum StartError {
    /// It was killed or stopped. Another attempt may succeed.
    Lost(Error),
    Failed(Error),
}

impl StartError {
    fn failed(reason: String) -> Self {
        Self::Failed(start_error(reason))
    }
}

fn start_error(reason: String) -> Error {
    Error::new(ErrorKind::WorkerStart { reason })
}
