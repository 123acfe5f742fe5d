//! Measures a stage for its events and its summary.

use std::sync::Arc;
use std::time::Instant;

use super::Job;
use crate::events::{Event, StageSummary};
use crate::lineage::Node;
use crate::plan;
use crate::task::Resources;

/// Measures the time of a stage, and has its counters.
pub(super) struct Watch {
    stage: usize,
    operator: &'static str,
    start: Instant,
    /// The resources of its tasks. Their counters belong to this stage alone.
    pub(super) resources: Resources,
}

impl Watch {
    fn summary(&self) -> StageSummary {
        let Resources {
            progress, scratch, ..
        } = &self.resources;
        let (longest, total) = progress.task_times();
        let mean = total.as_secs_f64() / progress.tasks().max(1) as f64;
        StageSummary {
            stage: self.stage,
            operator: self.operator,
            tasks: progress.tasks(),
            input_bytes: progress.bytes(),
            shuffled_records: progress.shuffled_records(),
            filtered_records: progress.filtered_records(),
            shuffled_bytes: progress.shuffled_bytes(),
            spilled_bytes: scratch.written_bytes(),
            peak_memory_bytes: self.resources.budget.peak_bytes(),
            skew: if mean > 0.0 {
                longest.as_secs_f64() / mean
            } else {
                1.0
            },
            elapsed: self.start.elapsed(),
            notes: progress.notes(),
        }
    }
}

impl Job {
    /// Sends the event that a stage starts, and starts its clock.
    pub(super) fn start_stage(
        &self,
        stage: usize,
        node: &Arc<Node>,
        tasks: Option<usize>,
        resources: Resources,
    ) -> Watch {
        let operator = node.site.operator;
        self.monitor.begin_stage(stage, node);
        let start = Instant::now();
        if let Some(end) = &mut *self.lock_end() {
            end.start.get_or_insert(start);
        }
        self.events.send(|job| Event::StageStarted {
            job,
            stage,
            operator,
            tasks,
            input_bytes: plan::input_bytes(node),
        });
        Watch {
            stage,
            operator,
            start,
            resources,
        }
    }

    /// Sends the event that a stage has ended, and adds the stage to the summary.
    pub(super) fn end_stage(&self, watch: &Watch) {
        self.monitor.end_stage(watch.stage);
        let summary = watch.summary();
        let scratch = &watch.resources.scratch;
        self.events
            .send_spilled(watch.stage, || scratch.take_written());
        self.events.send(|job| Event::StageDone {
            job,
            summary: summary.clone(),
        });
        if let Some(end) = &mut *self.lock_end() {
            end.summary.elapsed = end.start.map_or(summary.elapsed, |start| start.elapsed());
            let stages = &mut end.summary.stages;
            let at = stages.partition_point(|before| before.stage < summary.stage);
            stages.insert(at, summary);
        }
    }
}
