//! Progress of a job.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::lineage::Node;
use crate::plan;
use crate::task::Progress;

/// Progress of a job in the background. Returned by [`JobHandle::progress`](crate::JobHandle::progress).
///
/// `Display` prints one line: `count: stage 1/2 (map): 120/334 tasks`. serde can serialise the fields.
///
/// # Examples
///
/// ```
/// let handle = holdall::range(0..1000).map(|n| n % 7).start(|bag| bag.distinct().count())?;
/// println!("{}", handle.progress());
/// assert_eq!(handle.result()?, 7);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct JobProgress {
    /// Number of the job, as in its [events](crate::events). `None` before the first job of the handle begins.
    pub job: Option<u64>,
    /// Name of the action, which is a method of [`Bag`](crate::Bag). Empty before the first job begins.
    pub action: &'static str,
    /// Number of stages of the job, including that of the result.
    pub stages: usize,
    /// Number of stages that have ended.
    pub stages_done: usize,
    /// The stages that are running, in the order in which they began.
    pub running: Vec<StageProgress>,
    /// Time since the start of the job, or of the whole job once it has ended.
    pub elapsed: Duration,
}

/// Progress of a running stage. Part of [`JobProgress`]. Its counts never decrease.
///
/// # Examples
///
/// ```
/// let handle = holdall::range(0..1000).start(|bag| bag.count())?;
/// for stage in handle.progress().running {
///     assert!(stage.tasks.is_none_or(|tasks| stage.tasks_done <= tasks));
/// }
/// assert_eq!(handle.result()?, 1000);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StageProgress {
    /// Number of the stage, as in [`explain`](crate::Bag::explain).
    pub stage: usize,
    /// Last method of the stage.
    pub operator: &'static str,
    /// Number of tasks that are done.
    pub tasks_done: usize,
    /// Number of tasks, that is, of partitions, or `None` if it is unknown until the source has been read to its end.
    pub tasks: Option<usize>,
    /// Bytes read from input files so far, counted as stored on disk.
    pub input_bytes: u64,
    /// Size of the input files of the stage, if it is known.
    pub total_input_bytes: Option<u64>,
}

impl fmt::Display for JobProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.job.is_none() {
            return f.write_str("no job yet");
        }
        write!(f, "{}: ", self.action)?;
        if self.running.is_empty() {
            return write!(f, "{}/{} stages", self.stages_done, self.stages);
        }
        for (at, stage) in self.running.iter().enumerate() {
            let separator = if at > 0 { ", " } else { "" };
            let StageProgress {
                stage,
                operator,
                tasks_done,
                tasks,
                ..
            } = stage;
            write!(
                f,
                "{separator}stage {stage}/{} ({operator}): {tasks_done}",
                self.stages
            )?;
            match tasks {
                Some(tasks) => write!(f, "/{tasks} tasks")?,
                None => f.write_str(" tasks")?,
            }
        }
        Ok(())
    }
}

/// Follows the stages of one job.
pub(crate) struct JobMonitor {
    job: u64,
    action: &'static str,
    stages: usize,
    start: Instant,
    /// Counts of the last stage, which has those of the others.
    progress: Arc<Progress>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Vec<(usize, Arc<Node>)>,
    done: usize,
    elapsed: Option<Duration>,
}

impl JobMonitor {
    pub(crate) fn new(
        job: u64,
        action: &'static str,
        stages: usize,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            job,
            action,
            stages,
            start: Instant::now(),
            progress,
            state: Mutex::default(),
        }
    }

    /// Returns the time at which the job started.
    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// Records that the stage of `node` begins.
    pub(crate) fn begin_stage(&self, stage: usize, node: &Arc<Node>) {
        self.lock().running.push((stage, Arc::clone(node)));
    }

    /// Records that a stage has ended.
    pub(crate) fn end_stage(&self, stage: usize) {
        let mut state = self.lock();
        let position = state
            .running
            .iter()
            .position(|(number, _)| *number == stage);
        let ended = position.map(|position| state.running.remove(position));
        state.done += 1;
        drop(state);
        drop(ended);
    }

    /// Records that the job has ended.
    pub(crate) fn end(&self) {
        self.lock().elapsed = Some(self.start.elapsed());
    }

    /// Returns the number of the first stage that is running.
    pub(crate) fn stage(&self) -> Option<usize> {
        self.lock().running.first().map(|(stage, _)| *stage)
    }

    pub(crate) fn progress(&self) -> JobProgress {
        let state = self.lock();
        let (running, done, elapsed) = (state.running.clone(), state.done, state.elapsed);
        drop(state);
        let running = running.iter().map(|(stage, node)| {
            let progress = self.progress.stage(*stage);
            StageProgress {
                stage: *stage,
                operator: node.site.operator,
                tasks_done: progress.tasks(),
                tasks: node.partitions,
                input_bytes: progress.bytes(),
                total_input_bytes: plan::input_bytes(node),
            }
        });
        JobProgress {
            job: Some(self.job),
            action: self.action,
            stages: self.stages,
            stages_done: done.min(self.stages),
            running: running.collect(),
            elapsed: elapsed.unwrap_or_else(|| self.start.elapsed()),
        }
    }

    /// A panic while the lock is held leaves the state consistent.
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_printed_in_one_line() {
        let mut progress = JobProgress::default();
        assert_eq!(progress.to_string(), "no job yet");
        progress.job = Some(7);
        progress.action = "count";
        progress.stages = 2;
        assert_eq!(progress.to_string(), "count: 0/2 stages");
        let stage = StageProgress {
            stage: 1,
            operator: "map",
            tasks_done: 120,
            tasks: Some(334),
            input_bytes: 0,
            total_input_bytes: None,
        };
        let pulled = StageProgress {
            stage: 2,
            tasks: None,
            ..stage.clone()
        };
        progress.running = vec![stage, pulled];
        let text = "count: stage 1/2 (map): 120/334 tasks, stage 2/2 (map): 120 tasks";
        assert_eq!(progress.to_string(), text);
    }
}
