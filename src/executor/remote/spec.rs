//! The plain data that an executor transports: stages, tasks, and reports of tasks.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::files::ShuffleDirectory;
use crate::storage::bytes;
use crate::task::{CounterUpdate, MapOutput, StoredPartition};

/// The code and data that all tasks of a stage share. Each worker that runs some of the tasks needs it once.
///
/// Serde can send it to other processes of this program on this machine. Only [`Worker::run`](super::Worker::run)
/// interprets it; an executor needs at most its [`id`](Self::id).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stage {
    /// A number that is unique among the stages that this process sends. A stage that runs again has a new one.
    pub id: u64,
    /// Number of the job, as in its [events](crate::events). Stages of one job may run at the same time.
    pub job: u64,
    /// Number of the stage in its job, as in [`explain`](crate::Bag::explain).
    pub number: usize,
    /// The code that its tasks run.
    #[serde(with = "bytes")]
    pub code: Vec<u8>,
    /// Output of earlier stages that it reads. Workers must be able to access its files.
    pub inputs: Vec<MapOutput>,
    /// The directory for files. Workers must be able to access it. It is removed with the job.
    pub scratch: PathBuf,
    /// The directory for map outputs, if they do not stay at the [homes](crate::executor::Home) of the workers.
    pub shuffle: Option<ShuffleDirectory>,
    /// The working directory, to which paths are relative, or `None` if it is unknown: it may have been removed.
    pub directory: Option<PathBuf>,
    /// Memory that one worker may use for data that grows with the input, in bytes.
    pub memory_bytes: usize,
    /// Maximum size of all files at any time, in bytes.
    pub disk_quota_bytes: Option<u64>,
}

/// Neighbouring partitions of a stage that one worker computes, one after the other. A task succeeds or fails as a
/// whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskSpec {
    /// A number that is unique among the tasks of the stage. A task that is retried has a new one.
    pub id: u64,
    /// Number of this attempt at the partitions, from 1.
    pub attempt: usize,
    /// The partitions, in ascending order.
    pub partitions: Vec<PartitionSpec>,
}

/// A partition of a [`TaskSpec`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartitionSpec {
    /// Number of the partition in its stage.
    pub index: usize,
    /// Data from a source that lives in this process; empty for most sources.
    #[serde(with = "bytes")]
    pub payload: Vec<u8>,
}

/// The result of a task: the location of its output for the next stage, and its metrics.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// Output for the next stage. Results of an action are sent in chunks instead.
    pub outputs: Vec<MapOutput>,
    /// Number of chunks that each partition has sent to the action, in the order of the task's partitions.
    pub(crate) chunks: Vec<usize>,
    /// Partitions of persisted bags.
    pub(crate) stored: Vec<StoredPartition>,
    /// Counter updates, by partition.
    pub(crate) counter_updates: Vec<CounterUpdate>,
    pub(crate) metrics: Metrics,
}

/// Metrics of a task for the summary of the job.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Metrics {
    /// Number of the worker.
    pub(crate) worker: usize,
    pub(crate) input_bytes: u64,
    pub(crate) shuffled_records: u64,
    pub(crate) shuffled_bytes: u64,
    /// Number of records that a join filter has dropped.
    pub(crate) filtered_records: u64,
    pub(crate) spilled_bytes: u64,
    pub(crate) peak_memory_bytes: usize,
    pub(crate) time: Duration,
}

impl Report {
    /// Returns the files that the report names.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let of_outputs = self
            .outputs
            .iter()
            .filter_map(|output| output.file.as_deref());
        of_outputs.chain(self.stored.iter().map(|stored| &*stored.part.path))
    }
}

impl TaskSpec {
    /// Returns the range of its partitions, which are neighbours.
    pub(super) fn range(&self) -> Range<usize> {
        self.first()..self.first() + self.partitions.len()
    }

    /// Returns the number of its first partition.
    pub(super) fn first(&self) -> usize {
        self.partitions
            .first()
            .map_or(0, |partition| partition.index)
    }
}
