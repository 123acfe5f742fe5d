//! Record of a job: its stages, its task stream, its failures.

use std::sync::Arc;
use std::time::Duration;

use super::memory_samples::{MemorySample, MemorySamples};
use super::task_stream::{TaskSpan, TaskStream};
use super::task_times::TaskTimes;
use crate::error::ErrorContext;
use crate::events::{Event, JobOutcome, StageSummary, TaskRunner};
use crate::plan::PlanStage;

/// Maximum number of spans of a job that runs, and of one that has ended.
const MAX_SPANS: usize = 4_096;
const MAX_SPANS_ENDED: usize = 1_024;

/// Maximum number of failures that are kept with their messages. Further ones are only counted.
const MAX_FAILURES: usize = 50;

/// Maximum length of the message of a failure, in bytes. The rest is cut.
const MAX_MESSAGE_BYTES: usize = 8 << 10;

/// A job that runs or has ended. Times are those since the start of the recorder.
pub(super) struct JobRecord {
    pub(super) number: u64,
    pub(super) action: &'static str,
    pub(super) location: String,
    pub(super) plan: Arc<[PlanStage]>,
    pub(super) start: Duration,
    pub(super) end: Option<Duration>,
    pub(super) outcome: Option<JobOutcome>,
    pub(super) stages: Vec<StageRecord>,
    pub(super) lanes: Vec<LaneRecord>,
    pub(super) stream: TaskStream,
    pub(super) samples: MemorySamples,
    /// The first failures, and the number of all.
    pub(super) failures: Vec<FailureRecord>,
    pub(super) failure_count: u64,
    pub(super) spilled_bytes: u64,
}

/// A stage of a job.
#[derive(Clone, Default)]
pub(super) struct StageRecord {
    pub(super) number: usize,
    pub(super) operator: &'static str,
    pub(super) tasks: Option<usize>,
    pub(super) tasks_done: usize,
    pub(super) total_input_bytes: Option<u64>,
    pub(super) start: Option<Duration>,
    pub(super) end: Option<Duration>,
    pub(super) input_bytes: u64,
    pub(super) shuffled_records: u64,
    pub(super) shuffled_bytes: u64,
    pub(super) filtered_records: u64,
    pub(super) spilled_bytes: u64,
    pub(super) failures: u64,
    pub(super) restarts: u64,
    pub(super) times: TaskTimes,
}

/// A thread or worker that has run tasks of a job.
#[derive(Clone)]
pub(super) struct LaneRecord {
    pub(super) runner: TaskRunner,
    pub(super) tasks: usize,
    pub(super) busy: Duration,
    pub(super) input_bytes: u64,
    pub(super) shuffled_bytes: u64,
    /// End of its last batch.
    pub(super) last: Duration,
    /// Reason why the worker was lost.
    pub(super) lost: Option<String>,
}

/// A failed attempt, or the error that ended the job.
#[derive(Clone)]
pub(super) struct FailureRecord {
    pub(super) time: Duration,
    pub(super) stage: Option<usize>,
    pub(super) attempt: Option<usize>,
    pub(super) message: String,
    pub(super) place: ErrorContext,
}

impl JobRecord {
    /// Returns a record of the job that `event` starts, or `None` if it is another event.
    pub(super) fn new(event: &Event, start: Duration) -> Option<Self> {
        let Event::JobStarted {
            job,
            action,
            location,
            plan,
            ..
        } = event
        else {
            return None;
        };
        Some(Self {
            number: *job,
            action,
            location: location.to_string(),
            plan: plan.stages().into(),
            start,
            end: None,
            outcome: None,
            stages: plan.stages().iter().map(StageRecord::new).collect(),
            lanes: Vec::new(),
            stream: TaskStream::new(MAX_SPANS),
            samples: MemorySamples::default(),
            failures: Vec::new(),
            failure_count: 0,
            spilled_bytes: 0,
        })
    }

    /// Adds an event that occurs at the time `now`, when jobs hold `used_bytes` of the memory budget.
    pub(super) fn add(&mut self, event: &Event, now: Duration, used_bytes: usize) {
        match event {
            Event::StageStarted {
                stage,
                operator,
                tasks,
                input_bytes,
                ..
            } => {
                let stage = self.stage(*stage);
                stage.operator = operator;
                stage.tasks = *tasks;
                stage.total_input_bytes = *input_bytes;
                stage.start = Some(now);
            }
            Event::StageRestarted {
                stage, operator, ..
            } => {
                let stage = self.stage(*stage);
                stage.operator = operator;
                stage.restarts += 1;
            }
            Event::TasksDone { .. } => self.add_tasks(event, now),
            Event::TaskFailed {
                stage,
                attempt,
                error,
                context,
                ..
            } => {
                self.stage(*stage).failures += 1;
                self.add_failure(now, (*stage, *attempt), error, context);
            }
            Event::WorkerStarted { worker, .. } => {
                self.lane(TaskRunner::Worker(*worker));
            }
            Event::WorkerLost { worker, cause, .. } => {
                let lane = self.lane(TaskRunner::Worker(*worker));
                self.lanes[lane].lost = Some(cut(cause));
            }
            Event::Spilled { stage, bytes, .. } => {
                self.stage(*stage).spilled_bytes += bytes;
                self.spilled_bytes += bytes;
            }
            Event::StageDone { summary, .. } => self.stage(summary.stage).finish(summary, now),
            Event::JobDone { outcome, .. } => self.finish(outcome, now),
            Event::JobStarted { .. } => {}
        }
        self.samples.add(MemorySample {
            time: now,
            used_bytes,
            spilled_bytes: self.spilled_bytes,
        });
    }

