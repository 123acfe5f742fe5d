//! What the map tasks of a shuffle left, for each partition of the next stage: in memory as long as there is room, or
//! else in files.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::storage::memory::Reservation;
use crate::storage::run::{Run, RunFile};
use crate::task::Resources;

/// The place of a part among all: the task, and how often that had spilled before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order {
    task: usize,
    sequence: usize,
}

impl Order {
    pub(crate) fn of_task(task: usize) -> Self {
        Self { task, sequence: 0 }
    }

    pub(crate) fn next(self) -> Self {
        Self {
            task: self.task,
            sequence: self.sequence + 1,
        }
    }
}

/// Records of one map task for one partition, in memory.
pub(crate) trait InMemory: Send {
    fn is_empty(&self) -> bool;

    /// Writes them as the next run of `file`. They are gone then, but may keep memory for others.
    fn write(&mut self, file: &mut RunFile) -> Result<Run>;
}

/// What the map tasks left. `M` is what it is while in memory.
pub(crate) struct MapOutputs<M> {
    partitions: Vec<Mutex<Vec<Part<M>>>>,
    /// Held by who spills: what it has taken out is not free before it is written.
    is_spilling: Mutex<()>,
    /// How often each partition will be read.
    readers: usize,
}

/// What one map task left for one partition, or what it had spilled of that.
#[derive(Clone)]
struct Part<M> {
    order: Order,
    content: Content<M>,
}

#[derive(Clone)]
pub(crate) enum Content<M> {
    /// With its share in the reservation for what was handed over together.
    Memory(M, Arc<Reservation>),
    File(Run),
}

impl<M: InMemory> MapOutputs<M> {
    pub(crate) fn new(partitions: usize, readers: usize) -> Self {
        Self {
            partitions: (0..partitions).map(|_| Mutex::default()).collect(),
            is_spilling: Mutex::default(),
            readers,
        }
    }

    /// Takes over records, for each partition, that `reservation` is for.
    pub(crate) fn keep(&self, records: Vec<M>, order: Order, mut reservation: Reservation) {
        // There may be thousands of tasks, each with little.
        reservation.trim();
        let reservation = Arc::new(reservation);
        for (records, partition) in records.into_iter().zip(&self.partitions) {
            if !records.is_empty() {
                let content = Content::Memory(records, Arc::clone(&reservation));
                lock(partition).push(Part { order, content });
            }
        }
    }

    /// Writes records, for each partition, to a file, and says how long it is.
    pub(crate) fn write(
        &self,
        records: &mut [M],
        order: Order,
        resources: &Resources,
    ) -> Result<u64> {
        let mut file = RunFile::create(&resources.scratch, "shuffle")?;
        for (records, partition) in records.iter_mut().zip(&self.partitions) {
            if !records.is_empty() {
                let content = Content::File(records.write(&mut file)?);
                lock(partition).push(Part { order, content });
            }
        }
        Ok(file.bytes())
    }

    /// Writes what was taken over to a file, and frees its memory; or waits until another thread has.
    pub(crate) fn spill(&self, resources: &Resources) -> Result<()> {
        let _spilling = lock(&self.is_spilling);
        let mut file = None;
        for partition in &self.partitions {
            let is_in_memory = |part: &mut Part<M>| matches!(part.content, Content::Memory(..));
            let parts: Vec<_> = lock(partition).extract_if(.., is_in_memory).collect();
            for Part { order, content } in parts {
                let Content::Memory(mut records, _reservation) = content else {
                    continue;
                };
                let file = match &mut file {
                    Some(file) => file,
                    None => file.insert(RunFile::create(&resources.scratch, "shuffle")?),
                };
                let content = Content::File(records.write(file)?);
                lock(partition).push(Part { order, content });
            }
        }
        Ok(())
    }

    /// To be called once all map tasks are done, before the first partition is read.
    pub(crate) fn finish(&self, resources: &Resources) -> Result<()> {
        // What is in a file can be read as often as one likes.
        if self.readers > 1 {
            self.spill(resources)?;
        }
        Ok(())
    }

    /// What there is for a partition, in order. The only reader takes it away, so that its memory goes with it.
    pub(crate) fn open(&self, partition: usize) -> Vec<Content<M>> {
        let mut parts = lock(&self.partitions[partition]);
        parts.sort_by_key(|part| part.order);
        if self.readers > 1 {
            let files = parts.iter().filter_map(|part| match &part.content {
                Content::File(run) => Some(Content::File(run.clone())),
                Content::Memory(..) => None,
            });
            return files.collect();
        }
        std::mem::take(&mut *parts)
            .into_iter()
            .map(|part| part.content)
            .collect()
    }
}

/// Lists of parts are whole at any time, also if a `Serialize` of the program panics while one spills.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
