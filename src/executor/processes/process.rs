//! A worker process from the driver's side: start, communication, end.

use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use super::channel::{Command, Received, Receiver, Sender, WorkerMessage};
use super::driver::Summons;
use super::output::WorkerOutput;
use super::program;
use crate::error::{Error, ErrorKind, Result};

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
    child: Child,
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
    /// Starts worker `number`, and waits until it is ready. `limit` is the maximum time that the worker may take to
    /// read a message.
    pub(super) fn start(number: usize, limit: Duration) -> Result<Self, StartError> {
        let process = Self::spawn(number, limit);
        let mut process = process.map_err(StartError::Failed)?;
        let limit = limit.max(MIN_START);
        let deadline = Instant::now() + limit;
        loop {
            match process.receive() {
                Ok(Received::Message(WorkerMessage::Ready, _)) => return Ok(process),
                Ok(Received::Nothing) if Instant::now() < deadline => {}
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
        let is_killed =
            matches!(self.child.try_wait(), Ok(Some(status)) if status.signal().is_some());
        if is_killed {
            StartError::Lost(start_error(reason))
        } else {
            StartError::failed(reason)
        }
    }

    fn spawn(number: usize, limit: Duration) -> Result<Self> {
        let (here, there) = UnixStream::pair().map_err(not_started)?;
        let summons = Summons::new(number, &there).map_err(not_started)?;
        let child = program::command(&summons, there).spawn();
        let mut child = child.map_err(not_started)?;
        match connect(&summons, &mut child, here, limit) {
            Ok((sender, receiver, outputs)) => Ok(Self {
                number,
                child,
                receiver,
                sender,
                outputs,
                marks: 1,
                stage: None,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    pub(super) fn number(&self) -> usize {
        self.number
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
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the end of the process, which is imminent, and describes it: `"killed by signal 9"`.
    pub(super) fn end(&mut self) -> String {
        let status = self.wait(EXIT).or_else(|| {
            self.end_at_once();
            self.child.try_wait().ok().flatten()
        });
        for output in &self.outputs {
            output.wait_for(None);
        }
        status.map_or_else(|| "ended".to_owned(), describe)
    }

    /// Kills the process immediately.
    pub(super) fn kill(mut self) {
        self.end_at_once();
    }

    fn end_at_once(&mut self) {
        // A worker without a channel exits, even if it cannot be killed.
        self.sender.close();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the end of the process.
    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
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
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let asked = self.send(&Command::Exit, &[]);
        if asked.is_err() || self.wait(EXIT).is_none() {
            self.end_at_once();
        }
    }
}

/// Connects to a worker that has been started.
fn connect(
    summons: &Summons,
    child: &mut Child,
    channel: UnixStream,
    limit: Duration,
) -> Result<(Sender, Receiver, [WorkerOutput; 2])> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
        unreachable!("both are pipes");
    };
    let label = format!("[worker {}] ", summons.number());
    let mark = summons.token().mark();
    let threads = |source| Error::new(ErrorKind::Threads(source));
    let outputs = [
        WorkerOutput::pass_on(stdout, label.clone(), mark.clone(), io::stdout).map_err(threads)?,
        WorkerOutput::pass_on(stderr, label, mark, io::stderr).map_err(threads)?,
    ];
    let channels = || {
        channel.set_write_timeout(Some(limit))?;
        let sender = Sender::new(channel.try_clone()?);
        sender.send(&Command::Begin(summons.token().clone()), &[])?;
        Ok((sender, Receiver::new(channel, Some(LISTEN))?))
    };
    let (sender, receiver) = channels().map_err(not_started)?;
    Ok((sender, receiver, outputs))
}

fn not_started(error: io::Error) -> Error {
    start_error(error.to_string())
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("killed by signal {signal}"),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended".to_owned(),
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
