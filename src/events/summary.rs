//! Statistics of a job.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::error::format_bytes;

/// Statistics of one job. Returned by [`Context::last_job`](crate::Context::last_job).
///
/// `Display` prints one line per stage, and one for the job. serde can serialise the fields, for example as JSON.
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
/// assert!(text.lines().last().unwrap().starts_with("total: "));
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct JobSummary {
    /// Number of the job, as in its [events](crate::events).
    pub job: u64,
    /// Stages that ran, in the order of the plan, including those that failed.
    pub stages: Vec<StageSummary>,
    /// Time from the start of the first stage to the end of the last. Less than the sum of the stages' times if some of
    /// them ran at the same time.
    pub elapsed: Duration,
}

/// Statistics of one stage of a job. `Display` prints one line.
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
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StageSummary {
    /// Number of the stage, as in [`explain`](crate::Bag::explain).
    pub stage: usize,
    /// Last method of the stage.
    pub operator: &'static str,
    /// Number of tasks, that is, of partitions that the stage computed.
    pub tasks: usize,
    /// Bytes read from input files, counted as stored on disk.
    pub input_bytes: u64,
    /// Number of records that the stage passed to the shuffle at its end. Varies between runs if a join filter applies;
    /// see [`filtered_records`](Self::filtered_records).
    pub shuffled_records: u64,
    /// Number of records that the join filter dropped because the other side does not have their key. The filter is
    /// approximate, and tasks that begin before it is complete do not use it. So this number may vary between runs; the
    /// result of the join does not.
    pub filtered_records: u64,
    /// Size of the map output of this stage, in memory and in files, in bytes. Varies with
    /// [`shuffled_records`](Self::shuffled_records).
    pub shuffled_bytes: u64,
    /// Bytes written to the spill directory, counted after any compression.
    pub spilled_bytes: u64,
    /// Highest use of the memory budget so far, by all jobs of the context, in bytes.
    pub peak_memory_bytes: usize,
    /// Time of the slowest task divided by the mean.
    pub skew: f64,
    /// Time from the start to the end of the stage.
    pub elapsed: Duration,
    /// Notes on the input, such as a large compressed file that one thread had to decode, and why.
    pub notes: Vec<String>,
}

impl fmt::Display for JobSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stage in &self.stages {
            writeln!(f, "{stage}")?;
        }
        write!(f, "total: {:.2} s", self.elapsed.as_secs_f64())
    }
}

impl fmt::Display for StageSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dropped = match self.filtered_records {
            0 => String::new(),
            dropped => format!(" ({dropped} records dropped by the join filter)"),
        };
        write!(
            f,
            "stage {} ({}): {} tasks, {:.2} s (slowest task {:.1}x the mean); read {}; \
             shuffled {} records, {}{dropped}; spilled {}; peak memory {}",
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
        )?;
        self.notes.iter().try_for_each(|note| write!(f, "; {note}"))
    }
}
