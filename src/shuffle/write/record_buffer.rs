//! Record buffers (spools): encoded records in the order of arrival, for shuffles that neither combine nor sort.

use std::borrow::Borrow;
use std::ops::Range;
use std::{slice, vec};

use super::task_batch::TaskBatch;
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{Peek, Ref, Storable};
use crate::shuffle::outputs::keep_limit::KeepLimit;
use crate::shuffle::outputs::part::{Content, MapPart, PartFile, PartSeq};
use crate::shuffle::outputs::shuffle_outputs::ShuffleOutputs;
use crate::storage::codec::Sampling;
use crate::storage::memory::Reservation;
use crate::storage::merge::MergeInput;
use crate::storage::run::{FrameRecords, Run, RunFile, RunReader};
use crate::task::{Flow, Resources, StopFlag};

/// Encoded records, back to back.
#[derive(Clone, Default)]
pub(crate) struct RecordBuffer {
    bytes: Vec<u8>,
    /// Lengths of the records. From the codec alone, a record of no bytes could not be detected.
    lengths: Vec<EqualLengths>,
}

/// Neighbouring records of the same length. Most numbers have the same length as the one before.
#[derive(Clone, Copy, Default)]
struct EqualLengths {
    bytes: u32,
    records: u32,
}

/// Unused capacity that a complete buffer may keep: this fraction of its length, or this many bytes.
const UNUSED_OF_LENGTH: usize = 8;
const UNUSED_BYTES: usize = 4 << 10;

impl RecordBuffer {
    /// Number of bytes of new records after which their memory must be reserved. Larger values exceed the budget by more.
    pub(crate) const ACCOUNT_BYTES: usize = 64 << 10;

    /// Appends a record, and returns the memory that it takes, in bytes.
    pub(crate) fn push<T: Storable + ?Sized>(&mut self, record: Peek<'_, T>) -> Result<usize> {
        let start = self.bytes.len();
        T::store(record, &mut self.bytes)?;
        let length = self.bytes.len() - start;
        if let Some(last) = self.lengths.last_mut()
            && last.bytes as usize == length
            && last.records < u32::MAX
        {
            last.records += 1;
            return Ok(length);
        }
        self.push_length(length)?;
        Ok(length + size_of::<EqualLengths>())
    }

    fn push_length(&mut self, length: usize) -> Result<()> {
        let too_long = ErrorKind::RecordTooLong {
            bytes: length,
            limit_bytes: u32::MAX as usize,
        };
        let bytes = u32::try_from(length).map_err(|_| Error::new(too_long))?;
        self.lengths.push(EqualLengths { bytes, records: 1 });
        Ok(())
    }

    /// Frees the memory that is not used, unless it is little. Call this after the last record.
    pub(crate) fn trim(&mut self) {
        trim(&mut self.bytes);
        trim(&mut self.lengths);
    }

    /// Writes the records as the next run of `file`.
    pub(crate) fn write_run(&self, file: &mut RunFile, stop: &StopFlag) -> Result<Run> {
        let mut writer = file.run();
        let mut checks = stop.checks();
        for record in self.records() {
            checks.count()?;
            writer.append(record)?;
        }
        writer.finish()
    }

    fn records(&self) -> BufferRecords<'_> {
        BufferRecords {
            rest: &self.bytes,
            lengths: self.lengths.iter(),
            equal: EqualLengths::default(),
        }
    }
}

/// The records of a buffer, in order.
struct BufferRecords<'b> {
    rest: &'b [u8],
    lengths: slice::Iter<'b, EqualLengths>,
    /// The next records.
    equal: EqualLengths,
}

impl<'b> Iterator for BufferRecords<'b> {
    type Item = &'b [u8];

    #[inline(always)]
    fn next(&mut self) -> Option<&'b [u8]> {
        if self.equal.records == 0 {
            self.equal = *self.lengths.next()?;
        }
        self.equal.records -= 1;
        let (record, rest) = self.rest.split_at(self.equal.bytes as usize);
        self.rest = rest;
        Some(record)
    }
}

fn trim<T>(items: &mut Vec<T>) {
    let unused = items.capacity() - items.len();
    let is_little = unused * size_of::<T>() <= UNUSED_BYTES;
    if !is_little && unused > items.len() / UNUSED_OF_LENGTH {
        items.shrink_to_fit();
    }
}

