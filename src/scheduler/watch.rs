//! Measures a stage for its summary.

use std::time::Instant;

use crate::events::StageSummary;
use crate::task::JobState;

/// Measures the time of a stage and the changes of the job's counters.
pub(super) struct Watch {
    start: Instant,
    written_bytes: u64,
}

impl Watch {
    /// Starts the clock and resets the counters of the stage.
    pub(super) fn start(job: &JobState) -> Self {
        job.progress().reset();
        Self {
            start: Instant::now(),
            written_bytes: job.resources().scratch.written_bytes(),
        }
    }

    pub(super) fn stop(
        &self,
        job: &JobState,
        stage: usize,
        operator: &'static str,
    ) -> StageSummary {
        let (progress, resources) = (job.progress(), job.resources());
        let (longest, total) = progress.task_times();
        let mean = total.as_secs_f64() / progress.tasks().max(1) as f64;
        StageSummary {
            stage,
            operator,
            tasks: progress.tasks(),
            input_bytes: progress.bytes(),
            shuffled_records: progress.shuffled_records(),
            filtered_records: progress.filtered_records(),
            shuffled_bytes: progress.shuffled_bytes(),
            spilled_bytes: resources.scratch.written_bytes() - self.written_bytes,
            peak_memory_bytes: resources.budget.peak_bytes(),
            skew: if mean > 0.0 {
                longest.as_secs_f64() / mean
            } else {
                1.0
            },
            elapsed: self.start.elapsed(),
        }
    }
}
