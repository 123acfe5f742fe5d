//! Runs a job whose only stage is the work of another engine.

use std::time::Duration;

use super::Job;
use crate::error::{Result, caught};
use crate::events::{Event, TaskRunner};

impl Job {
    /// Runs `work` on this thread, whatever the executor is.
    pub(crate) fn run_engine<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        let (number, node) = (self.plan.stages(), &self.plan.result);
        let resources = self.state.resources().clone();
        let watch = self.start_stage(number, node, node.partitions, resources);
        let ran = caught(None, work);
        // The first error counts.
        let result = self.state.outcome().and(ran);
        self.end_stage(&watch);
        self.set_outcome(&result, true);
        result
    }

    /// Counts a task of the engine that has taken `elapsed`, and sends the events of it.
    pub(crate) fn end_engine_task(&self, elapsed: Duration, input_bytes: u64) {
        let (stage, progress) = (self.plan.stages(), self.state.progress());
        let number = progress.tasks();
        progress.add_tasks(1, elapsed);
        self.events.send(|job| Event::TasksDone {
            job,
            stage,
            runner: TaskRunner::this_thread(),
            partitions: number..number + 1,
            elapsed,
            input_bytes,
            shuffled_records: 0,
            shuffled_bytes: 0,
        });
        let scratch = &self.state.resources().scratch;
        self.events.send_spilled(stage, || scratch.take_written());
    }
}
