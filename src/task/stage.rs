//! A stage from the executor's side: partitions to be computed, and code that computes one.

use std::any::Any;
use std::sync::Arc;

use super::payload::Payload;
use super::{Flow, MapBlock, Resources, Task};
use crate::error::Result;
use crate::portable::{Loader, Portable, Saver};

/// The partition that a task computes.
pub struct Partition {
    /// Number of the partition in the current pipeline.
    pub(crate) index: usize,
    /// Data that a source of unknown length attached when it was pulled.
    payload: Option<Box<dyn Payload>>,
    /// The sides of unions that it belongs to, the outermost union last: number of the side, and of the partition in
    /// the side.
    route: Vec<(usize, usize)>,
}

impl Partition {
    pub(crate) fn at(index: usize) -> Self {
        Self {
            index,
            payload: None,
            route: Vec::new(),
        }
    }

    /// Creates a partition with the data that was pulled for it.
    pub(crate) fn with(index: usize, payload: impl Portable + Send + 'static) -> Self {
        Self {
            payload: Some(Box::new(payload)),
            ..Self::at(index)
        }
    }

    /// Turns a partition of a union's side into partition `index` of the union.
    pub(crate) fn of_side(mut self, side: usize, index: usize) -> Self {
        self.route.push((side, self.index));
        self.index = index;
        self
    }

    /// Reverses the last [`of_side`](Self::of_side): returns the side, and the partition of that side. Returns
    /// `Err(self)` if no union has pulled the partition.
    pub(crate) fn into_side(mut self) -> Result<(usize, Self), Self> {
        let Some((side, index)) = self.route.pop() else {
            return Err(self);
        };
        self.index = index;
        Ok((side, self))
    }

    /// Encodes it for [`from_bytes`](Self::from_bytes). Returns no bytes if it has nothing but its number.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        if !self.has_payload() {
            return Ok(Vec::new());
        }
        Saver::write(|to| Portable::save(self, to))
    }

    pub(crate) fn from_bytes(index: usize, bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Ok(Self::at(index));
        }
        Loader::read(bytes, Self::load)
    }

    /// Returns whether it was pulled from a stream, which returns each partition only once.
    pub(crate) fn has_payload(&self) -> bool {
        self.payload.is_some() || !self.route.is_empty()
    }

    /// Returns the data that was pulled for it, if that is a `T`, and leaves it there.
    pub(crate) fn payload<T: 'static>(&self) -> Option<&T> {
        (**self.payload.as_ref()?).as_any().downcast_ref()
    }

    /// Returns the data that was pulled for it, if that is a `T`.
    pub(crate) fn into_payload<T: 'static>(self) -> Option<T> {
        let payload = self.payload?.into_any().downcast().ok()?;
        Some(*payload)
    }
}

impl Portable for Partition {
    fn save(&self, to: &mut Saver) -> Result<()> {
        to.data(&(self.index, self.payload.is_some(), &self.route))?;
        self.payload
            .as_ref()
            .map_or(Ok(()), |payload| (**payload).save(to))
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        let (index, has_payload, route) = from.data()?;
        let payload = if has_payload {
            Some(from.entry()?)
        } else {
            None
        };
        Ok(Self {
            index,
            payload,
            route,
        })
    }
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Partition").field(&self.index).finish()
    }
}

/// Returns partitions one by one, in order, until none are left.
pub(crate) type PartitionStream<'a> = Box<dyn FnMut() -> Result<Option<Partition>> + Send + 'a>;

/// The computation of a stage.
pub(crate) trait StageCode: Sync {
    /// Number of partitions, if it is known before they are read.
    fn partitions(&self) -> Option<usize>;

    /// Returns the partitions, if their number is unknown.
    fn stream(&self) -> PartitionStream<'_>;

    /// Number of neighbouring partitions in a combine group, counted from the first. A worker takes all partitions of a
    /// group, one after the other, or none of them. 1 if the number of partitions is unknown.
    fn partitions_per_task(&self) -> usize {
        1
    }

    /// Creates the state of one thread that runs tasks of this stage.
    fn worker<'s>(&'s self, resources: &'s Resources) -> Box<dyn StageWorker + 's>;

    /// Checks that each of `_partitions` partitions has been emitted once. Called when all of them have been computed
    /// in this process.
    ///
    /// # Errors
    ///
    /// Returns an error if one is missing.
    fn check_whole(&self, _partitions: usize) -> Result<()> {
        Ok(())
    }

    /// Writes everything that another process needs to run tasks of this stage; see [`load_stage`](super::load_stage).
    ///
    /// # Errors
    ///
    /// Returns an error if a part cannot be sent.
    fn save(&self, to: &mut Saver) -> Result<()>;

    /// Takes a chunk of the result that a task of another process sends to the action. Chunks arrive one by one, in
    /// order of partition, and in order within each partition. Breaks once no more are needed.
    ///
    /// Map stages send no chunks.
    fn accept(&self, _task: &Task<'_>, _partition: usize, _chunk: &[u8]) -> Result<Flow> {
        unreachable!("a map stage leaves blocks")
    }

    /// Called after the last chunk, if those of all `_partitions` partitions have arrived.
    fn end_chunks(&self, _task: &Task<'_>, _partitions: usize) {}
}

/// Runs tasks, one at a time, on one thread.
pub(crate) trait StageWorker {
    /// Computes one partition. The task may have failed even if this returns `Ok`.
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()>;

    /// Keeps the result of the last call to [`run`](Self::run), for the partition with this number. Called only if that
    /// task has not failed.
    fn keep(&mut self, _partition: usize) {}

    /// Returns whether a failed task leaves no trace, so that it can be retried.
    fn is_repeatable(&self) -> bool {
        false
    }

    /// Emits the results that were kept. Called after each batch of tasks that were claimed together.
    fn end_batch(&mut self, _task: &Task<'_>) -> Result<()> {
        Ok(())
    }

    /// Called once, after this worker's last task.
    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// The map side of a shuffle.
pub(crate) trait MapStage: StageCode + Send {
    /// Returns the output of its tasks, for the tasks of the next stage.
    fn into_outputs(self: Box<Self>, resources: &Resources) -> Result<Arc<dyn Any + Send + Sync>>;

    /// Returns the output as plain data, for readers in other processes.
    fn into_blocks(self: Box<Self>, resources: &Resources) -> Result<Vec<MapBlock>>;
}
