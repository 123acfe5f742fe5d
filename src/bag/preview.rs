//! `preview`: the time and size of a job, from a sample of its partitions.

use std::fmt;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::time::Duration;

use serde::Serialize;

use super::Bag;
use crate::error::{Result, format_bytes};
use crate::operators::actions::Fold;
use crate::pipeline::{Data, Pipeline, Plain, Record};
use crate::scheduler::{ResultStage, StageSample};
use crate::storage::codec;
use crate::task::Site;

/// The estimated time and size of a job. Returned by [`Bag::preview`].
///
/// `Display` prints a line for each stage and one for the job. serde can serialise the fields.
///
/// # Examples
///
/// ```
/// let numbers = holdall::range_partitioned(0..1_000_000, 100).map(|n| (n % 10, n));
/// let preview = numbers.sum_by_key().preview(4)?;
/// println!("{preview}");
/// let first = preview.stages[0].estimate.as_ref().unwrap();
/// assert_eq!(first.shuffled_records, 1_000_000);
/// assert!(preview.stages[1].estimate.is_none()); // it reads the shuffle
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Preview {
    /// The stages of the job, in the order of [`explain`](Bag::explain).
    pub stages: Vec<StagePreview>,
}

/// The estimated time and size of a stage. Part of [`Preview`], which has an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StagePreview {
    /// Number of the stage, as in [`explain`](Bag::explain).
    pub stage: usize,
    /// Last method of the stage.
    pub operator: &'static str,
    /// Number of tasks, that is, of partitions, or `None` if it is unknown until the source has been read to its end.
    pub tasks: Option<usize>,
    /// Number of tasks that were run for the estimate.
    pub sampled_tasks: usize,
    /// The estimate for all tasks, or `None` if no task was run.
    pub estimate: Option<StageEstimate>,
}

/// The estimated totals of a stage. Part of [`StagePreview`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StageEstimate {
    /// Time, if all threads or workers of the context run tasks of this stage.
    pub elapsed: Duration,
    /// Bytes read from input files, counted as stored on disk.
    pub input_bytes: u64,
    /// Number of records that the stage passes to the shuffle at its end.
    pub shuffled_records: u64,
    /// Size of the map output, in bytes.
    pub shuffled_bytes: u64,
    /// Number of records of the bag. 0 for a stage that ends with a shuffle.
    pub records: u64,
    /// Size of these records if they are serialised, in bytes. Records that cannot be serialised count as empty.
    pub record_bytes: u64,
}

impl Preview {
    /// Returns the sum of the estimated times of all stages. If a stage has no estimate, the job takes longer.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        let estimates = self
            .stages
            .iter()
            .filter_map(|stage| stage.estimate.as_ref());
        estimates.map(|estimate| estimate.elapsed).sum()
    }

    /// Returns whether all stages have an estimate.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.stages.iter().all(|stage| stage.estimate.is_some())
    }
}

impl fmt::Display for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stage in &self.stages {
            writeln!(f, "{stage}")?;
        }
        let at_least = if self.is_whole() { "" } else { "more than " };
        write!(f, "total: {at_least}{:.2} s", self.elapsed().as_secs_f64())
    }
}

impl fmt::Display for StagePreview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stage {} ({}): ", self.stage, self.operator)?;
        let Some(estimate) = &self.estimate else {
            return f.write_str("no estimate");
        };
        let tasks = self.tasks.unwrap_or(self.sampled_tasks);
        write!(
            f,
            "about {:.2} s, from {} of {tasks} tasks; reads {}",
            estimate.elapsed.as_secs_f64(),
            self.sampled_tasks,
            format_bytes(estimate.input_bytes)
        )?;
        let (what, records, bytes) = match estimate.shuffled_records {
            0 => ("returns", estimate.records, estimate.record_bytes),
            shuffled => ("shuffles", shuffled, estimate.shuffled_bytes),
        };
        write!(f, "; {what} {records} records, {}", format_bytes(bytes))
    }
}

