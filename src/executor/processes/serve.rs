//! Has one worker run tasks: what it is sent, what it answers, and what is made of its silence.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use super::channel::{Command, Event, Received};
use super::process::{LISTEN, WorkerProcess};
use crate::executor::remote::{TaskSpec, Tasks};

/// How many tasks a worker has at most, the one that it runs included.
const MAX_TASKS: usize = 8;

/// Tasks that take no longer than this are sent before they are needed. Longer ones wait here, for a worker that is
/// free.
const SHORT: Duration = Duration::from_millis(2);

/// A silent worker is asked for a sign of life after so many times of listening.
const PING_AFTER: u32 = 25;

/// How long a cancelled task may take to end before its worker is ended.
const CANCEL: Duration = Duration::from_secs(2);

/// A stage as it is sent.
pub(super) struct StageMessage {
    pub(super) id: u64,
    pub(super) bytes: Vec<u8>,
}

/// Why a worker is of no more use.
pub(super) enum Lost {
    /// It has ended, or is ending.
    Ended,
    /// It has said nothing, or read nothing, for too long.
    Silent,
    /// What it had to do was not wanted any more, and it would not stop.
    Cancelled,
}

impl From<io::Error> for Lost {
    /// Talking to it fails only if it is not there or does not listen.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Silent,
            _ => Self::Ended,
        }
    }
}

/// A worker, and the tasks that it has, in the order in which it runs them.
pub(super) struct Server<'a> {
    process: &'a mut WorkerProcess,
    tasks: &'a Tasks<'a>,
    stage: &'a StageMessage,
    /// After how long a worker that says nothing counts as lost.
    timeout: Duration,
    under_way: VecDeque<TaskSpec>,
    /// How many it may have now.
    depth: usize,
    /// How often nothing was heard of it, one after the other. Times of listening and not the time of day, in which
    /// this process may have been stopped.
    silences: u32,
    /// Since when what it has is not wanted any more.
    cancelled: Option<Instant>,
    /// When the task that it runs was begun.
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

    /// Has it run tasks, beginning with `task`, until there are none.
    pub(super) fn serve(&mut self, task: TaskSpec) -> Result<(), Lost> {
        let mut next = Some(task);
        while let Some(task) = next {
            // Before anything can fail, so that it is answered in any case.
            self.under_way.push_back(task);
            self.begun = Instant::now();
            self.process.send_stage(self.stage.id, &self.stage.bytes)?;
            self.send_last()?;
            while !self.under_way.is_empty() {
                self.look_ahead()?;
                self.listen()?;
            }
            next = self.tasks.next();
        }
        Ok(())
    }

    /// What it has not answered: the task that it runs, and those that it has not begun.
    pub(super) fn into_tasks(self) -> VecDeque<TaskSpec> {
        self.under_way
    }

    fn send_last(&mut self) -> io::Result<()> {
        match self.under_way.back() {
            Some(task) => self.process.send(&Command::Task(task.clone()), &[]),
            None => Ok(()),
        }
    }

    /// Sends what it is to do next, or that nothing is.
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
            let Some(task) = self.tasks.try_next() else {
                break;
            };
            self.under_way.push_back(task);
            self.send_last()?;
        }
        Ok(())
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

    fn take(&mut self, event: Event, bytes: Vec<u8>) {
        match event {
            Event::Ready | Event::Alive => {}
            Event::Chunk { partition, number } => {
                if let Some(task) = self.under_way.front() {
                    self.tasks.chunk(task, partition, number, bytes);
                }
            }
            Event::Done(report) => {
                if let Some(task) = self.next_answered() {
                    self.tasks.done(&task, report);
                }
            }
            Event::Failed(error) => {
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
