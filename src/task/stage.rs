//! A stage as the executors see it: partitions to be computed, and code that computes one.

use std::any::Any;
use std::sync::Arc;

use super::payload::Payload;
use super::{Flow, MapBlock, Resources, Task};
use crate::error::Result;
use crate::portable::{Loader, Portable, Saver};

/// Which partition a task computes.
pub struct Partition {
    /// Its number in the pipeline that is asked for it.
    pub(crate) index: usize,
    /// What a source of unknown length put into it when it was pulled.
    payload: Option<Box<dyn Payload>>,
    /// The sides of unions that it comes from, the outermost union last: each side's number, and the partition's there.
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

    /// The same with what was pulled for it.
    pub(crate) fn with(index: usize, payload: impl Portable + Send + 'static) -> Self {
        Self {
            payload: Some(Box::new(payload)),
            ..Self::at(index)
        }
    }

    /// The partition of a side of a union as the `index`-th of the union.
    pub(crate) fn of_side(mut self, side: usize, index: usize) -> Self {
        self.route.push((side, self.index));
        self.index = index;
        self
    }

    /// The side that [`of_side`](Self::of_side) was told last, and the partition as it was before; or the same again if
    /// no union has pulled it.
    pub(crate) fn into_side(mut self) -> Result<(usize, Self), Self> {
        let Some((side, index)) = self.route.pop() else {
            return Err(self);
        };
        self.index = index;
        Ok((side, self))
    }

    /// Its bytes, as [`from_bytes`](Self::from_bytes) reads them: none if there is nothing but its number.
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

    /// Whether it was pulled from a stream, which gives it once only.
    pub(crate) fn has_payload(&self) -> bool {
        self.payload.is_some() || !self.route.is_empty()
    }

    /// What was pulled for it, if it is a `T`.
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

/// Hands out partitions one by one, in order, until there are no more.
pub(crate) type PartitionStream<'a> = Box<dyn FnMut() -> Result<Option<Partition>> + Send + 'a>;

/// What a stage computes.
pub(crate) trait StageCode: Sync {
    /// How many partitions there are, where that is known before they are read.
    fn partitions(&self) -> Option<usize>;

    /// The partitions, where their number is not known.
    fn stream(&self) -> PartitionStream<'_>;

    /// How many neighbouring partitions are a turn, counted from the first one: a worker takes all of them, one after the
    /// other, or none. 1 where the number of partitions is not known.
    fn partitions_per_task(&self) -> usize {
        1
    }

    /// The state of one thread that runs tasks of this stage one after the other.
    fn worker<'s>(&'s self, resources: &'s Resources) -> Box<dyn StageWorker + 's>;

    /// Checks that each of so many partitions has been handed on once. Called when all of them have been computed in
    /// this process.
    ///
    /// # Errors
    ///
    /// If one is missing.
    fn check_whole(&self, _partitions: usize) -> Result<()> {
        Ok(())
    }

    /// Says all that it takes to run tasks of this stage in another process: see [`load_stage`](super::load_stage).
    ///
    /// # Errors
    ///
    /// If something of it cannot be sent.
    fn save(&self, to: &mut Saver) -> Result<()>;

    /// Takes a chunk of what a task of another process hands on to the action. Chunks come one by one, in the order of
    /// the partitions, and of one partition in theirs. Breaks off once no more are wanted.
    ///
    /// Those of a map stage hand on nothing.
    fn accept(&self, _task: &Task<'_>, _partition: usize, _chunk: &[u8]) -> Result<Flow> {
        unreachable!("a map stage leaves blocks")
    }
}

/// Runs tasks, one at a time, on one thread.
pub(crate) trait StageWorker {
    /// Computes one partition. The task may turn out to have failed although this returns `Ok`.
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()>;

    /// Keeps what the last call of [`run`](Self::run) has computed, of the partition with this number. Called only if
    /// that task has not failed.
    fn keep(&mut self, _partition: usize) {}

    /// Whether a task that failed has left no trace, so that it can be tried again.
    fn is_repeatable(&self) -> bool {
        false
    }

    /// Hands on what was kept. Called after each group of tasks that were taken together.
    fn end_batch(&mut self, _task: &Task<'_>) -> Result<()> {
        Ok(())
    }

    /// Called once, after this worker's last task.
    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// The map side of a shuffle.
pub(crate) trait MapStage: StageCode {
    /// What its tasks left behind, for the tasks of the next stage.
    fn into_outputs(self: Box<Self>, resources: &Resources) -> Result<Arc<dyn Any + Send + Sync>>;

    /// The same as plain data, for readers in other processes.
    fn into_blocks(self: Box<Self>, resources: &Resources) -> Result<Vec<MapBlock>>;
}
