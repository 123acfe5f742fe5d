//! The stage of some tasks, for the context of their errors and for their events.

use super::results::Driver;
use super::spec::{Metrics, TaskSpec};
use crate::error::{Error, ErrorContext};
use crate::events::{self, Event, JobEvents, TaskRunner};
use crate::task::Site;

/// Number and call site of a stage, and the events of its job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StageSite<'a> {
    pub(crate) number: usize,
    pub(crate) site: Site,
    pub(crate) events: &'a JobEvents,
}

impl StageSite<'_> {
    /// Returns the context of an error of a task.
    pub(super) fn context(&self, task: &TaskSpec) -> ErrorContext {
        ErrorContext {
            stage: Some(self.number),
            partition: Some(task.first()).filter(|_| task.partitions.len() == 1),
            ..ErrorContext::from(self.site)
        }
    }

    /// Returns the event of a failed attempt.
    pub(super) fn failure(
        &self,
        task: &TaskSpec,
        error: &Error,
    ) -> impl FnOnce(u64) -> Event + use<> {
        let stage = self.number;
        let (partitions, attempt) = (Some(task.range()), task.attempt);
        let context = error.context().cloned();
        let context = context.unwrap_or_else(|| self.context(task));
        let error = events::message(error);
        move |job| Event::TaskFailed {
            job,
            stage,
            partitions,
            attempt,
            error,
            context,
        }
    }

    /// Sends the event that a task is done, and the event of the bytes that have been written.
    pub(super) fn send_done(&self, task: &TaskSpec, metrics: &Metrics, source: &dyn Driver) {
        self.events.send(|job| Event::TasksDone {
            job,
            stage: self.number,
            runner: TaskRunner::Worker(metrics.worker),
            partitions: task.range(),
            elapsed: metrics.time,
            input_bytes: metrics.input_bytes,
            shuffled_records: metrics.shuffled_records,
            shuffled_bytes: metrics.shuffled_bytes,
        });
        self.events
            .send_spilled(self.number, || source.take_written());
    }

    pub(super) fn send_worker_started(&self, worker: usize) {
        self.events.send(|job| Event::WorkerStarted {
            job,
            stage: self.number,
            worker,
        });
    }

    pub(super) fn send_worker_lost(&self, worker: usize, cause: &str) {
        self.events.send(|job| Event::WorkerLost {
            job,
            stage: self.number,
            worker,
            cause: cause.to_owned(),
        });
    }
}
