//! Record buffers (spools): encoded records in the order of arrival, for shuffles that neither combine nor sort.

use std::borrow::Borrow;
use std::vec;

use super::task_batch::TaskBatch;
use crate::error::Result;
use crate::pipeline::{Peek, Ref, Storable};
use crate::shuffle::outputs::keep_limit::KeepLimit;
use crate::shuffle::outputs::part::{Content, MapPart, PartFile, PartSeq};
use crate::shuffle::outputs::shuffle_outputs::ShuffleOutputs;
use crate::storage::codec::Sampling;
use crate::storage::memory::Reservation;
use crate::storage::merge::MergeInput;
use crate::storage::run::{Run, RunFile, RunReader};
use crate::task::{Flow, Resources, StopFlag};

/// Encoded records, back to back.
#[derive(Clone, Default)]
pub(crate) struct RecordBuffer {
    bytes: Vec<u8>,
    /// End of each record. From the codec alone, a record of no bytes could not be detected.
    ends: Vec<usize>,
}

impl RecordBuffer {
    /// Number of bytes of new records after which their memory must be reserved. Larger values exceed the budget by more.
    pub(crate) const ACCOUNT_BYTES: usize = 64 << 10;

    /// Appends a record, and returns the memory that it takes, in bytes.
    pub(crate) fn push<T: Storable + ?Sized>(&mut self, record: Peek<'_, T>) -> Result<usize> {
        let start = self.bytes.len();
        T::store(record, &mut self.bytes)?;
        self.ends.push(self.bytes.len());
        Ok(self.bytes.len() - start + size_of::<usize>())
    }

    /// Writes the records as the next run of `file`.
    pub(crate) fn write_run(&self, file: &mut RunFile, stop: &StopFlag) -> Result<Run> {
        let mut writer = file.run();
        let mut checks = stop.checks();
        for record in self.iter() {
            checks.count()?;
            writer.append(record)?;
        }
        writer.finish()
    }

    fn record(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let record = &self.bytes[start..end];
            start = end;
            record
        })
    }
}

impl MapPart for RecordBuffer {
    type Layout = ();
    type File = PartFile;

    const LIMIT: KeepLimit = KeepLimit::Granted;

    fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    fn create_file((): (), resources: &Resources) -> Result<PartFile> {
        PartFile::create(resources)
    }

    fn write<'p>(
        parts: impl Iterator<Item = (PartSeq, &'p mut Self)>,
        file: &mut PartFile,
    ) -> Result<Vec<(PartSeq, Run)>> {
        file.write_each(parts, |part, file, stop| {
            std::mem::take(part).write_run(file, stop)
        })
    }
}

/// Calls `each` with the records of `parts`, in order.
pub(crate) fn replay<T, M, R>(
    parts: impl IntoIterator<Item = Content<M, R>>,
    stop: &StopFlag,
    mut each: impl for<'a> FnMut(Ref<'a, T>) -> Flow,
) -> Result<Flow>
where
    T: Storable + ?Sized,
    M: Borrow<RecordBuffer>,
{
    let mut checks = stop.checks();
    let mut restore = |record: &[u8]| {
        checks.count()?;
        T::restore(record, &mut each)
    };
    for part in parts {
        match part {
            Content::Memory(record_buffer, _memory) => {
                for record in record_buffer.borrow().iter() {
                    if restore(record)?.is_break() {
                        return Ok(Flow::Break(()));
                    }
                }
            }
            Content::File(run) => {
                let mut reader = run.reader();
                while let Some(record) = reader.next()? {
                    if restore(record)?.is_break() {
                        return Ok(Flow::Break(()));
                    }
                }
            }
        }
    }
    Ok(Flow::Continue(()))
}

/// Reads the records of parts one by one, in order. [`replay`] is faster, but calls a closure with all of them.
pub(crate) struct RecordReader<M, R> {
    parts: vec::IntoIter<Content<M, R>>,
    part: Option<OpenPart<M, R>>,
}

enum OpenPart<M, R> {
    /// A part in memory, the number of records that have been read, and the memory.
    Memory(M, usize, R),
    File(RunReader),
}

impl<M: Borrow<RecordBuffer>, R> RecordReader<M, R> {
    pub(crate) fn new(parts: Vec<Content<M, R>>) -> Self {
        Self {
            parts: parts.into_iter(),
            part: None,
        }
    }

    /// Returns the next record.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>> {
        while !self.advance()? {
            self.part = match self.parts.next() {
                Some(Content::Memory(buffer, memory)) => Some(OpenPart::Memory(buffer, 0, memory)),
                Some(Content::File(run)) => Some(OpenPart::File(run.reader())),
                None => return Ok(None),
            };
        }
        Ok(match &self.part {
            Some(OpenPart::Memory(buffer, read, _)) => Some(buffer.borrow().record(read - 1)),
            Some(OpenPart::File(reader)) => reader.current(),
            None => None,
        })
    }

    /// Moves on to the next record of the part. Returns `false` if there is none.
    fn advance(&mut self) -> Result<bool> {
        match &mut self.part {
            Some(OpenPart::Memory(buffer, read, _)) => {
                let buffer: &RecordBuffer = (*buffer).borrow();
                let has_next = *read < buffer.ends.len();
                *read += usize::from(has_next);
                Ok(has_next)
            }
            Some(OpenPart::File(reader)) => reader.advance(),
            None => Ok(false),
        }
    }
}

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
            self.commit()?;
            self.order = PartSeq::of_task(task);
        }
        Ok(())
    }

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

    /// Commits the remaining records, after the last task.
    pub(crate) fn commit(&mut self) -> Result<()> {
        if self.records == 0 {
            return Ok(());
        }
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
