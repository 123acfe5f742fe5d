//! Map output of a shuffle, for each partition of the next stage. It is in memory while there is capacity, otherwise in
//! files.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::keep_limit::KeepLimit;
use super::part::{Content, MapPart, PartSeq, Share};
use super::reads_left::ReadsLeft;
use crate::error::{Error, ErrorContext, ErrorKind, Result};
use crate::id::ShuffleId;
use crate::storage::codec;
use crate::storage::memory::Reservation;
use crate::storage::run::Run;
use crate::task::{FilePart, Files, MapBlock, MapBlocks, Outputs, Resources};

/// Map output of a shuffle. `M` is the type of its parts in memory.
#[derive(Debug)]
pub(crate) struct ShuffleOutputs<M: MapPart> {
    layout: M::Layout,
    partitions: Vec<Mutex<Parts<M>>>,
    /// Number of times that each partition will be read.
    readers: usize,
    /// Memory of all kept parts, in bytes.
    kept_bytes: Arc<AtomicUsize>,
    /// Held by the one thread that spills the kept parts.
    spilling: Mutex<()>,
    /// `true` if all parts must stay in memory.
    in_memory: bool,
}

/// Output for one partition.
#[derive(Debug)]
struct Parts<M> {
    kept: Vec<(PartSeq, M, Share)>,
    runs: Vec<(PartSeq, Run)>,
    reads_left: ReadsLeft,
}

impl<M: MapPart> ShuffleOutputs<M> {
    /// Creates outputs for `readers` readers of each partition.
    pub(crate) fn new(partitions: usize, layout: M::Layout, readers: usize) -> Self {
        let parts = || Parts {
            kept: Vec::new(),
            runs: Vec::new(),
            reads_left: ReadsLeft::new(readers),
        };
        Self {
            layout,
            partitions: (0..partitions).map(|_| Mutex::new(parts())).collect(),
            readers,
            kept_bytes: Arc::default(),
            spilling: Mutex::new(()),
            in_memory: false,
        }
    }

    /// Makes parts that do not fit into memory an error.
    pub(crate) fn staying_in_memory(self) -> Self {
        Self {
            in_memory: true,
            ..self
        }
    }

    /// Imports what other processes have exported. The result can be read any number of times.
    pub(crate) fn import(
        partitions: usize,
        layout: M::Layout,
        blocks: MapBlocks<'_>,
        resources: &Resources,
    ) -> Result<Self> {
        let outputs = Self::new(partitions, layout, usize::MAX);
        let mut files = Files::new(&resources.scratch);
        for block in blocks.of_partitions() {
            let block = block?;
            let (partition, part) = block.of_partition(partitions)?;
            let seq = codec::decode(&block.about)?;
            outputs.add_runs(partition, [(seq, files.run(part))]);
        }
        Ok(outputs)
    }

    pub(crate) fn layout(&self) -> M::Layout {
        self.layout
    }

    pub(crate) fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    fn kept_bytes(&self) -> usize {
        self.kept_bytes.load(Ordering::Relaxed)
    }

    /// Decides whether parts of `bytes` bytes, which already have their part of the budget, may be kept. If necessary,
    /// spills the parts of earlier tasks, if these are larger.
    ///
    /// # Errors
    ///
    /// Returns an error if the parts do not fit into memory but must stay there.
    pub(crate) fn may_keep(&self, bytes: usize, resources: &Resources) -> Result<bool> {
        let limit = match self.in_memory {
            true => KeepLimit::HalfKept,
            false => M::LIMIT,
        };
        let fits = || bytes <= limit.bytes_left(self.kept_bytes(), &resources.budget);
        if fits() {
            return Ok(true);
        }
        self.check_may_spill(resources)?;
        Ok(self.kept_bytes() > bytes && self.spill_kept(resources)? && fits())
    }

