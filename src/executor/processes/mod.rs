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
mod driver;
mod forget;
mod output;
mod process;
mod program;
mod serve;
mod token;
mod worker;
mod workers;

pub(super) use program::init;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use process::{StartError, WorkerProcess};
use serve::{Lost, Server, StageMessage};
use workers::JobWorkers;

use super::remote::{RemoteExecutor, Stage, TaskSpec, Tasks};
use crate::error::Result;
use crate::storage::codec;

/// Maximum number of attempts to start a worker that is killed or stopped before it is ready.
const STARTS: usize = 4;

/// Worker processes, started when they are first needed.
#[derive(Debug)]
pub(crate) struct Processes {
    workers: usize,
    timeout: Duration,
    /// Workers that no job uses.
    idle: Mutex<Vec<WorkerProcess>>,
    /// The workers of each job that is running, by its number.
    jobs: Mutex<HashMap<u64, Arc<JobWorkers>>>,
    /// Number of the worker that was started last.
    last: AtomicUsize,
}

impl Processes {
    /// Uses up to `workers` processes for each job that runs. A worker that gives no sign of life for `timeout`
    /// counts as lost.
    pub(crate) fn new(workers: usize, timeout: Duration) -> Self {
        Self {
            workers,
            timeout,
            idle: Mutex::default(),
            jobs: Mutex::default(),
            last: AtomicUsize::new(0),
        }
    }

    /// Checks that this process can have workers.
    ///
    /// # Errors
    ///
    /// Returns [`NoInit`](crate::ErrorKind::NoInit), or [`WorkerStart`](crate::ErrorKind::WorkerStart) in a worker.
    pub(crate) fn check() -> Result<()> {
        program::check()
    }

    /// Runs tasks on one worker, replacing it if it is lost, until no tasks are left. If no worker can be started,
    /// leaves the tasks to the other slots; `slots` is the number of slots, including this one.
    fn run_slot(
        &self,
        stage: &StageMessage,
        tasks: &Tasks<'_>,
        workers: &JobWorkers,
        slots: &AtomicUsize,
    ) {
        let leave = |slots: usize| (slots > 1).then(|| slots - 1);
        while let Some(task) = tasks.next() {
            match workers.take(self.workers, || self.worker(tasks)) {
                Ok(process) => workers.put_back(self.run_worker(process, stage, tasks, task)),
                Err(error) => match slots.fetch_update(Ordering::SeqCst, Ordering::SeqCst, leave) {
                    Ok(_) => return tasks.requeue(&task),
                    Err(_) => tasks.failed(&task, error),
                },
            }
        }
    }

    /// Runs `task` and others that are available on a worker, and returns the worker unless it is lost.
    fn run_worker(
        &self,
        mut process: WorkerProcess,
        stage: &StageMessage,
        tasks: &Tasks<'_>,
        task: TaskSpec,
    ) -> Option<WorkerProcess> {
        let mut server = Server::new(&mut process, tasks, stage, self.timeout);
        let outcome = server.serve(task);
        let left = server.into_tasks();
        let cause = match outcome {
            Ok(()) => return Some(process),
            Err(Lost::Ended) => process.end(),
            Err(Lost::Silent) => format!("no sign of life for {:?}", self.timeout),
            Err(Lost::Cancelled) => "it did not stop when it was told to".to_owned(),
        };
        let number = process.number();
        // No code of a task may still run when the task is retried.
        process.kill();
        let mut left = left.into_iter();
        if let Some(task) = left.next() {
            tasks.lost(&task, number, &cause);
        }
        left.for_each(|task| tasks.requeue(&task));
        None
    }

    /// Returns an idle worker, or starts one for the stage of `tasks`.
    fn worker(&self, tasks: &Tasks<'_>) -> Result<WorkerProcess> {
        loop {
            let Some(mut process) = self.idle().pop() else {
                break;
            };
            if process.is_running() {
                return Ok(process);
            }
        }
        program::check()?;
        for attempt in 1.. {
            let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
            match WorkerProcess::start(number, self.timeout) {
                Err(StartError::Lost(_)) if attempt < STARTS => {}
                Err(StartError::Lost(error) | StartError::Failed(error)) => return Err(error),
                Ok(process) => {
                    tasks.worker_started(number);
                    return Ok(process);
                }
            }
        }
        unreachable!("the last attempt has returned")
    }

    /// Returns the workers of a job for one of its stages.
    fn join_job(&self, job: u64) -> Arc<JobWorkers> {
        let mut jobs = lock(&self.jobs);
        let workers = Arc::clone(jobs.entry(job).or_default());
        workers.enter();
        workers
    }

    /// Ends the use of a job's workers by one of its stages. After the last one, other jobs may use them.
    fn leave_job(&self, job: u64, workers: &JobWorkers) {
        if !workers.leave() {
            return;
        }
        workers.finish_output();
        let mut jobs = lock(&self.jobs);
        // Another stage of the job may have begun in the meantime.
        if let Some(unused) = workers.take_unused() {
            jobs.remove(&job);
            let mut idle = lock(&self.idle);
            idle.extend(unused);
            // Concurrent jobs may have started more workers than this.
            let most = self.workers.min(idle.len());
            let surplus = idle.split_off(most);
            drop((idle, jobs));
            drop(surplus);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<WorkerProcess>> {
        lock(&self.idle)
    }
}

/// A panic while a lock is held leaves these values consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RemoteExecutor for Processes {
    fn slots(&self) -> usize {
        self.workers
    }

    fn run(&self, stage: &Stage, tasks: &Tasks<'_>) -> Result<()> {
        let mut bytes = Vec::new();
        codec::encode_own(stage, &mut bytes)?;
        let message = StageMessage {
            id: stage.id,
            bytes,
        };
        let most = self.workers.min(tasks.partitions().unwrap_or(usize::MAX));
        let slots = AtomicUsize::new(most.max(1));
        let workers = self.join_job(stage.job);
        let run_slot = || self.run_slot(&message, tasks, &workers, &slots);
        thread::scope(|scope| {
            for _ in 1..most {
                // If a thread cannot be started, the stage runs on fewer workers.
                if thread::Builder::new()
                    .spawn_scoped(scope, run_slot)
                    .is_err()
                {
                    slots.fetch_sub(1, Ordering::SeqCst);
                }
            }
            run_slot();
        });
        self.leave_job(stage.job, &workers);
        Ok(())
    }
}