/// Position of a record in a buffer: its bytes, the number of its length, and the number of records of that length that
/// follow.
#[derive(Default)]
struct BufferPosition {
    record: Range<usize>,
    next_length: usize,
    left: u32,
}

impl BufferPosition {
    /// Advances to the next record. Returns `false` if there is none.
    fn advance(&mut self, buffer: &RecordBuffer) -> bool {
        let mut bytes = self.record.len();
        if self.left == 0 {
            let Some(equal) = buffer.lengths.get(self.next_length) else {
                return false;
            };
            self.next_length += 1;
            (bytes, self.left) = (equal.bytes as usize, equal.records);
        }
        self.left -= 1;
        self.record = self.record.end..self.record.end + bytes;
        true
    }
}

impl MapPart for RecordBuffer {
    type Layout = ();
    type File = PartFile;

    const LIMIT: KeepLimit = KeepLimit::Granted;

    fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.lengths.capacity() * size_of::<EqualLengths>()
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

/// Records that are in memory together.
enum Block<'b> {
    Buffer(BufferRecords<'b>),
    Frame(FrameRecords<'b>),
}

impl<'b> Block<'b> {
    #[inline(always)]
    fn next(&mut self) -> Result<Option<&'b [u8]>> {
        match self {
            Self::Buffer(records) => Ok(records.next()),
            Self::Frame(records) => records.next(),
        }
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
    // The only loop over records, so that the compiler inlines `each` into it.
    let mut pass = |mut block: Block<'_>| -> Result<Flow> {
        while let Some(record) = block.next()? {
            checks.count()?;
            if T::restore(record, &mut each)?.is_break() {
                return Ok(Flow::Break(()));
            }
        }
        Ok(Flow::Continue(()))
    };
    for part in parts {
        match part {
            Content::Memory(buffer, _memory) => {
                if pass(Block::Buffer(buffer.borrow().records()))?.is_break() {
                    return Ok(Flow::Break(()));
                }
            }
            Content::File(run) => {
                let mut reader = run.reader();
                while let Some(frame) = reader.next_records()? {
                    if pass(Block::Frame(frame))?.is_break() {
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
    /// A part in memory, the current record, and the memory.
    Memory(M, BufferPosition, R),
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
                Some(Content::Memory(buffer, memory)) => {
                    Some(OpenPart::Memory(buffer, BufferPosition::default(), memory))
                }
                Some(Content::File(run)) => Some(OpenPart::File(run.reader())),
                None => return Ok(None),
            };
        }
        Ok(match &self.part {
            Some(OpenPart::Memory(buffer, at, _)) => {
                Some(&buffer.borrow().bytes[at.record.clone()])
            }
            Some(OpenPart::File(reader)) => reader.current(),
            None => None,
        })
    }

    /// Moves on to the next record of the part. Returns `false` if there is none.
    fn advance(&mut self) -> Result<bool> {
        match &mut self.part {
            Some(OpenPart::Memory(buffer, at, _)) => Ok(at.advance((*buffer).borrow())),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_any_lengths_come_back() {
        let records: Vec<String> = [0, 0, 3, 3, 3, 1, 0, 200, 200, 0]
            .map(|length| "x".repeat(length))
            .into();
        let mut buffer = RecordBuffer::default();
        assert!(buffer.is_empty());
        for record in &records {
            let before = buffer.bytes.len();
            let bytes = buffer.push::<String>(record).unwrap();
            assert!(bytes >= buffer.bytes.len() - before);
        }
        buffer.trim();
        assert!(!buffer.is_empty());
        let parts = || [&buffer, &buffer].map(|buffer| Content::Memory(buffer, ()));
        let twice = records.iter().chain(&records);
        let mut found = Vec::new();
        let flow = replay::<String, _, _>(parts(), &StopFlag::default(), |record| {
            found.push(record);
            Flow::Continue(())
        });
        assert!(flow.unwrap().is_continue());
        assert!(found.iter().eq(twice.clone()));
        let mut reader = RecordReader::new(parts().into());
        for record in twice {
            assert_eq!(reader.next().unwrap(), Some(record.as_bytes()));
        }
        assert_eq!(reader.next().unwrap(), None);
    }
}
