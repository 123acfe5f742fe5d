//! What an executor carries: a stage, a task of it, and what came of the task. Plain data, all of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::bytes;
use crate::task::{CounterUpdate, MapBlock, StoredPartition};

/// What a stage computes, and what its tasks need: to be brought once to each worker that is to run some of them.
///
/// It can go to other processes of this program on this machine, by serde. What a worker makes of it is
/// [`Worker::run`](super::Worker::run)'s business; an executor needs its [`id`](Self::id) at most.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stage {
    /// A number that no other stage has that this process sends. A stage that runs again has another one.
    pub id: u64,
    /// Its number in its job, as in [`explain`](crate::Bag::explain).
    pub number: usize,
    /// What its tasks run.
    #[serde(with = "bytes")]
    pub code: Vec<u8>,
    /// What earlier stages have left for it. The files that they name must be within reach of the workers.
    pub inputs: Vec<MapBlock>,
    /// The directory for files. It must be within reach of the workers, and is removed with the job.
    pub scratch: PathBuf,
    /// The directory that paths are relative to, if it is known: it may have been removed.
    pub directory: Option<PathBuf>,
    /// The memory that one worker may use for what grows with the data.
    pub memory_bytes: usize,
    /// The most bytes of files that there may be at a time.
    pub disk_quota_bytes: Option<u64>,
}

/// Some neighbouring partitions of a stage, to be computed by one worker, one after the other: as a whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskSpec {
    /// A number that no other task of the stage has. A task that is tried again has another one.
    pub id: u64,
    /// Which attempt at these partitions it is, from 1.
    pub attempt: usize,
    /// The numbers of the partitions, and what their source has put into them.
    pub partitions: Vec<PartitionSpec>,
}

/// A partition of a [`TaskSpec`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartitionSpec {
    /// Its number in its stage.
    pub index: usize,
    /// What a source that lives in this process has put into it; empty for most.
    #[serde(with = "bytes")]
    pub payload: Vec<u8>,
}

/// What a task has done: where it has put what the next stage needs, and what is to be counted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// What the next stage reads. Results of an action come in chunks instead.
    pub blocks: Vec<MapBlock>,
    /// How many chunks each partition of the task has given to the action, in the order of the task.
    pub(crate) chunks: Vec<usize>,
    /// Partitions of persisted bags.
    pub(crate) stored: Vec<StoredPartition>,
    /// What counters were told, by partition.
    pub(crate) counter_updates: Vec<CounterUpdate>,
    pub(crate) metrics: Metrics,
}

/// What the summary of a job wants to know of a task.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Metrics {
    pub(crate) input_bytes: u64,
    pub(crate) shuffled_records: u64,
    pub(crate) shuffled_bytes: u64,
    pub(crate) spilled_bytes: u64,
    pub(crate) peak_memory_bytes: usize,
    pub(crate) time: Duration,
}

impl Report {
    /// The files that it names.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let of_blocks = self.blocks.iter().filter_map(|block| block.file.as_ref());
        let parts = of_blocks.chain(self.stored.iter().map(|stored| &stored.part));
        parts.map(|part| &*part.path)
    }
}

impl TaskSpec {
    /// The number of its first partition.
    pub(super) fn first(&self) -> usize {
        self.partitions
            .first()
            .map_or(0, |partition| partition.index)
    }
}