    /// Keeps a part for each of the first partitions. `reservation` is their memory, or a part of it.
    pub(crate) fn keep(&self, parts: Vec<M>, seq: PartSeq, mut reservation: Reservation) {
        // There may be thousands of tasks with few records each.
        reservation.trim();
        let reservation = Arc::new(reservation);
        for (part, partition) in parts.into_iter().zip(&self.partitions) {
            if !part.is_empty() {
                let share = Share::new(part.memory_bytes(), &self.kept_bytes, &reservation);
                lock(partition).kept.push((seq, part, share));
            }
        }
    }

    /// Writes a part for each of the first partitions to a file, and returns the length of the runs.
    pub(crate) fn write(
        &self,
        parts: &mut [M],
        seq: PartSeq,
        resources: &Resources,
    ) -> Result<u64> {
        let mut file = M::create_file(self.layout, resources)?;
        let mut bytes = 0;
        for (partition, part) in parts.iter_mut().enumerate() {
            if !part.is_empty() {
                let runs = M::write([(seq, part)].into_iter(), &mut file)?;
                bytes += runs.iter().map(|(_, run)| run.bytes()).sum::<u64>();
                self.add_runs(partition, runs);
            }
        }
        Ok(bytes)
    }

    /// Reclaims memory for a writer that holds `held_bytes` itself: spills the kept parts if they are larger.
    pub(crate) fn reclaim(&self, held_bytes: usize, resources: &Resources) -> Result<()> {
        if !self.in_memory && self.kept_bytes() > held_bytes {
            self.spill_kept(resources)?;
        }
        Ok(())
    }

    /// Writes the kept parts to a file, and returns `true`. Returns `false` if another thread is already doing so.
    ///
    /// No thread waits for another: writing may call the `Serialize` of a user's type, and if that calls rayon, its
    /// thread may enter this function again.
    fn spill_kept(&self, resources: &Resources) -> Result<bool> {
        let _spilling = match self.spilling.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(false),
        };
        let mut file = None;
        for partition in 0..self.partitions.len() {
            let mut kept = self.take_kept(partition);
            if kept.is_empty() {
                continue;
            }
            let file = match &mut file {
                Some(file) => file,
                none => none.insert(M::create_file(self.layout, resources)?),
            };
            let parts = kept.iter_mut().map(|(seq, part, _)| (*seq, part));
            self.add_runs(partition, M::write(parts, file)?);
        }
        Ok(true)
    }

    /// Writes kept parts of one partition to a file.
    pub(crate) fn spill(
        &self,
        partition: usize,
        mut parts: Vec<(PartSeq, M, Share)>,
        resources: &Resources,
    ) -> Result<()> {
        self.check_may_spill(resources)?;
        let mut file = M::create_file(self.layout, resources)?;
        let parts = parts.iter_mut().map(|(seq, part, _)| (*seq, part));
        self.add_runs(partition, M::write(parts, &mut file)?);
        Ok(())
    }

    /// Returns an error if the outputs must stay in memory, because then they do not fit.
    pub(crate) fn check_may_spill(&self, resources: &Resources) -> Result<()> {
        match self.in_memory {
            true => Err(too_large(resources)),
            false => Ok(()),
        }
    }

    /// Completes the outputs. Call this once all map tasks have finished, before the first partition is
    /// [opened](Self::open).
    pub(crate) fn finish(&self, resources: &Resources) -> Result<()> {
        // Parts in files can be read any number of times.
        if self.readers > 1 {
            self.spill_kept(resources)?;
        }
        Ok(())
    }

    /// Returns the parts of a partition, in order. The last reader removes them, and frees their memory with them.
    pub(crate) fn open(&self, partition: usize) -> Vec<Content<M>> {
        let mut parts = lock(&self.partitions[partition]);
        let runs = match parts.reads_left.count() {
            true => mem::take(&mut parts.runs),
            false => parts.runs.clone(),
        };
        let kept = mem::take(&mut parts.kept).into_iter();
        drop(parts);
        let kept = kept.map(|(seq, part, share)| (seq, Content::Memory(part, share)));
        let runs = runs.into_iter().map(|(seq, run)| (seq, Content::File(run)));
        let mut parts: Vec<_> = kept.chain(runs).collect();
        parts.sort_by_key(|(seq, _)| *seq);
        parts.into_iter().map(|(_, content)| content).collect()
    }

    /// Removes and returns the kept parts of a partition.
    pub(crate) fn take_kept(&self, partition: usize) -> Vec<(PartSeq, M, Share)> {
        mem::take(&mut lock(&self.partitions[partition]).kept)
    }

    pub(crate) fn add_runs(
        &self,
        partition: usize,
        runs: impl IntoIterator<Item = (PartSeq, Run)>,
    ) {
        lock(&self.partitions[partition]).runs.extend(runs);
    }

    /// Returns the runs of a partition whose parts have no order among each other.
    pub(crate) fn unordered_runs(&self, partition: usize) -> Vec<Run> {
        let parts = lock(&self.partitions[partition]);
        parts.runs.iter().map(|(_, run)| run.clone()).collect()
    }

    /// Replaces these runs.
    pub(crate) fn replace_runs(&self, partition: usize, runs: &[Run]) {
        let runs = runs.iter().map(|run| (PartSeq::default(), run.clone()));
        lock(&self.partitions[partition]).runs = runs.collect();
    }
}

