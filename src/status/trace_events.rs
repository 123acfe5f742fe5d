//! Events of jobs as events of a Chrome trace.

use std::time::Duration;

use serde_json::{Value, json};

use super::views::name_of;
use crate::events::{Event, JobOutcome, TaskRunner};

/// Process number of all events. The workers are rows of the one process, too, because their clocks are not known.
const PROCESS: u32 = 1;

/// Added to the number of a worker, so that it differs from those of threads.
const FIRST_WORKER: usize = 1_000_000;

/// Returns the event of the trace for an event that occurs at the time `now`, or `None` if it needs none. A batch of
/// tasks begins at `start`.
///
/// Jobs and stages are asynchronous spans, batches of tasks are spans of the thread or worker that ran them, and
/// failures and lost workers are instants.
pub(super) fn trace_event(event: &Event, now: Duration, start: Duration) -> Option<Value> {
    let job = event.job();
    Some(match event {
        Event::JobStarted {
            action, location, ..
        } => {
            let args = json!({"action": action, "line": location.to_string()});
            spanning("b", "job", format!("job {job}"), job.to_string(), now, args)
        }
        Event::JobDone { outcome, .. } => {
            let args = outcome_args(outcome);
            spanning("e", "job", format!("job {job}"), job.to_string(), now, args)
        }
        Event::StageStarted {
            stage,
            operator,
            tasks,
            ..
        } => of_stage("b", (job, *stage), operator, now, json!({"tasks": tasks})),
        Event::StageDone { summary, .. } => {
            let args = json!({
                "tasks": summary.tasks,
                "input_bytes": summary.input_bytes,
                "shuffled_records": summary.shuffled_records,
                "shuffled_bytes": summary.shuffled_bytes,
                "spilled_bytes": summary.spilled_bytes,
                "skew": summary.skew,
            });
            of_stage("e", (job, summary.stage), summary.operator, now, args)
        }
        Event::TasksDone { .. } => return tasks_event(event, now, start),
        _ => return failure_event(event, now),
    })
}

/// Returns the span of a batch of tasks.
fn tasks_event(event: &Event, now: Duration, start: Duration) -> Option<Value> {
    let job = event.job();
    Some(match event {
        Event::TasksDone {
            stage,
            runner,
            partitions,
            input_bytes,
            shuffled_records,
            shuffled_bytes,
            ..
        } => json!({
            "name": format!("job {job}, stage {stage}"),
            "cat": "tasks",
            "ph": "X",
            "pid": PROCESS,
            "tid": row(*runner),
            "ts": micros(start),
            "dur": micros(now.saturating_sub(start)),
            "args": {
                "first partition": partitions.start,
                "tasks": partitions.len(),
                "input_bytes": input_bytes,
                "shuffled_records": shuffled_records,
                "shuffled_bytes": shuffled_bytes,
            },
        }),
        _ => return None,
    })
}

/// Returns the instant of a failure.
fn failure_event(event: &Event, now: Duration) -> Option<Value> {
    let job = event.job();
    Some(match event {
        Event::StageRestarted {
            stage, operator, ..
        } => instant(
            format!("stage {stage} ({operator}) restarts"),
            now,
            json!({"job": job}),
        ),
        Event::TaskFailed {
            stage,
            attempt,
            error,
            context,
            ..
        } => {
            let args = json!({"job": job, "stage": stage, "attempt": attempt, "error": error, "place": context.to_string()});
            instant("task failed".to_owned(), now, args)
        }
        Event::WorkerLost {
            stage,
            worker,
            cause,
            ..
        } => {
            let args = json!({"job": job, "stage": stage, "cause": cause});
            instant(format!("worker {worker} lost"), now, args)
        }
        _ => return None,
    })
}

/// Returns the event that names the row of a thread or worker.
pub(super) fn row_name(runner: TaskRunner) -> Value {
    named("thread_name", row(runner), &name_of(runner))
}

/// Returns the event that names the process.
pub(super) fn process_name(name: &str) -> Value {
    named("process_name", 0, name)
}

/// Returns the event of a number that changes over time.
pub(super) fn counter(name: &str, now: Duration, bytes: u64) -> Value {
    json!({"name": name, "ph": "C", "pid": PROCESS, "ts": micros(now), "args": {"bytes": bytes}})
}

fn named(kind: &str, row: usize, name: &str) -> Value {
    json!({"name": kind, "ph": "M", "pid": PROCESS, "tid": row, "args": {"name": name}})
}

fn of_stage(
    phase: &str,
    (job, stage): (u64, usize),
    operator: &str,
    now: Duration,
    args: Value,
) -> Value {
    let name = format!("stage {stage} ({operator})");
    spanning(phase, "stage", name, format!("{job}.{stage}"), now, args)
}

/// Returns the begin (`b`) or end (`e`) of an asynchronous span.
fn spanning(
    phase: &str,
    category: &str,
    name: String,
    id: String,
    now: Duration,
    args: Value,
) -> Value {
    json!({
        "name": name, "cat": category, "ph": phase, "id": id, "pid": PROCESS, "tid": 0, "ts": micros(now), "args": args,
    })
}

fn instant(name: String, now: Duration, args: Value) -> Value {
    json!({
        "name": name, "cat": "failure", "ph": "i", "s": "p", "pid": PROCESS, "tid": 0, "ts": micros(now), "args": args,
    })
}

fn outcome_args(outcome: &JobOutcome) -> Value {
    match outcome {
        JobOutcome::Completed => json!({"outcome": "completed"}),
        JobOutcome::Cancelled => json!({"outcome": "cancelled"}),
        JobOutcome::Failed { error, context } => {
            let place = context.as_ref().map(ToString::to_string);
            json!({"outcome": "failed", "error": error, "place": place})
        }
    }
}

fn row(runner: TaskRunner) -> usize {
    match runner {
        TaskRunner::Thread(number) => number,
        TaskRunner::Worker(number) => FIRST_WORKER + number,
    }
}

/// Times of a trace are microseconds, with decimals.
fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
