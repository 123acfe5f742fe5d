//! What a job did, in numbers.

use std::fmt;
use std::time::{Duration, Instant};

use crate::storage::size::format_bytes;
use crate::task::JobState;

/// What one job did. Given by [`Context::last_job`](crate::Context::last_job).
///
/// `Display` writes a line for each stage, and one for the job.
///
/// # Examples
///
/// ```
/// use holdall::Context;
///
/// let context = Context::builder().threads(1).build()?;
/// context.range(0..100).map(|n| n % 7).distinct().count()?;
/// let summary = context.last_job().unwrap();
/// assert_eq!(summary.stages.len(), 2);
/// let text = summary.to_string();
/// assert!(text.starts_with("stage 1 (map): 64 tasks, "));
/// assert!(text.lines().last().unwrap().starts_with("in all "));
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct JobSummary {
    /// The stages that ran, in their order.
    pub stages: Vec<StageSummary>,
    /// From the start of the first stage to the end of the last.
    pub elapsed: Duration,
}

/// What one stage of a job did. `Display` writes a line.
///
/// # Examples
///
/// ```
/// use holdall::Context;
///
/// let context = Context::builder().build()?;
/// context.range(0..1000).map(|n| (n % 10, n)).sum_by_key().count()?;
/// let summary = context.last_job().unwrap();
/// let sums = &summary.stages[1];
/// assert_eq!((sums.stage, sums.operator, sums.tasks), (2, "sum_by_key", 64));
/// assert_eq!(summary.stages[0].shuffled_records, 1000);
/// assert_eq!(summary.stages[0].spilled_bytes, 0); // it fits into memory
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StageSummary {
    /// Its number, as in [`explain`](crate::Bag::explain).
    pub stage: usize,
    /// Its last method.
    pub operator: &'static str,
    /// How many partitions it computed.
    pub tasks: usize,
    /// What its sources read of files, in bytes as they are on the disk.
    pub input_bytes: u64,
    /// How many records went into the shuffle at its end.
    pub shuffled_records: u64,
    /// How many records did not, since the other side of a join has not got their key. How many of them are found is
    /// a matter of memory and of luck; what comes out of the join is not.
    pub dropped_records: u64,
    /// What came out on the map side of the shuffle at its end, in bytes of memory and of files.
    pub shuffled_bytes: u64,
    /// What was written to the spill directory, in bytes as they are there: compressed where that paid.
    pub spilled_bytes: u64,
    /// The most of the memory budget that has been in use so far, in bytes, by all jobs of the context.
    pub peak_memory_bytes: usize,
    /// How many times longer its longest task took than the mean of all.
    pub skew: f64,
    /// From its start to its end.
    pub elapsed: Duration,
}

impl fmt::Display for JobSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stage in &self.stages {
            writeln!(f, "{stage}")?;
        }
        write!(f, "in all {:.2} s", self.elapsed.as_secs_f64())
    }
}

impl fmt::Display for StageSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dropped = match self.dropped_records {
            0 => String::new(),
            dropped => format!(" (and not {dropped} of no use)"),
        };
        write!(
            f,
            "stage {} ({}): {} tasks, {:.2} s, longest task {:.1} times the mean; read {}; \
             shuffled {} records{dropped}, {}; spilled {}; peak memory {}",
            self.stage,
            self.operator,
            self.tasks,
            self.elapsed.as_secs_f64(),
            self.skew,
            format_bytes(self.input_bytes),
            self.shuffled_records,
            format_bytes(self.shuffled_bytes),
            format_bytes(self.spilled_bytes),
            format_bytes(self.peak_memory_bytes as u64),
        )
    }
}

/// Takes the time of a stage and reads the job's counters, before and after.
pub(super) struct Watch {
    start: Instant,
    spilled_bytes: u64,
}

impl Watch {
    /// Starts, and sets the counters of the stage to nothing.
    pub(super) fn start(job: &JobState) -> Self {
        job.progress().reset();
        Self {
            start: Instant::now(),
            spilled_bytes: job.resources().scratch.written_bytes(),
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
            dropped_records: progress.dropped_records(),
            shuffled_bytes: progress.shuffled_bytes(),
            spilled_bytes: resources.scratch.written_bytes() - self.spilled_bytes,
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
