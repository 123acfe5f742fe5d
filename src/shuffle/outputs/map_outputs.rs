//! Map output of a shuffle, for each partition of the next stage. It is in memory while there is capacity, otherwise in
//! files.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::id::ShuffleId;
use crate::storage::codec;
use crate::storage::memory::Reservation;
use crate::storage::run::{Run, RunFile};
use crate::task::{FilePart, Files, MapBlock, Outputs, Resources, StopFlag};

/// PartSeq of a part among all parts of a partition: its task, and the number of earlier spills of that task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct PartSeq {
    task: usize,
    sequence: usize,
}

impl PartSeq {
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

    /// Writes the records as the next run of `file`. This removes them, but may keep their memory for reuse.
    fn write(&mut self, file: &mut RunFile, stop: &StopFlag) -> Result<Run>;
}

/// Map output of a shuffle. `M` is the type of its parts in memory.
pub(crate) struct MapOutputs<M> {
    partitions: Vec<Mutex<Vec<Part<M>>>>,
    /// Number of times that each partition will be read.
    readers: usize,
}

/// Output of one map task for one partition, or one spill of it.
#[derive(Clone)]
struct Part<M> {
    order: PartSeq,
    content: Content<M>,
}

#[derive(Clone)]
pub(crate) enum Content<M> {
    /// The part, and its share in the reservation of the commit that it belongs to.
    Memory(M, Arc<Reservation>),
    File(Run),
}

impl<M: InMemory> MapOutputs<M> {
    pub(crate) fn new(partitions: usize, readers: usize) -> Self {
        Self {
            partitions: (0..partitions).map(|_| Mutex::default()).collect(),
            readers,
        }
    }

    /// Imports what other processes have exported. The result can be read any number of times.
    pub(crate) fn import(
        partitions: usize,
        blocks: &[MapBlock],
        resources: &Resources,
    ) -> Result<Self> {
        let outputs = Self::new(partitions, usize::MAX);
        let mut files = Files::new(&resources.scratch);
        for block in blocks {
            let (partition, part) = block.of_partition(partitions)?;
            let order = codec::decode(&block.about)?;
            let content = Content::File(files.run(part));
            lock(&outputs.partitions[partition]).push(Part { order, content });
        }
        Ok(outputs)
    }

    /// Keeps records for each partition, in the memory of `reservation`.
    pub(crate) fn keep(&self, records: Vec<M>, order: PartSeq, mut reservation: Reservation) {
        // There may be thousands of tasks with few records each.
        reservation.trim();
        let reservation = Arc::new(reservation);
        for (records, partition) in records.into_iter().zip(&self.partitions) {
            if !records.is_empty() {
                let content = Content::Memory(records, Arc::clone(&reservation));
                lock(partition).push(Part { order, content });
            }
        }
    }

    /// Writes records for each partition to a file, and returns the length of the file.
    pub(crate) fn write(
        &self,
        records: &mut [M],
        order: PartSeq,
        resources: &Resources,
    ) -> Result<u64> {
        let mut file = RunFile::create(&resources.scratch, "shuffle")?;
        for (records, partition) in records.iter_mut().zip(&self.partitions) {
            if !records.is_empty() {
                let content = Content::File(records.write(&mut file, &resources.stop)?);
                lock(partition).push(Part { order, content });
            }
        }
        Ok(file.bytes())
    }

    /// Writes the parts in memory to a file, and frees their memory. Several threads may do so concurrently, each to
    /// its own file.
    ///
    /// No thread waits for another: writing may call the `Serialize` of a user's type, and if that calls rayon, its
    /// thread may enter this function again.
    pub(crate) fn spill(&self, resources: &Resources) -> Result<()> {
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
                let content = Content::File(records.write(file, &resources.stop)?);
                lock(partition).push(Part { order, content });
            }
        }
        Ok(())
    }

    /// Completes the outputs. Call this once all map tasks have finished, before the first partition is read.
    pub(crate) fn finish(&self, resources: &Resources) -> Result<()> {
        // Parts in files can be read any number of times.
        if self.readers > 1 {
            self.spill(resources)?;
        }
        Ok(())
    }

    /// Returns the parts of a partition, in order. If there is only one reader, they are removed, and their memory is
    /// freed with them.
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

