//! Map output of a shuffle of all records: entries in memory, and runs of sorted entries.
//!
//! Entries in memory stay unsorted until a reader or a spill takes them: sorting a partition once is cheaper than
//! merging a sorted part of each task.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::group_spill::{self, Spill};
use super::segment::{Segment, Share, largest_slice};
use super::sorted_partition::SortedPartition;
use crate::error::{Error, ErrorKind, Result};
use crate::shuffle::key::partitioner::HashPartitioner;
use crate::shuffle::key::slices::{group_share_bytes, slice_bits};
use crate::shuffle::read::chunk_set::{ChunkSet, SORT_BYTES};
use crate::shuffle::read::group_stream::{EntrySource, GroupCursor, RunSource};
use crate::shuffle::read::sorted_cursor::SortedCursor;
use crate::storage::memory::Reservation;
use crate::storage::run::Run;
use crate::task::Resources;

/// Output of the map tasks, for each partition of the next stage.
#[derive(Debug)]
pub(crate) struct GroupOutputs {
    partitioner: HashPartitioner,
    slice_bits: u32,
    partitions: Vec<Mutex<PartitionOutput>>,
    /// Length of all chunks, in bytes.
    kept_bytes: Arc<AtomicUsize>,
    /// Held by the one thread that spills the segments.
    spilling: Mutex<()>,
    /// `true` if all entries must stay in memory.
    in_memory: bool,
}

#[derive(Debug)]
struct PartitionOutput {
    segments: Vec<(Segment, Share)>,
    runs: Vec<Run>,
    sorted: SortedPartition,
}

impl GroupOutputs {
    /// Creates outputs for `readers` readers of each partition. With `in_memory`, entries that do not fit are an error.
    /// Their radix partitions suit the memory that each thread of `resources` has for entries.
    pub(crate) fn new(
        partitioner: HashPartitioner,
        readers: usize,
        in_memory: bool,
        resources: &Resources,
    ) -> Self {
        let output = || PartitionOutput {
            segments: Vec::new(),
            runs: Vec::new(),
            sorted: SortedPartition::new(readers),
        };
        let partitions = 0..partitioner.partitions();
        Self {
            partitioner,
            slice_bits: slice_bits(partitioner, group_share_bytes(resources)),
            partitions: partitions.map(|_| Mutex::new(output())).collect(),
            kept_bytes: Arc::default(),
            spilling: Mutex::new(()),
            in_memory,
        }
    }

    pub(crate) fn partitioner(&self) -> HashPartitioner {
        self.partitioner
    }

    /// Returns the number of bits of a hash rank that determine its radix partition, which each chunk records.
    pub(crate) fn slice_bits(&self) -> u32 {
        self.slice_bits
    }

