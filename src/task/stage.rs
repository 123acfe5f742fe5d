//! A stage as the executors see it: partitions to be computed, and code that computes one.

use std::any::Any;
use std::sync::Arc;

use super::{Resources, Task};
use crate::error::Result;

/// Which partition a task computes.
pub struct Partition {
    /// Its number in the pipeline that is asked for it.
    pub(crate) index: usize,
    /// What a source of unknown length put into it when it was pulled.
    pub(crate) payload: Option<Box<dyn Any + Send>>,
}

impl Partition {
    pub(crate) fn at(index: usize) -> Self {
        Self {
            index,
            payload: None,
        }
    }
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Partition").field(&self.index).finish()
    }
}

/// Hands out partitions one by one, in order, until there are no more.
pub(crate) type PartitionStream<'a> = Box<dyn FnMut() -> Result<Option<Partition>> + Send + 'a>;

/// What a stage computes.
pub(crate) trait StageCode: Sync {
    /// How many partitions there are, where that is known before they are read.
    fn partitions(&self) -> Option<usize>;

    /// The partitions, where their number is not known.
    fn stream(&self) -> PartitionStream<'_>;

    /// The state of one thread that runs tasks of this stage one after the other.
    fn worker<'s>(&'s self, resources: &'s Resources) -> Box<dyn Worker + 's>;
}

/// Runs tasks, one at a time, on one thread.
pub(crate) trait Worker {
    /// Computes one partition.
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()>;

    /// Whether a task that failed has left no trace, so that it can be tried again.
    fn is_repeatable(&self) -> bool {
        false
    }

    /// Called after each group of tasks that were taken together.
    fn settle(&mut self, _task: &Task<'_>) {}

    /// Called once, after this worker's last task.
    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// The map side of a shuffle.
pub(crate) trait MapStage: StageCode {
    /// What its tasks left behind, for the tasks of the next stage.
    fn into_outputs(self: Box<Self>, resources: &Resources) -> Result<Arc<dyn Any + Send + Sync>>;
}
