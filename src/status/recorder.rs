//! Keeps what jobs do, for the status page and the report, in bounded memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::job_record::JobRecord;
use crate::events::{Event, JobOutcome, Observer};
use crate::storage::memory::MemoryBudget;
use crate::task::Progress;

/// Maximum number of jobs that have ended and are kept.
const MAX_ENDED_JOBS: usize = 100;

/// Receives the events of jobs, and keeps a record of each job: of all that run, and of the last that have ended.
pub(super) struct Recorder {
    start: Instant,
    /// Time of the start, since the Unix epoch.
    pub(super) start_of_epoch: Duration,
    state: Mutex<Recorded>,
}

#[derive(Default)]
pub(super) struct Recorded {
    /// The jobs in the order of their start.
    pub(super) jobs: VecDeque<FollowedJob>,
    pub(super) totals: Totals,
}

/// A job, and what it shares with the context that runs it.
pub(super) struct FollowedJob {
    pub(super) record: JobRecord,
    pub(super) resources: FollowedResources,
}

/// Information about a job besides its events.
#[derive(Clone)]
pub(crate) struct FollowedResources {
    /// Counts between events: a task may read a large file.
    pub(crate) progress: Arc<Progress>,
    pub(crate) budget: MemoryBudget,
    pub(crate) executor: Arc<str>,
}

/// Numbers of all jobs since the start.
#[derive(Clone, Default)]
pub(super) struct Totals {
    pub(super) started: u64,
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    pub(super) tasks: u64,
    pub(super) task_time: Duration,
    pub(super) failures: u64,
    pub(super) workers_started: u64,
    pub(super) workers_lost: u64,
    pub(super) input_bytes: u64,
    pub(super) shuffled_records: u64,
    pub(super) shuffled_bytes: u64,
    pub(super) spilled_bytes: u64,
}

/// The observer of one job.
pub(super) struct JobRecorder {
    recorder: Arc<Recorder>,
    resources: FollowedResources,
}

impl Recorder {
    pub(super) fn new() -> Arc<Self> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        Arc::new(Self {
            start: Instant::now(),
            start_of_epoch: since_epoch.unwrap_or_default(),
            state: Mutex::default(),
        })
    }

    /// Returns an observer for one job.
    pub(super) fn of_job(self: &Arc<Self>, resources: FollowedResources) -> JobRecorder {
        let recorder = Arc::clone(self);
        JobRecorder {
            recorder,
            resources,
        }
    }

    /// Returns the time since the start.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Calls `read` while no event is added, so it should be short.
    pub(super) fn read<R>(&self, read: impl FnOnce(&Recorded) -> R) -> R {
        read(&self.lock())
    }

    /// A panic while the lock is held leaves the records consistent.
    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for JobRecorder {
    fn event(&self, event: &Event) {
        let mut state = self.recorder.lock();
        // With the lock, so that times are in the order of the events.
        let now = self.recorder.now();
        state.totals.add(event);
        if let Some(record) = JobRecord::new(event, now) {
            let resources = self.resources.clone();
            state.jobs.push_back(FollowedJob { record, resources });
        }
        let number = event.job();
        let mut jobs = state.jobs.iter_mut().rev();
        if let Some(job) = jobs.find(|job| job.record.number == number) {
            job.record
                .add(event, now, self.resources.budget.used_bytes());
        }
        if let Event::JobDone { .. } = event {
            state.forget();
        }
    }
}

impl Recorded {
    /// Removes the oldest job that has ended, if there are too many.
    fn forget(&mut self) {
        let ended = |job: &FollowedJob| job.record.end.is_some();
        if self.jobs.iter().filter(|job| ended(job)).count() > MAX_ENDED_JOBS {
            let oldest = self.jobs.iter().position(ended);
            oldest.map(|oldest| self.jobs.remove(oldest));
        }
    }
}

impl Totals {
    fn add(&mut self, event: &Event) {
        match event {
            Event::JobStarted { .. } => self.started += 1,
            Event::TasksDone {
                partitions,
                elapsed,
                input_bytes,
                shuffled_records,
                shuffled_bytes,
                ..
            } => {
                self.tasks += partitions.len() as u64;
                self.task_time += *elapsed;
                self.input_bytes += input_bytes;
                self.shuffled_records += shuffled_records;
                self.shuffled_bytes += shuffled_bytes;
            }
            Event::TaskFailed { .. } => self.failures += 1,
            Event::WorkerStarted { .. } => self.workers_started += 1,
            Event::WorkerLost { .. } => self.workers_lost += 1,
            Event::Spilled { bytes, .. } => self.spilled_bytes += bytes,
            Event::JobDone { outcome, .. } => match outcome {
                JobOutcome::Completed => self.completed += 1,
                JobOutcome::Cancelled => self.cancelled += 1,
                JobOutcome::Failed { .. } => self.failed += 1,
            },
            Event::StageStarted { .. } | Event::StageRestarted { .. } | Event::StageDone { .. } => {
            }
        }
    }
}
