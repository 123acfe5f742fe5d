//! The map side of a sort: a buffer of one thread that becomes a sorted run when it is full.

use super::Sort;
use super::outputs::SortOutputs;
use super::run::RunBuilder;
use super::sample::Sample;
use crate::error::Result;
use crate::pipeline::Ref;
use crate::shuffle::memory::hints::release_freed_memory;
use crate::storage::memory::Reservation;
use crate::task::Resources;

/// A buffer gets this long whatever the budget says: shorter runs would cost more to merge than they save.
const MIN_BUFFER_BYTES: usize = 256 << 10;

/// Longer buffers make no longer runs worth having, and places in them must fit into 32 bits.
pub(super) const MAX_BUFFER_BYTES: usize = 1 << 30;

/// A buffer asks for memory in steps of this length.
const STEP_BYTES: usize = 1 << 20;

/// Sorts the records of one thread's tasks, which come in ascending order of partition.
///
/// One buffer for all of them, not one for each: runs are then as long as memory allows, however many tasks there are,
/// and there are no more of them than the data makes necessary.
pub(crate) struct SortWriter<'s, S: Sort> {
    sort: &'s S,
    outputs: &'s SortOutputs,
    resources: &'s Resources,

    buffer: Option<S::Buffer>,
    reservation: Reservation,
    /// How long the buffer may get before it asks for more, and before it is full.
    granted_bytes: usize,
    share_bytes: usize,
    /// How many runs it has given, and how many records have come since the last.
    runs: usize,
    records: u64,

    task: usize,
    sample: Sample,
}

impl<'s, S: Sort> SortWriter<'s, S> {
    pub(crate) fn new(sort: &'s S, outputs: &'s SortOutputs, resources: &'s Resources) -> Self {
        let share_bytes = resources.share_bytes() / 2;
        Self {
            sort,
            outputs,
            resources,
            buffer: None,
            reservation: resources.budget.reservation(),
            granted_bytes: 0,
            share_bytes: share_bytes.clamp(MIN_BUFFER_BYTES, MAX_BUFFER_BYTES),
            runs: 0,
            records: 0,
            task: 0,
            sample: Sample::new(outputs.sample_size()),
        }
    }

    /// Says that the records to come are those of the `task`-th partition.
    pub(crate) fn begin_task(&mut self, task: usize) {
        self.task = task;
    }

    /// Takes a record in.
    #[inline]
    pub(crate) fn push(&mut self, record: Ref<'_, S::Record>) -> Result<()> {
        let buffer = match &mut self.buffer {
            Some(buffer) => buffer,
            none => none.insert(self.sort.buffer(self.share_bytes)),
        };
        self.sort.push(buffer, self.task, record)?;
        self.records += 1;
        if S::SAMPLED && self.sample.wants_next() {
            self.sample.take(|bytes| self.sort.sample(buffer, bytes))?;
        }
        let bytes = S::bytes(buffer);
        if bytes > self.granted_bytes {
            self.make_room(bytes)?;
        }
        Ok(())
    }

    /// Hands over the sample of the task.
    pub(crate) fn end_task(&mut self) {
        let size = self.outputs.sample_size();
        let sample = std::mem::replace(&mut self.sample, Sample::new(size));
        self.outputs.put_sample(sample);
    }

    /// Gets memory for more records, or makes a run of those there are.
    #[cold]
    fn make_room(&mut self, bytes: usize) -> Result<()> {
        let wanted = (bytes + STEP_BYTES).min(self.share_bytes);
        let reservation = &mut self.reservation;
        if wanted >= bytes && self.resources.reserve(reservation, wanted, || Ok(()))? {
            self.granted_bytes = wanted;
            return Ok(());
        }
        if bytes < MIN_BUFFER_BYTES {
            self.granted_bytes = MIN_BUFFER_BYTES;
            return Ok(());
        }
        self.end_run()
    }

    /// Makes a run of the records in the buffer.
    pub(crate) fn end_run(&mut self) -> Result<()> {
        let Some(buffer) = &mut self.buffer else {
            return Ok(());
        };
        if S::is_empty(buffer) {
            return Ok(());
        }
        let Resources {
            budget,
            scratch,
            progress,
            ..
        } = self.resources;
        progress.add_shuffled(std::mem::take(&mut self.records), S::bytes(buffer) as u64);
        let mut run = RunBuilder::new(budget, scratch, self.outputs.memory_left(budget));
        self.sort
            .drain(buffer, self.runs, |record| run.append(record))?;
        if let Some(run) = run.finish()? {
            self.outputs.put_run(run);
        }
        self.runs += 1;
        Ok(())
    }

    /// Makes a run of the rest, and gives the memory back.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.end_run()?;
        if self.runs > 1 && self.buffer.take().is_some() {
            // A process that had sorted ten times its budget of 64 MiB falls from 110 MB to 60 before it merges.
            release_freed_memory();
        }
        Ok(())
    }
}
