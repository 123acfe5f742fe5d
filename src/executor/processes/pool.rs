//! A pool of worker processes, which run the tasks of stages.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};
use std::time::Duration;

use super::host::WorkerHost;
use super::process::{StartError, WorkerProcess};
use super::serve::{Lost, Server, StageMessage};
use super::workers::JobWorkers;
use crate::error::Result;
use crate::executor::remote::{Stage, TaskSpec, Tasks};
use crate::storage::codec;

/// Maximum number of attempts to start a worker that is killed or stopped before it is ready.
const STARTS: usize = 4;

/// Interval at which a stage that could use more workers checks whether there are free slots.
const LOOK: Duration = Duration::from_millis(20);

/// Worker processes, started when they are first needed, for a [`RemoteExecutor`](super::super::RemoteExecutor) that
/// runs tasks on them.
///
/// The workers run on a [`WorkerHost`]. They stay for later stages and jobs until [`end_idle`](Self::end_idle), or until
/// the pool is dropped.
#[derive(Debug)]
pub struct WorkerPool<H> {
    host: H,
    timeout: Duration,
    /// Workers that no job uses.
    idle: Mutex<Vec<WorkerProcess>>,
    /// The workers of each job that is running, by its number.
    jobs: Mutex<HashMap<u64, Arc<JobWorkers>>>,
    /// Number of the worker that was started last.
    last: AtomicUsize,
}

/// State that the slots of a stage share.
struct PoolStage<'a> {
    message: StageMessage,
    tasks: &'a Tasks<'a>,
    workers: Arc<JobWorkers>,
    /// Number of slots that take tasks.
    slots: AtomicUsize,
    /// Whether a slot has found that no tasks are left.
    is_over: AtomicBool,
}

impl<H: WorkerHost> WorkerPool<H> {
    /// Creates a pool without workers. A worker that gives no sign of life for `timeout` counts as lost.
    #[must_use]
    pub fn new(host: H, timeout: Duration) -> Self {
        Self {
            host,
            timeout,
            idle: Mutex::default(),
            jobs: Mutex::default(),
            last: AtomicUsize::new(0),
        }
    }

    /// Returns the host.
    pub fn host(&self) -> &H {
        &self.host
    }

    /// Maximum number of workers of one job.
    pub fn slots(&self) -> usize {
        self.host.slots()
    }

    /// Runs the tasks of a stage, as [`RemoteExecutor::run`](super::super::RemoteExecutor::run) does.
    ///
    /// # Errors
    ///
    /// Returns an error if the stage cannot be encoded.
    pub fn run(&self, stage: &Stage, tasks: &Tasks<'_>) -> Result<()> {
        let mut bytes = Vec::new();
        codec::encode_own(stage, &mut bytes)?;
        let most = self.slots().min(tasks.partitions().unwrap_or(usize::MAX));
        let (job, id) = (stage.job, stage.id);
        let stage = PoolStage {
            message: StageMessage { id, bytes },
            tasks,
            workers: self.join_job(job),
            slots: AtomicUsize::new(1),
            is_over: AtomicBool::new(false),
        };
        thread::scope(|scope| {
            let free = self.host.free_slots(0, Duration::ZERO);
            self.add_slots(scope, &stage, 1, free.min(most));
            if stage.slots.load(Ordering::SeqCst) < most {
                // More slots may become free while the stage runs.
                let add = || self.add_later(scope, &stage, most);
                let _ = thread::Builder::new().spawn_scoped(scope, add);
            }
            self.run_slot(&stage);
        });
        self.leave_job(job, &stage.workers);
        Ok(())
    }