impl<M: MapPart + 'static> Outputs for ShuffleOutputs<M> {
    fn export(&self, shuffle: ShuffleId, resources: &Resources) -> Result<Vec<MapBlock>> {
        if self.kept_bytes() > 0 {
            self.spill_kept(resources)?;
        }
        let mut blocks = Vec::new();
        for (partition, parts) in self.partitions.iter().enumerate() {
            for (seq, run) in &lock(parts).runs {
                let mut about = Vec::new();
                codec::encode_own(seq, &mut about)?;
                let part = FilePart::export(run);
                blocks.push(MapBlock::new(shuffle, partition, part, about));
            }
        }
        // Blocks of one file are sent as one group. A part has its position in its partition in `about`.
        let path = |block: &MapBlock| block.file.as_ref().map(|part| part.path.clone());
        blocks.sort_by_cached_key(path);
        Ok(blocks)
    }
}

#[cold]
pub(crate) fn too_large(resources: &Resources) -> Error {
    Error::new(ErrorKind::BroadcastTooLarge {
        context: ErrorContext::default(),
        budget_bytes: resources.budget.limit_bytes(),
    })
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
    use crate::task::{Flow, MapOutput, StopFlag};

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
    fn read(outputs: &ShuffleOutputs<RecordBuffer>) -> Vec<Vec<u32>> {
        let mut all = Vec::new();
        for partition in 0..PARTITIONS {
            let mut records = Vec::new();
            let read =
                replay::<u32, _, _>(outputs.open(partition), &StopFlag::default(), |record| {
                    records.push(record);
                    Flow::Continue(())
                });
            let _ = read.unwrap();
            all.push(records);
        }
        all
    }

    fn divide(
        tasks: impl Iterator<Item = u32>,
        resources: &Resources,
    ) -> ShuffleOutputs<RecordBuffer> {
        let outputs = ShuffleOutputs::new(PARTITIONS, (), 1);
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
                blocks.extend(MapOutput::group(exported).unwrap());
                drop(outputs);
                assert_eq!(resources.budget.used_bytes(), 0);
            }
            let files = MapOutput::adopt(&blocks, &driver).unwrap();
            for reader in 3..5 {
                let scratch = Scratch::within(directory.clone(), format!("{reader}-"), None);
                let resources = resources(scratch, memory);
                let outputs =
                    ShuffleOutputs::import(PARTITIONS, (), (&blocks[..]).into(), &resources)
                        .unwrap();
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
        let blocks = MapOutput::group(blocks).unwrap();
        let blocks = &blocks[..];
        let imported =
            ShuffleOutputs::<RecordBuffer>::import(PARTITIONS, (), blocks.into(), &resources);
        assert!(imported.is_err());
        drop(MapOutput::adopt(blocks, &resources.scratch).unwrap());
    }
}
