//! Content of the JSON endpoint of all jobs. `docs/status.md` describes it.
//!
//! Times are in seconds, and times of events are those since the start of the recorder.

use std::time::Duration;

use serde::Serialize;

use super::job_record::{JobRecord, StageRecord};
use super::recorder::{FollowedJob, Recorder, Totals};
use crate::events::{JobOutcome, TaskRunner};

/// All jobs, without details.
#[derive(Serialize)]
pub(super) struct Overview {
    program: String,
    process: u32,
    version: &'static str,
    /// Start of the recorder, in seconds since the Unix epoch.
    start_of_epoch: f64,
    now: f64,
    totals: TotalsView,
    memory: Option<MemoryView>,
    jobs: Vec<JobView>,
}

/// Numbers of all jobs.
#[derive(Serialize)]
struct TotalsView {
    jobs_started: u64,
    jobs_completed: u64,
    jobs_failed: u64,
    jobs_cancelled: u64,
    tasks: u64,
    task_failures: u64,
    workers_started: u64,
    workers_lost: u64,
    input_bytes: u64,
    shuffled_records: u64,
    shuffled_bytes: u64,
    spilled_bytes: u64,
}

/// Memory budget of the context that has started the last job.
#[derive(Clone, Copy, Serialize)]
pub(super) struct MemoryView {
    pub(super) used_bytes: usize,
    pub(super) peak_bytes: usize,
    pub(super) limit_bytes: usize,
}

/// One job, without details.
#[derive(Serialize)]
pub(super) struct JobView {
    job: u64,
    action: &'static str,
    location: String,
    executor: String,
    state: &'static str,
    start: f64,
    elapsed: f64,
    stages: usize,
    stages_done: usize,
    tasks_done: usize,
    /// Share of the work that is done, from 0 to 1, if it is known.
    progress: Option<f64>,
    input_bytes: u64,
    shuffled_bytes: u64,
    spilled_bytes: u64,
    failures: u64,
    error: Option<String>,
}

impl Overview {
    pub(super) fn new(recorder: &Recorder) -> Self {
        let now = recorder.now();
        recorder.read(|recorded| Self {
            program: program(),
            process: std::process::id(),
            version: env!("CARGO_PKG_VERSION"),
            start_of_epoch: recorder.start_of_epoch.as_secs_f64(),
            now: now.as_secs_f64(),
            totals: TotalsView::new(&recorded.totals),
            memory: recorded.jobs.back().map(MemoryView::new),
            jobs: recorded
                .jobs
                .iter()
                .map(|job| JobView::new(job, now))
                .collect(),
        })
    }
}

impl TotalsView {
    fn new(totals: &Totals) -> Self {
        Self {
            jobs_started: totals.started,
            jobs_completed: totals.completed,
            jobs_failed: totals.failed,
            jobs_cancelled: totals.cancelled,
            tasks: totals.tasks,
            task_failures: totals.failures,
            workers_started: totals.workers_started,
            workers_lost: totals.workers_lost,
            input_bytes: totals.input_bytes,
            shuffled_records: totals.shuffled_records,
            shuffled_bytes: totals.shuffled_bytes,
            spilled_bytes: totals.spilled_bytes,
        }
    }
}

impl MemoryView {
    pub(super) fn new(job: &FollowedJob) -> Self {
        let budget = &job.resources.budget;
        Self {
            used_bytes: budget.used_bytes(),
            peak_bytes: budget.peak_bytes(),
            limit_bytes: budget.limit_bytes(),
        }
    }
}

impl JobView {
    pub(super) fn new(job: &FollowedJob, now: Duration) -> Self {
        let record = &job.record;
        let done = |stage: &&StageRecord| stage.end.is_some();
        let sum = |bytes: fn(&StageRecord) -> u64| record.stages.iter().map(bytes).sum();
        let shares = record.stages.iter().map(|stage| share(job, stage));
        let shares: Option<Vec<f64>> = shares.collect();
        let shares = shares.filter(|shares| !shares.is_empty());
        Self {
            job: record.number,
            action: record.action,
            location: record.location.clone(),
            executor: job.resources.executor.to_string(),
            state: state(record),
            start: record.start.as_secs_f64(),
            elapsed: (record.end.unwrap_or(now).saturating_sub(record.start)).as_secs_f64(),
            stages: record.stages.len(),
            stages_done: record.stages.iter().filter(done).count(),
            tasks_done: record.tasks_done(),
            progress: shares.map(|shares| shares.iter().sum::<f64>() / shares.len() as f64),
            input_bytes: record
                .stages
                .iter()
                .map(|stage| input_bytes(job, stage))
                .sum(),
            shuffled_bytes: sum(|stage| stage.shuffled_bytes),
            spilled_bytes: record.spilled_bytes,
            failures: record.failure_count,
            error: match &record.outcome {
                Some(JobOutcome::Failed { error, .. }) => Some(error.clone()),
                _ => None,
            },
        }
    }
}

/// Returns the name of the program.
pub(super) fn program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

pub(super) fn name_of(runner: TaskRunner) -> String {
    match runner {
        TaskRunner::Thread(number) => format!("thread {number}"),
        TaskRunner::Worker(number) => format!("worker {number}"),
    }
}

fn state(record: &JobRecord) -> &'static str {
    match &record.outcome {
        None => "running",
        Some(JobOutcome::Completed) => "completed",
        Some(JobOutcome::Cancelled) => "cancelled",
        Some(JobOutcome::Failed { .. }) => "failed",
    }
}

/// Returns the bytes that a stage has read, with those of tasks that are running.
pub(super) fn input_bytes(job: &FollowedJob, stage: &StageRecord) -> u64 {
    if stage.start.is_none() || stage.end.is_some() {
        return stage.input_bytes;
    }
    let progress = job.resources.progress.stage(stage.number);
    progress.bytes().max(stage.input_bytes)
}

/// Returns the share of a stage that is done, or `None` if its number of tasks is unknown.
pub(super) fn share(job: &FollowedJob, stage: &StageRecord) -> Option<f64> {
    let has_failed = job.record.end.is_some() && state(&job.record) != "completed";
    if stage.end.is_some() && !has_failed {
        return Some(1.0);
    }
    let of = |done: f64, all: f64| {
        if all > 0.0 {
            (done / all).min(1.0)
        } else {
            0.0
        }
    };
    let tasks = of(stage.tasks_done as f64, stage.tasks? as f64);
    let bytes = stage.total_input_bytes.map_or(0.0, |bytes| {
        of(input_bytes(job, stage) as f64, bytes as f64)
    });
    Some(tasks.max(bytes))
}