    pub(crate) fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    /// Returns the number of bytes kept in memory.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.kept_bytes.load(Ordering::Relaxed)
    }

    /// Returns whether `bytes` more, which already have their part of the budget, may be kept. They may while at most
    /// half of the budget is in use.
    pub(crate) fn may_keep(&self, bytes: usize, resources: &Resources) -> bool {
        let budget = &resources.budget;
        let used_bytes = match self.in_memory {
            true => self.kept_bytes().saturating_add(bytes),
            false => budget.used_bytes(),
        };
        used_bytes <= budget.limit_bytes() / 2
    }

    /// Keeps a segment. `lists` reserves memory for its list of chunks and those of others.
    pub(crate) fn keep(&self, partition: usize, segment: Segment, lists: &Arc<Reservation>) {
        let share = Share::of(&segment, &self.kept_bytes, lists);
        lock(&self.partitions[partition])
            .segments
            .push((segment, share));
    }

    /// Returns an error if the outputs must stay in memory, because then they do not fit.
    pub(crate) fn check_may_spill(&self, resources: &Resources) -> Result<()> {
        if !self.in_memory {
            return Ok(());
        }
        Err(too_large(resources))
    }

    pub(crate) fn add_runs(&self, partition: usize, runs: Vec<Run>) {
        lock(&self.partitions[partition]).runs.extend(runs);
    }

    /// Returns the runs of a partition.
    pub(crate) fn runs(&self, partition: usize) -> Vec<Run> {
        lock(&self.partitions[partition]).runs.clone()
    }

    /// Writes the segments in memory to runs, and returns `true`. Returns `false` if another thread is already doing
    /// so.
    pub(crate) fn spill_kept(&self, resources: &Resources) -> Result<bool> {
        let _spilling = match self.spilling.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(false),
        };
        let mut spill = Spill::new(self.partitioner, self.slice_bits, resources)?;
        for (partition, output) in self.partitions.iter().enumerate() {
            let segments = mem::take(&mut lock(output).segments);
            let segments = segments
                .into_iter()
                .map(|(segment, share)| (segment, Some(share)));
            self.add_runs(partition, spill.write(segments.collect())?);
        }
        Ok(true)
    }

    /// Returns the groups of a partition in ascending order of (hash rank, key), with their values in the order of the
    /// bag.
    pub(crate) fn open(&self, partition: usize, resources: &Resources) -> Result<GroupCursor> {
        let mut output = lock(&self.partitions[partition]);
        let mut for_sorting = self.gather_segments(&mut output, resources)?;
        let for_merging = group_spill::merge_down(&mut output.runs, self.partitioner, resources)?;
        let (sorted, is_last) = output.sorted.read();
        let runs = match is_last {
            true => mem::take(&mut output.runs),
            false => output.runs.clone(),
        };
        let memory =
            sorted.map(|sorted| SortedCursor::new(sorted, for_sorting.take(), &resources.stop));
        Ok(match memory {
            Some(memory) if runs.is_empty() => GroupCursor::Memory(memory),
            memory => {
                let sources = runs
                    .iter()
                    .map(|run| EntrySource::Run(RunSource::new(run, self.partitioner)))
                    .chain(memory.map(EntrySource::Memory));
                GroupCursor::merge(sources, for_merging, &resources.stop)
            }
        })
    }

    /// Gathers and returns the entries of a partition that are in memory, for its only reader.
    pub(crate) fn take_sorted(
        &self,
        partition: usize,
        resources: &Resources,
    ) -> Result<Option<Arc<ChunkSet>>> {
        let mut output = lock(&self.partitions[partition]);
        self.gather_segments(&mut output, resources)?;
        Ok(output.sorted.take())
    }

    /// Gathers the entries of a partition that are in memory, and returns the memory for sorting them. If there is no
    /// memory for that, spills them.
    fn gather_segments(
        &self,
        output: &mut PartitionOutput,
        resources: &Resources,
    ) -> Result<Option<Reservation>> {
        if let Some(sorted) = output.sorted.gathered() {
            // Another reader has gathered these and reserved its memory. They can no longer be spilled.
            return Ok(resources
                .budget
                .try_reserve(sorted.largest_slice() * SORT_BYTES));
        }
        if output.segments.is_empty() {
            return Ok(None);
        }
        let segments = mem::take(&mut output.segments);
        let largest = largest_slice(&segments);
        let Some(reservation) = resources.budget.try_reserve(largest * SORT_BYTES) else {
            self.check_may_spill(resources)?;
            let mut spill = Spill::new(self.partitioner, self.slice_bits, resources)?;
            let segments = segments
                .into_iter()
                .map(|(segment, share)| (segment, Some(share)));
            output.runs.extend(spill.write(segments.collect())?);
            return Ok(None);
        };
        let mut chunks = Vec::new();
        let mut shares = Vec::with_capacity(segments.len());
        for (segment, share) in segments {
            chunks.extend(segment.chunks);
            shares.push(share);
        }
        let sorted = ChunkSet::new(chunks, self.slice_bits, self.partitioner, shares);
        output.sorted.put(sorted);
        Ok(Some(reservation))
    }
}

#[cold]
pub(crate) fn too_large(resources: &Resources) -> Error {
    Error::new(ErrorKind::BroadcastTooLarge {
        budget_bytes: resources.budget.limit_bytes(),
    })
}