impl<M: InMemory + 'static> Outputs for MapOutputs<M> {
    fn export(&self, shuffle: ShuffleId, resources: &Resources) -> Result<Vec<MapBlock>> {
        self.spill(resources)?;
        let mut blocks = Vec::new();
        for (partition, parts) in self.partitions.iter().enumerate() {
            for part in &*lock(parts) {
                if let Content::File(run) = &part.content {
                    let mut about = Vec::new();
                    codec::encode_own(&part.order, &mut about)?;
                    blocks.push(MapBlock::new(
                        shuffle,
                        partition,
                        FilePart::export(run),
                        about,
                    ));
                }
            }
        }
        Ok(blocks)
    }
}

/// Locks a mutex even if it is poisoned: lists of parts are consistent at any time, even if a user's `Serialize` panics
/// during a spill.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shuffle::{Divider, RecordBuffer, replay};
    use crate::storage::memory::MemoryBudget;
    use crate::storage::scratch::Scratch;
    use crate::task::Flow;

    const PARTITIONS: usize = 5;
    const TASKS: u32 = 6;

    fn resources(scratch: Scratch, memory: usize) -> Resources {
        Resources {
            budget: MemoryBudget::new(memory),
            scratch,
            ..Resources::unlimited()
        }
    }

    /// Returns the records of each partition.
    fn read(outputs: &MapOutputs<RecordBuffer>) -> Vec<Vec<u32>> {
        let mut all = Vec::new();
        for partition in 0..PARTITIONS {
            let mut records = Vec::new();
            let read = replay::<u32, _>(outputs.open(partition), &StopFlag::default(), |record| {
                records.push(record);
                Flow::Continue(())
            });
            let _ = read.unwrap();
            all.push(records);
        }
        all
    }

    fn divide(tasks: impl Iterator<Item = u32>, resources: &Resources) -> MapOutputs<RecordBuffer> {
        let outputs = MapOutputs::new(PARTITIONS, 1);
        let mut divider = Divider::new(PARTITIONS, &outputs, resources);
        for task in tasks {
            divider.begin_task(task as usize).unwrap();
            for n in task * 50_000..(task + 1) * 50_000 {
                // The last partition stays empty.
                let partition = n as usize % (PARTITIONS - 1);
                divider.push::<u32>(partition, &n).unwrap();
            }
        }
        divider.commit().unwrap();
        outputs
    }

    #[test]
    fn what_was_exported_is_read_as_it_was() {
        let expected = read(&divide(0..TASKS, &Resources::unlimited()));
        for memory in [64 << 10, 1 << 30] {
            let spill = tempfile::tempdir().unwrap();
            let driver = Scratch::new(Some(spill.path()), None);
            let directory = driver.path().unwrap();
            let mut blocks = Vec::new();
            // The later tasks come first, and each half is from its own worker.
            for (worker, tasks) in [(1, TASKS / 2..TASKS), (2, 0..TASKS / 2)] {
                let scratch = Scratch::within(directory.clone(), format!("{worker}-"), None);
                let resources = resources(scratch, memory);
                let outputs = divide(tasks, &resources);
                let exported = outputs.export(ShuffleId::next(), &resources).unwrap();
                assert!(exported.len() > 4 || memory > 1 << 20);
                blocks.extend(exported);
                drop(outputs);
                assert_eq!(resources.budget.used_bytes(), 0);
            }
            let files = MapBlock::adopt(&blocks, &driver).unwrap();
            for reader in 3..5 {
                let scratch = Scratch::within(directory.clone(), format!("{reader}-"), None);
                let resources = resources(scratch, memory);
                let outputs = MapOutputs::import(PARTITIONS, &blocks, &resources).unwrap();
                assert_eq!(read(&outputs), expected);
                assert_eq!(read(&outputs), expected, "once more");
            }
            drop(files);
            assert_eq!(
                std::fs::read_dir(&directory).unwrap().count(),
                1,
                "the lock"
            );
        }
    }

    #[test]
    fn a_block_of_another_shuffle_is_refused() {
        let resources = Resources::unlimited();
        let outputs = divide(0..1, &resources);
        let mut blocks = outputs.export(ShuffleId::next(), &resources).unwrap();
        blocks[0].partition = Some(PARTITIONS);
        let imported = MapOutputs::<RecordBuffer>::import(PARTITIONS, &blocks, &resources);
        assert!(imported.is_err());
        drop(MapBlock::adopt(&blocks, &resources.scratch).unwrap());
    }
}
