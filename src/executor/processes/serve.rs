//! Serves one worker: sends it tasks, handles its answers, and detects that it is lost.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use super::channel::{Command, Received, WorkerMessage};
use super::process::{LISTEN, WorkerProcess};
use crate::executor::remote::{TaskSpec, Tasks};

/// Maximum number of tasks that a worker has, including the one that it runs.
const MAX_TASKS: usize = 8;

/// Maximum time of a task for the next one to be sent in advance. After longer tasks, the next one stays here, for any
/// worker that becomes free.
const SHORT: Duration = Duration::from_millis(2);

/// Number of times that the driver listens in vain before it requests a sign of life.
const PING_AFTER: u32 = 25;

/// Maximum time that a cancelled task may take to stop before the driver ends its worker.
const CANCEL: Duration = Duration::from_secs(1);

/// An encoded stage.
pub(super) struct StageMessage {
    pub(super) id: u64,
    pub(super) bytes: Vec<u8>,
}

/// Reason why a worker is unusable.
pub(super) enum Lost {
    /// It has ended, or is ending.
    Ended,
    /// It has not sent anything, or has not read anything, for too long.
    Silent,
    /// Its tasks were cancelled, but did not stop.
    Cancelled,
}

impl From<io::Error> for Lost {
    /// Communication fails only if the worker has ended or does not read.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Silent,
            _ => Self::Ended,
        }
    }
}

/// A worker and its tasks, in the order in which it runs them.
pub(super) struct Server<'a> {
    process: &'a mut WorkerProcess,
    tasks: &'a Tasks<'a>,
    stage: &'a StageMessage,
    /// Maximum time that a worker may be silent before it counts as lost.
    timeout: Duration,
    under_way: VecDeque<TaskSpec>,
    /// Number of tasks that it may have now.
    depth: usize,
    /// Number of consecutive attempts to listen without a message. A count and not a time, because this process may
    /// have been stopped in the meantime.
    silences: u32,
    /// Time at which its tasks were cancelled.
    cancelled: Option<Instant>,
    /// Time at which the current task began.
    begun: Instant,
}

impl<'a> Server<'a> {
    pub(super) fn new(
        process: &'a mut WorkerProcess,
        tasks: &'a Tasks<'a>,
        stage: &'a StageMessage,
        timeout: Duration,
    ) -> Self {
        Self {
            process,
            tasks,
            stage,
            timeout,
            under_way: VecDeque::new(),
            depth: 1,
            silences: 0,
            cancelled: None,
            begun: Instant::now(),
        }
    }

    /// Runs tasks on the worker, beginning with `task`, until none is available without waiting. Another stage may then
    /// use the worker.
    pub(super) fn serve(&mut self, task: TaskSpec) -> Result<(), Lost> {
        let mut next = Some(task);
        while let Some(task) = next {
            // Recorded before anything can fail, so that the task is answered in any case.
            self.under_way.push_back(task);
            self.begun = Instant::now();
            self.process.send_stage(self.stage.id, &self.stage.bytes)?;
            self.send_last()?;
            while !self.under_way.is_empty() {
                if let Err(lost) = self.look_ahead() {
                    self.take_rest(&lost);
                    return Err(lost);
                }
                self.listen()?;
            }
            next = self.process.next_task(self.tasks);
        }
        Ok(())
    }

    /// Returns the unanswered tasks: the one that the worker runs, and those that it has not begun.
    pub(super) fn into_tasks(self) -> VecDeque<TaskSpec> {
        self.under_way
    }

    fn send_last(&mut self) -> io::Result<()> {
        match self.under_way.back() {
            Some(task) => self.process.send(&Command::Task(task.clone()), &[]),
            None => Ok(()),
        }
    }

    /// Sends the next task in advance, or a command to cancel.
    fn look_ahead(&mut self) -> Result<(), Lost> {
        if let Some(since) = self.cancelled {
            if since.elapsed() > CANCEL {
                return Err(Lost::Cancelled);
            }
            return Ok(());
        }
        if self.tasks.is_cancelled() {
            self.cancelled = Some(Instant::now());
            self.process.send(&Command::Cancel(self.stage.id), &[])?;
            return Ok(());
        }
        while self.under_way.len() < self.depth {
            let Some(task) = self.process.next_task(self.tasks) else {
                break;
            };
            self.under_way.push_back(task);
            self.send_last()?;
        }
        Ok(())
    }

    /// Handles what a worker sent before it ended, so that the tasks that it finished do not count as lost.
    fn take_rest(&mut self, lost: &Lost) {
        while matches!(lost, Lost::Ended)
            && let Ok(Received::Message(event, bytes)) = self.process.receive()
        {
            self.take(event, bytes);
        }
    }

    fn listen(&mut self) -> Result<(), Lost> {
        match self.process.receive()? {
            Received::Message(event, bytes) => {
                self.silences = 0;
                self.take(event, bytes);
                Ok(())
            }
            Received::Closed => Err(Lost::Ended),
            Received::Nothing => {
                self.silences += 1;
                if LISTEN * self.silences >= self.timeout {
                    return Err(Lost::Silent);
                }
                if self.silences.is_multiple_of(PING_AFTER) {
                    self.process.send(&Command::Ping, &[])?;
                }
                Ok(())
            }
        }
    }

    fn take(&mut self, event: WorkerMessage, bytes: Vec<u8>) {
        match event {
            WorkerMessage::Ready | WorkerMessage::Alive => {}
            WorkerMessage::Chunk { partition, number } => {
                if let Some(task) = self.under_way.front() {
                    self.tasks.chunk(task, partition, number, bytes);
                }
            }
            WorkerMessage::Done(report) => {
                if let Some(task) = self.next_answered() {
                    self.tasks.done(&task, report);
                }
            }
            WorkerMessage::Failed(error) => {
                if let Some(task) = self.next_answered() {
                    self.tasks.failed(&task, error);
                }
            }
        }
    }

    fn next_answered(&mut self) -> Option<TaskSpec> {
        self.depth = if self.begun.elapsed() <= SHORT {
            MAX_TASKS
        } else {
            1
        };
        self.begun = Instant::now();
        self.under_way.pop_front()
    }
}