/// Locks a mutex even if it is poisoned: a panic while one of these locks was held fails its job, and the guarded data
/// stays consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shuffle::{Encode, Grouper};
    use crate::storage::codec::Short;
    use crate::storage::memory::MemoryBudget;
    use crate::storage::scratch::Scratch;
    use crate::task::StopFlag;

    struct Numbers;

    impl Encode for Numbers {
        type In = (u32, u32);

        fn encode((key, value): (u32, u32), bytes: &mut Vec<u8>) -> Result<usize> {
            bytes.extend_from_slice(&key.to_be_bytes());
            bytes.extend_from_slice(&value.to_be_bytes());
            Ok(4)
        }

        fn encode_short((key, value): &(u32, u32)) -> Option<(Short, Short)> {
            Short::new(&key.to_be_bytes()).zip(Short::new(&value.to_be_bytes()))
        }

        fn check(_: &(u32, u32)) -> Result<usize> {
            Ok(0)
        }
    }

    /// Like `Numbers`, but with some oversized values: some entries are longer than any chunk.
    struct LongNumbers;

    impl Encode for LongNumbers {
        type In = (u32, u32);

        fn encode((key, value): (u32, u32), bytes: &mut Vec<u8>) -> Result<usize> {
            let key_len = Numbers::encode((key, value), bytes)?;
            if value.is_multiple_of(1000) {
                bytes.resize(bytes.len() + value as usize * 7 % 70_000, 0);
            }
            Ok(key_len)
        }

        fn encode_short(record: &(u32, u32)) -> Option<(Short, Short)> {
            let is_long = record.1.is_multiple_of(1000);
            Numbers::encode_short(record).filter(|_| !is_long)
        }

        fn check(record: &(u32, u32)) -> Result<usize> {
            Numbers::check(record)
        }
    }

    const TASKS: u32 = 60;
    const IN_TASK: u32 = 3000;

    /// Returns the groups of all partitions, read `readers` times, and the number of bytes written to files.
    fn groups<E>(memory: usize, readers: usize) -> (Vec<(u32, Vec<u32>)>, u64)
    where
        E: Encode<In = (u32, u32)>,
    {
        let directory = tempfile::tempdir().unwrap();
        let resources = Resources {
            budget: MemoryBudget::new(memory),
            scratch: Scratch::new(Some(directory.path()), None),
            threads: 2,
            progress: Arc::default(),
            reclaimer: Arc::default(),
            stop: StopFlag::default(),
        };
        let outputs = GroupOutputs::new(HashPartitioner::new(3), readers, false, &resources);
        let mut grouper = Grouper::new(&outputs, &resources);
        // Some tasks are consecutive, as in threads that take several in one batch.
        let stretches = (0..TASKS).step_by(4).rev();
        for task in stretches.flat_map(|first| first..first + 4) {
            grouper.begin_task(task as usize).unwrap();
            for n in task * IN_TASK..(task + 1) * IN_TASK {
                // Every second record has the same key.
                let key = if n % 2 == 0 { 7 } else { n * 31 % 1000 };
                let record = (key, n);
                let pushed = grouper.push::<E>(record, |_| true);
                pushed.unwrap();
            }
            grouper.end_task(|_| true).unwrap();
        }
        grouper.commit().unwrap();
        let mut all = Vec::new();
        for _ in 0..readers {
            all.clear();
            for partition in 0..3 {
                let mut cursor = outputs.open(partition, &resources).unwrap();
                while cursor.next_group().unwrap() {
                    let mut values = Vec::new();
                    let key = number(cursor.key());
                    while cursor.advance().unwrap() {
                        values.push(number(cursor.value()));
                    }
                    all.push((key, values));
                }
            }
        }
        let spilled_bytes = resources.scratch.written_bytes();
        // After the last planned read, nothing is left.
        assert_eq!(resources.scratch.used_bytes(), 0);
        assert_eq!(resources.budget.used_bytes(), 0);
        (all, spilled_bytes)
    }

    fn number(bytes: &[u8]) -> u32 {
        u32::from_be_bytes(*bytes.first_chunk().unwrap())
    }

    #[test]
    fn groups_are_the_same_in_memory_and_from_many_runs() {
        let (expected, spilled_bytes) = groups::<Numbers>(1 << 30, 1);
        assert_eq!(spilled_bytes, 0);
        let records: usize = expected.iter().map(|(_, values)| values.len()).sum();
        assert_eq!(records as u32, TASKS * IN_TASK);
        assert!(expected.iter().all(|(_, values)| values.is_sorted()));
        for memory in [0, 256 << 10, 2 << 20, 8 << 20] {
            for readers in [1, 2] {
                let (found, spilled_bytes) = groups::<Numbers>(memory, readers);
                assert!(found == expected, "{memory} bytes, {readers} readers");
                assert_eq!(spilled_bytes > 0, memory < 8 << 20, "{memory} bytes");
            }
        }
    }

    #[test]
    fn long_entries_are_in_order_among_short_ones() {
        let (expected, _) = groups::<Numbers>(1 << 30, 1);
        for memory in [1 << 30, 2 << 20] {
            let (found, spilled_bytes) = groups::<LongNumbers>(memory, 1);
            assert!(found == expected, "{memory} bytes");
            assert_eq!(spilled_bytes > 0, memory == 2 << 20);
        }
    }
}
