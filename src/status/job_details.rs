//! Content of the JSON endpoint of one job, and of the report. `docs/status.md` describes it.
//!
//! Times are in seconds, and times of events are those since the start of the recorder.

use std::time::Duration;

use serde::Serialize;

use super::job_record::{FailureRecord, LaneRecord, StageRecord};
use super::memory_samples::MemorySample;
use super::recorder::{FollowedJob, Recorder};
use super::task_stream::TaskSpan;
use super::views::{JobView, MemoryView, input_bytes, name_of, share};
use crate::error::ErrorContext;
use crate::events::{JobOutcome, TaskRunner};

/// One job with its stages, its task stream and its failures.
#[derive(Serialize)]
pub(super) struct JobDetails {
    now: f64,
    #[serde(flatten)]
    job: JobView,
    memory: MemoryView,
    stage_list: Vec<StageView>,
    lanes: Vec<LaneView>,
    spans: Vec<SpanView>,
    samples: Vec<(f64, usize, u64)>,
    error_place: Option<PlaceView>,
    failure_list: Vec<FailureView>,
}

#[derive(Serialize)]
struct StageView {
    stage: usize,
    operator: &'static str,
    operators: Vec<String>,
    state: &'static str,
    start: Option<f64>,
    elapsed: Option<f64>,
    tasks: Option<usize>,
    tasks_done: usize,
    progress: Option<f64>,
    input_bytes: u64,
    total_input_bytes: Option<u64>,
    shuffled_records: u64,
    shuffled_bytes: u64,
    filtered_records: u64,
    spilled_bytes: u64,
    failures: u64,
    restarts: u64,
    /// Shortest time of a task, quartiles, and longest time.
    task_times: Option<[f64; 5]>,
    skew: Option<f64>,
}

#[derive(Serialize)]
struct LaneView {
    name: String,
    is_worker: bool,
    tasks: usize,
    busy: f64,
    input_bytes: u64,
    shuffled_bytes: u64,
    last: f64,
    lost: Option<String>,
}

/// Lane, stage, start and time in microseconds, busy time, tasks, first partition, bytes read, bytes shuffled. A tuple,
/// because there are thousands.
#[derive(Serialize)]
struct SpanView(usize, usize, u64, u64, u64, usize, Option<usize>, u64, u64);

#[derive(Serialize)]
struct FailureView {
    time: f64,
    stage: Option<usize>,
    attempt: Option<usize>,
    message: String,
    place: PlaceView,
}

/// Location of an error. Unknown parts are `None`.
#[derive(Serialize)]
struct PlaceView {
    operator: Option<&'static str>,
    location: Option<String>,
    stage: Option<usize>,
    partition: Option<usize>,
    key: Option<String>,
    path: Option<String>,
    line: Option<u64>,
    record: Option<u64>,
    offset: Option<u64>,
}

impl JobDetails {
    /// Returns the details of a job, or `None` if there is no such job.
    pub(super) fn of(recorder: &Recorder, number: u64) -> Option<Self> {
        let now = recorder.now();
        recorder.read(|recorded| {
            let mut jobs = recorded.jobs.iter();
            let job = jobs.find(|job| job.record.number == number)?;
            Some(Self::new(job, now))
        })
    }

    /// Returns the details of all jobs.
    pub(super) fn of_all(recorder: &Recorder) -> Vec<Self> {
        let now = recorder.now();
        recorder.read(|recorded| {
            recorded
                .jobs
                .iter()
                .map(|job| Self::new(job, now))
                .collect()
        })
    }

    fn new(job: &FollowedJob, now: Duration) -> Self {
        let record = &job.record;
        let error_place = match &record.outcome {
            Some(JobOutcome::Failed { context, .. }) => context.as_ref().map(PlaceView::new),
            _ => None,
        };
        let sample = |sample: &MemorySample| {
            let time = sample.time.as_secs_f64();
            (time, sample.used_bytes, sample.spilled_bytes)
        };
        let stage_list = record.stages.iter();
        let stage_list = stage_list.map(|stage| StageView::new(job, stage, now));
        Self {
            now: now.as_secs_f64(),
            job: JobView::new(job, now),
            memory: MemoryView::new(job),
            stage_list: stage_list.collect(),
            lanes: record.lanes.iter().map(LaneView::new).collect(),
            spans: record.stream.spans().iter().map(SpanView::new).collect(),
            samples: record.samples.samples().iter().map(sample).collect(),
            error_place,
            failure_list: record.failures.iter().map(FailureView::new).collect(),
        }
    }
}

impl StageView {
    fn new(job: &FollowedJob, stage: &StageRecord, now: Duration) -> Self {
        let planned = job.record.plan.iter();
        let planned = planned.filter(|planned| planned.number == stage.number);
        let end = stage.end.or(job.record.end).unwrap_or(now);
        Self {
            stage: stage.number,
            operator: stage.operator,
            operators: planned
                .flat_map(|stage| &stage.operators)
                .map(ToString::to_string)
                .collect(),
            state: match (stage.start, stage.end) {
                (None, _) => "waiting",
                (Some(_), None) if job.record.end.is_none() => "running",
                (Some(_), _) => "done",
            },
            start: stage.start.map(|start| start.as_secs_f64()),
            elapsed: stage
                .start
                .map(|start| end.saturating_sub(start).as_secs_f64()),
            tasks: stage.tasks,
            tasks_done: stage.tasks_done,
            progress: share(job, stage),
            input_bytes: input_bytes(job, stage),
            total_input_bytes: stage.total_input_bytes,
            shuffled_records: stage.shuffled_records,
            shuffled_bytes: stage.shuffled_bytes,
            filtered_records: stage.filtered_records,
            spilled_bytes: stage.spilled_bytes,
            failures: stage.failures,
            restarts: stage.restarts,
            task_times: stage
                .times
                .quantiles()
                .map(|times| times.map(|time| time.as_secs_f64())),
            skew: stage.times.skew(),
        }
    }
}

impl LaneView {
    fn new(lane: &LaneRecord) -> Self {
        Self {
            name: name_of(lane.runner),
            is_worker: matches!(lane.runner, TaskRunner::Worker(_)),
            tasks: lane.tasks,
            busy: lane.busy.as_secs_f64(),
            input_bytes: lane.input_bytes,
            shuffled_bytes: lane.shuffled_bytes,
            last: lane.last.as_secs_f64(),
            lost: lane.lost.clone(),
        }
    }
}

impl SpanView {
    fn new(span: &TaskSpan) -> Self {
        Self(
            span.lane,
            span.stage,
            micros(span.start),
            micros(span.end.saturating_sub(span.start)),
            micros(span.busy),
            span.tasks,
            span.first,
            span.input_bytes,
            span.shuffled_bytes,
        )
    }
}

impl FailureView {
    fn new(failure: &FailureRecord) -> Self {
        Self {
            time: failure.time.as_secs_f64(),
            stage: failure.stage,
            attempt: failure.attempt,
            message: failure.message.clone(),
            place: PlaceView::new(&failure.place),
        }
    }
}

impl PlaceView {
    fn new(context: &ErrorContext) -> Self {
        Self {
            operator: context.operator,
            location: context.location.map(|location| location.to_string()),
            stage: context.stage,
            partition: context.partition.or(context.task),
            key: context.key.clone(),
            path: context.path.as_ref().map(|path| path.display().to_string()),
            line: context.line,
            record: context.record,
            offset: context.offset,
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
