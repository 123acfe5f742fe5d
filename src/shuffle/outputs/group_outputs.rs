//! Map output of a shuffle of all records: entries in memory, and runs of sorted entries.
//!
//! Entries in memory stay unsorted until a reader or a spill takes them: sorting a partition once is cheaper than
//! merging a sorted part of each task.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::group_spill;
use super::segment::{Segment, largest_slice};
use super::shuffle_outputs::ShuffleOutputs;
use super::sorted_partition::SortedPartition;
use crate::error::Result;
use crate::id::ShuffleId;
use crate::shuffle::key::partitioner::HashPartitioner;
use crate::shuffle::key::slices::SliceLayout;
use crate::shuffle::read::chunk_set::{ChunkSet, SORT_BYTES};
use crate::shuffle::read::group_stream::{EntrySource, GroupCursor, RunSource};
use crate::shuffle::read::sorted_cursor::SortedCursor;
use crate::storage::memory::Reservation;
use crate::task::{MapBlock, MapBlocks, Outputs, Resources};

/// Output of the map tasks, for each partition of the next stage.
#[derive(Debug)]
pub(crate) struct GroupOutputs {
    pub(crate) parts: ShuffleOutputs<Segment>,
    sorted: Vec<Mutex<SortedPartition>>,
}

impl GroupOutputs {
    /// Creates outputs for `readers` readers of each partition. With `in_memory`, entries that do not fit are an error.
    pub(crate) fn new(
        partitioner: HashPartitioner,
        readers: usize,
        in_memory: bool,
        resources: &Resources,
    ) -> Self {
        let layout = SliceLayout::new(partitioner, resources);
        let parts = ShuffleOutputs::new(partitioner.partitions(), layout, readers);
        let parts = match in_memory {
            true => parts.staying_in_memory(),
            false => parts,
        };
        Self::read_by(readers, parts)
    }

    /// Imports what other processes have exported. The result can be read any number of times.
    pub(crate) fn import(
        partitioner: HashPartitioner,
        blocks: MapBlocks<'_>,
        resources: &Resources,
    ) -> Result<Self> {
        let layout = SliceLayout::new(partitioner, resources);
        let parts = ShuffleOutputs::import(partitioner.partitions(), layout, blocks, resources)?;
        Ok(Self::read_by(usize::MAX, parts))
    }

    fn read_by(readers: usize, parts: ShuffleOutputs<Segment>) -> Self {
        let sorted = || Mutex::new(SortedPartition::new(readers));
        let partitions = 0..parts.layout().partitioner.partitions();
        Self {
            sorted: partitions.map(|_| sorted()).collect(),
            parts,
        }
    }

    pub(crate) fn layout(&self) -> SliceLayout {
        self.parts.layout()
    }

    /// Returns the groups of a partition in ascending order of (hash rank, key), with their values in the order of the
    /// bag.
    pub(crate) fn open(&self, partition: usize, resources: &Resources) -> Result<GroupCursor> {
        let SliceLayout { partitioner, .. } = self.layout();
        let mut sorted = self.lock(partition);
        let mut for_sorting = self.gather(partition, &mut sorted, resources)?;
        let mut runs = self.parts.unordered_runs(partition);
        let for_merging = group_spill::merge_down(&mut runs, partitioner, resources)?;
        let (entries, is_last) = sorted.read();
        // Later readers need not merge the same runs again.
        let kept_runs = if is_last { &[] } else { &runs[..] };
        self.parts.replace_runs(partition, kept_runs);
        let memory =
            entries.map(|entries| SortedCursor::new(entries, for_sorting.take(), &resources.stop));
        Ok(match memory {
            Some(memory) if runs.is_empty() => GroupCursor::Memory(memory),
            memory => {
                let sources = runs
                    .iter()
                    .map(|run| EntrySource::Run(RunSource::new(run, partitioner)))
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
        let mut sorted = self.lock(partition);
        self.gather(partition, &mut sorted, resources)?;
        Ok(sorted.take())
    }

    /// Gathers the entries of a partition that are in memory, and returns the memory for sorting them. If there is no
    /// memory for that, spills them.
    fn gather(
        &self,
        partition: usize,
        sorted: &mut SortedPartition,
        resources: &Resources,
    ) -> Result<Option<Reservation>> {
        if let Some(entries) = sorted.gathered() {
            // Another reader has gathered these and reserved its memory. They can no longer be spilled.
            return Ok(resources
                .budget
                .try_reserve(entries.largest_slice() * SORT_BYTES));
        }
        let segments = self.parts.take_kept(partition);
        if segments.is_empty() {
            return Ok(None);
        }
        let lists = segments.iter().map(|(_, segment, _)| segment);
        let largest = largest_slice(lists, self.layout().slice_bits);
        let mut reservation = resources.budget.reservation();
        let is_reserved = match self.parts.is_in_memory() {
            true => resources.reserve(&mut reservation, largest * SORT_BYTES, || Ok(()))?,
            false => reservation.try_resize(largest * SORT_BYTES),
        };
        if !is_reserved {
            self.parts.spill(partition, segments, resources)?;
            return Ok(None);
        }
        let lengths = segments.iter().map(|(_, segment, _)| segment.chunks.len());
        let mut chunks = Vec::with_capacity(lengths.sum());
        let mut shares = Vec::with_capacity(segments.len());
        for (_, segment, share) in segments {
            chunks.extend(segment.chunks);
            shares.push(share);
        }
        sorted.put(ChunkSet::new(chunks, self.layout(), shares));
        Ok(Some(reservation))
    }

    /// Locks the entries that readers share even if the lock is poisoned: a panic while it was held fails its job, and
    /// the entries stay consistent.
    fn lock(&self, partition: usize) -> MutexGuard<'_, SortedPartition> {
        let sorted = self.sorted[partition].lock();
        sorted.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outputs for GroupOutputs {
    fn export(&self, shuffle: ShuffleId, resources: &Resources) -> Result<Vec<MapBlock>> {
        self.parts.export(shuffle, resources)
    }
}

#[cfg(test)]
mod tests;
