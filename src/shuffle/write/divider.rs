//! The map side of `repartition` and others: record buffers for each partition.

use super::record_buffer::RecordBuffer;
use super::task_batch::TaskBatch;
use crate::error::Result;
use crate::pipeline::{Peek, Storable};
use crate::shuffle::outputs::part::{MapPart as _, PartSeq};
use crate::shuffle::outputs::shuffle_outputs::ShuffleOutputs;
use crate::storage::codec::Sampling;
use crate::storage::memory::Reservation;
use crate::task::Resources;

/// Partitions the records of one thread's tasks, within a memory budget.
pub(crate) struct Divider<'o> {
    outputs: &'o ShuffleOutputs<RecordBuffer>,
    resources: &'o Resources,
    most_bytes: usize,
    partitions: usize,
    record_buffers: Vec<RecordBuffer>,
    reservation: Reservation,
    order: PartSeq,
    tasks: TaskBatch,
    records: u64,
    /// Bytes of records since the last commit or spill.
    bytes: usize,
    /// Bytes of records since their memory was last reserved.
    new_bytes: usize,
    sampling: Sampling,
}

impl<'o> Divider<'o> {
    pub(crate) fn new(
        partitions: usize,
        outputs: &'o ShuffleOutputs<RecordBuffer>,
        resources: &'o Resources,
    ) -> Self {
        Self {
            outputs,
            resources,
            most_bytes: resources.share_bytes() / 2,
            partitions,
            record_buffers: vec![RecordBuffer::default(); partitions],
            reservation: resources.budget.reservation(),
            order: PartSeq::default(),
            tasks: TaskBatch::default(),
            records: 0,
            bytes: 0,
            new_bytes: 0,
            sampling: Sampling::default(),
        }
    }

    /// Announces that the next records are those of `task`.
    pub(crate) fn begin_task(&mut self, task: usize) -> Result<()> {
        if self.tasks.begins_with(task, self.bytes, self.most_bytes) {
            self.commit_and_reserve()?;
            self.order = PartSeq::of_task(task);
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn push<T: Storable + ?Sized>(
        &mut self,
        partition: usize,
        record: Peek<'_, T>,
    ) -> Result<()> {
        self.sampling.check(|| T::check(record))?;
        self.new_bytes += self.record_buffers[partition].push::<T>(record)?;
        self.records += 1;
        if self.new_bytes >= RecordBuffer::ACCOUNT_BYTES {
            self.account()?;
        }
        Ok(())
    }

    /// Reserves the memory of the records or, if the budget refuses, spills them.
    #[cold]
    fn account(&mut self) -> Result<()> {
        self.bytes += std::mem::take(&mut self.new_bytes);
        let bytes = self.memory_bytes();
        let (outputs, resources) = (self.outputs, self.resources);
        let reclaim = || outputs.reclaim(0, resources);
        if bytes <= self.most_bytes && resources.reserve(&mut self.reservation, bytes, reclaim)? {
            return Ok(());
        }
        self.spill()
    }

    fn memory_bytes(&self) -> usize {
        let buffers = self.record_buffers.iter();
        buffers.map(RecordBuffer::memory_bytes).sum()
    }

    fn take_buffers(&mut self) -> Vec<RecordBuffer> {
        self.bytes = 0;
        let none = vec![RecordBuffer::default(); self.partitions];
        std::mem::replace(&mut self.record_buffers, none)
    }

    fn spill(&mut self) -> Result<()> {
        let mut buffers = self.take_buffers();
        let written = self
            .outputs
            .write(&mut buffers, self.order, self.resources)?;
        self.count(written);
        self.order = self.order.next();
        self.reservation.clear();
        Ok(())
    }

    /// Commits the records. The next ones are expected to take as much memory, so the buffers need not grow again.
    fn commit_and_reserve(&mut self) -> Result<()> {
        let buffers = self.record_buffers.iter();
        let next = buffers.map(RecordBuffer::empty_like).collect();
        self.commit()?;
        self.record_buffers = next;
        Ok(())
    }

    /// Commits the remaining records, after the last task.
    pub(crate) fn commit(&mut self) -> Result<()> {
        if self.records == 0 {
            return Ok(());
        }
        self.record_buffers.iter_mut().for_each(RecordBuffer::trim);
        self.account()?;
        let bytes = self.memory_bytes();
        if !self.outputs.may_keep(bytes, self.resources)? {
            return self.spill();
        }
        self.count(bytes as u64);
        let buffers = self.take_buffers();
        self.outputs
            .keep(buffers, self.order, self.reservation.take());
        Ok(())
    }

    fn count(&mut self, bytes: u64) {
        self.resources.progress.add_shuffled(self.records, bytes);
        self.records = 0;
    }
}