impl<T: Record<Owned: Data> + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Estimates the time and size of the job that computes this bag, from up to `tasks` tasks of each stage that reads
    /// only sources. Runs a job, with only these tasks.
    ///
    /// The sampled partitions are spread evenly over the bag. The totals are their counts, multiplied by the ratio of all
    /// input bytes to theirs, or of all tasks to theirs if the size of the input is unknown. So an estimate is close if
    /// partitions are similar. The sizes are the same for each run and executor; the times are not, and in a stage of few
    /// records they mostly measure the start of threads or workers.
    ///
    /// A stage that reads a shuffle needs the whole output of stages before, so it is not run and has no estimate; the
    /// size of its input is that of the shuffles. The same applies to a stage whose number of partitions is unknown, as
    /// with [`from_iter`](crate::from_iter), and to one that reads the counts or samples of another, as with
    /// [`zip_with_index`](Bag::zip_with_index).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect), for the sampled partitions. If a task fails on threads, the
    /// error numbers the sampled partitions from 0.
    ///
    /// # Panics
    ///
    /// Panics if `tasks` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("text");
    /// # std::fs::write(&path, "a line\n".repeat(1000)).unwrap();
    /// let preview = holdall::read_text(&path)?.words().map(str::len).preview(3)?;
    /// println!("{preview}"); // stage 1 (map): about 0.10 s, from 3 of 64 tasks; reads 6.8 KiB; returns 2000 records, …
    /// let estimate = preview.stages[0].estimate.as_ref().unwrap();
    /// assert_eq!((estimate.records, estimate.input_bytes), (2000, 7000));
    /// assert!(preview.is_whole());
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn preview(&self, tasks: usize) -> Result<Preview> {
        assert!(tasks > 0, "an estimate needs a task");
        let site = Site::new("preview");
        let types = PhantomData;
        let make = Plain(|| (0_u64, 0_u64));
        let add = Plain(|(records, bytes): (u64, u64), record: T::Ref<'_>| {
            let mut encoded = Vec::new();
            let is_encoded = codec::encode_into(&T::into_owned(record), &mut encoded).is_ok();
            let size = if is_encoded { encoded.len() } else { 0 };
            (records + 1, bytes + size as u64)
        });
        let fold = Fold {
            site,
            make,
            add,
            types,
        };
        let job = self.context.job(&self.node, site)?;
        let mut returned = (0, 0);
        let stage = ResultStage::new(&*self.pipeline, &fold, |_, (records, bytes)| {
            returned = (returned.0 + records, returned.1 + bytes);
            ControlFlow::Continue(())
        });
        let samples = job.preview(&stage, tasks)?;
        drop(stage);
        let threads = job.threads();
        let last = samples.len();
        let stages = samples.iter().map(|sample| {
            let is_last = sample.stage == last;
            estimate(sample, threads, if is_last { returned } else { (0, 0) })
        });
        Ok(Preview {
            stages: stages.collect(),
        })
    }
}

/// Extrapolates from the sampled tasks of a stage, which have returned these records and bytes, to all tasks.
fn estimate(sample: &StageSample, threads: usize, (records, bytes): (u64, u64)) -> StagePreview {
    let estimate = sample
        .tasks
        .filter(|_| sample.sampled_tasks > 0)
        .map(|tasks| {
            let by_tasks = tasks as f64 / sample.sampled_tasks as f64;
            let by_bytes = sample.total_input_bytes.filter(|_| sample.input_bytes > 0);
            let ratio = by_bytes.map_or(by_tasks, |total| total as f64 / sample.input_bytes as f64);
            let scaled = |count: u64| (count as f64 * ratio).round() as u64;
            let at_once = threads.min(tasks).max(1) as f64;
            StageEstimate {
                elapsed: sample.task_time.mul_f64(ratio / at_once),
                input_bytes: scaled(sample.input_bytes),
                shuffled_records: scaled(sample.shuffled_records),
                shuffled_bytes: scaled(sample.shuffled_bytes),
                records: scaled(records),
                record_bytes: scaled(bytes),
            }
        });
    StagePreview {
        stage: sample.stage,
        operator: sample.operator,
        tasks: sample.tasks,
        sampled_tasks: sample.sampled_tasks,
        estimate,
    }
}