    /// Adds slots beyond `known` to a stage, until it has `slots`. If a thread cannot be started, the stage runs on
    /// fewer workers.
    fn add_slots<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        stage: &'scope PoolStage<'_>,
        known: usize,
        slots: usize,
    ) {
        for _ in known..slots {
            stage.slots.fetch_add(1, Ordering::SeqCst);
            let run = || self.run_slot(stage);
            if thread::Builder::new().spawn_scoped(scope, run).is_err() {
                stage.slots.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    /// Adds slots to a stage as they become free, until it is over.
    fn add_later<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        stage: &'scope PoolStage<'_>,
        most: usize,
    ) {
        let mut known = stage.slots.load(Ordering::SeqCst);
        while known < most && !stage.is_over.load(Ordering::SeqCst) {
            let free = self.host.free_slots(known, LOOK).min(most);
            if free > known {
                self.add_slots(scope, stage, known, free);
                known = free;
            }
        }
    }

    /// Runs tasks on one worker at a time, replacing it if it is lost, until no tasks are left. If no worker can be
    /// started, leaves the tasks to the other slots.
    fn run_slot(&self, stage: &PoolStage<'_>) {
        let PoolStage { tasks, workers, .. } = stage;
        let leave = |slots: usize| (slots > 1).then(|| slots - 1);
        loop {
            if let Some((process, task)) = self.take_near(stage) {
                workers.put_back(self.run_worker(process, stage, task));
                continue;
            }
            let Some(task) = tasks.next() else { break };
            match workers.take(self.slots(), || self.worker(tasks)) {
                Ok(process) => workers.put_back(self.run_worker(process, stage, task)),
                Err(error) => {
                    let slots = &stage.slots;
                    match slots.fetch_update(Ordering::SeqCst, Ordering::SeqCst, leave) {
                        Ok(_) => return tasks.requeue(&task),
                        Err(_) => tasks.failed(&task, error),
                    }
                }
            }
        }
        stage.is_over.store(true, Ordering::SeqCst);
    }

    /// Takes an idle worker with a home, and a task for it, which is near its input if one is.
    fn take_near(&self, stage: &PoolStage<'_>) -> Option<(WorkerProcess, TaskSpec)> {
        let idle = || lock(&self.idle).pop_if(|process| process.has_home());
        let process = stage.workers.try_take(self.slots(), idle)?;
        match process.next_task(stage.tasks) {
            Some(task) => Some((process, task)),
            None => {
                stage.workers.put_back(Some(process));
                None
            }
        }
    }

    /// Runs `task` and others that are available on a worker, and returns the worker unless it is lost.
    fn run_worker(
        &self,
        mut process: WorkerProcess,
        stage: &PoolStage<'_>,
        task: TaskSpec,
    ) -> Option<WorkerProcess> {
        let tasks = stage.tasks;
        let mut server = Server::new(&mut process, tasks, &stage.message, self.timeout);
        let outcome = server.serve(task);
        let left = server.into_tasks();
        let cause = match outcome {
            Ok(()) if process.is_leaving() => return None,
            Ok(()) => return Some(process),
            Err(Lost::Ended) => process.end(),
            Err(Lost::Silent) => format!("no sign of life for {:?}", self.timeout),
            Err(Lost::Cancelled) => "it did not stop when it was told to".to_owned(),
        };
        // No code of a task may still run when the task is retried.
        process.kill();
        if let Some(home) = process.lost_home() {
            tasks.lost_home(home);
        }
        let mut left = left.into_iter();
        if let Some(task) = left.next() {
            tasks.lost(&task, process.number(), &cause);
        }
        left.for_each(|task| tasks.requeue(&task));
        None
    }

    /// Returns an idle worker, or starts one for the stage of `tasks`.
    fn worker(&self, tasks: &Tasks<'_>) -> Result<WorkerProcess> {
        while let Some(mut process) = self.take_idle() {
            if process.is_running() {
                return Ok(process);
            }
        }
        for attempt in 1.. {
            let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
            let worker = self.host.start(number, tasks)?;
            match WorkerProcess::connect(number, worker, self.timeout) {
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

    fn take_idle(&self) -> Option<WorkerProcess> {
        lock(&self.idle).pop()
    }

    /// Ends the workers that no job uses.
    pub fn end_idle(&self) {
        // Without the lock: a worker may take a while to end.
        drop(std::mem::take(&mut *lock(&self.idle)));
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
            let most = self.slots().min(idle.len());
            let surplus = idle.split_off(most);
            drop((idle, jobs));
            drop(surplus);
        }
    }
}

/// A panic while a lock is held leaves these values consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