    fn add_tasks(&mut self, event: &Event, now: Duration) {
        let Event::TasksDone {
            stage,
            runner,
            partitions,
            elapsed,
            input_bytes,
            shuffled_records,
            shuffled_bytes,
            ..
        } = event
        else {
            return;
        };
        let tasks = partitions.len();
        let record = self.stage(*stage);
        record.tasks_done += tasks;
        record.input_bytes += input_bytes;
        record.shuffled_records += shuffled_records;
        record.shuffled_bytes += shuffled_bytes;
        record.times.add(tasks, *elapsed);
        let number = self.lane(*runner);
        let lane = &mut self.lanes[number];
        let start = lane.start_of(now, *elapsed);
        lane.tasks += tasks;
        lane.busy += *elapsed;
        lane.input_bytes += input_bytes;
        lane.shuffled_bytes += shuffled_bytes;
        lane.last = now;
        self.stream.add(TaskSpan {
            lane: number,
            stage: *stage,
            start,
            end: now,
            busy: *elapsed,
            first: (tasks > 0).then_some(partitions.start),
            tasks,
            input_bytes: *input_bytes,
            shuffled_bytes: *shuffled_bytes,
        });
    }

    fn add_failure(
        &mut self,
        time: Duration,
        (stage, attempt): (usize, usize),
        message: &str,
        place: &ErrorContext,
    ) {
        self.failure_count += 1;
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(FailureRecord {
                time,
                stage: Some(stage),
                attempt: Some(attempt),
                message: cut(message),
                place: place.clone(),
            });
        }
    }

    fn finish(&mut self, outcome: &JobOutcome, now: Duration) {
        self.end = Some(now);
        self.outcome = Some(match outcome {
            JobOutcome::Failed { error, context } => JobOutcome::Failed {
                error: cut(error),
                context: context.clone(),
            },
            other => other.clone(),
        });
        self.stream.shrink(MAX_SPANS_ENDED);
    }

    /// Returns the stage with this number, which may be missing in the plan.
    fn stage(&mut self, number: usize) -> &mut StageRecord {
        let position = self.stages.iter().position(|stage| stage.number == number);
        let position = position.unwrap_or_else(|| {
            self.stages.push(StageRecord {
                number,
                ..StageRecord::default()
            });
            self.stages.len() - 1
        });
        &mut self.stages[position]
    }

    /// Returns the position of a thread or worker.
    fn lane(&mut self, runner: TaskRunner) -> usize {
        // Usually one of the last.
        let position = self.lanes.iter().rposition(|lane| lane.runner == runner);
        position.unwrap_or_else(|| {
            self.lanes.push(LaneRecord {
                runner,
                tasks: 0,
                busy: Duration::ZERO,
                input_bytes: 0,
                shuffled_bytes: 0,
                last: Duration::ZERO,
                lost: None,
            });
            self.lanes.len() - 1
        })
    }

    /// Returns the number of tasks that are done, in all stages.
    pub(super) fn tasks_done(&self) -> usize {
        self.stages.iter().map(|stage| stage.tasks_done).sum()
    }
}

impl StageRecord {
    fn new(stage: &PlanStage) -> Self {
        Self {
            number: stage.number,
            operator: stage.operators.last().map_or("", |operator| operator.name),
            tasks: stage.partitions,
            total_input_bytes: stage.input_bytes,
            ..Self::default()
        }
    }

    fn finish(&mut self, summary: &StageSummary, now: Duration) {
        self.end = Some(now);
        self.input_bytes = summary.input_bytes;
        self.shuffled_records = summary.shuffled_records;
        self.shuffled_bytes = summary.shuffled_bytes;
        self.filtered_records = summary.filtered_records;
    }
}

impl LaneRecord {
    /// Returns the start of a batch that took `elapsed` and whose event arrives `now`. A worker may have begun its next
    /// batch before the event of the previous one arrives.
    fn start_of(&self, now: Duration, elapsed: Duration) -> Duration {
        let start = now.saturating_sub(elapsed);
        match self.runner {
            TaskRunner::Worker(_) => start.max(self.last).min(now),
            TaskRunner::Thread(_) => start,
        }
    }
}

/// Shortens a message.
fn cut(message: &str) -> String {
    if message.len() <= MAX_MESSAGE_BYTES {
        return message.to_owned();
    }
    let end = message.floor_char_boundary(MAX_MESSAGE_BYTES);
    format!("{}…", &message[..end])
}
