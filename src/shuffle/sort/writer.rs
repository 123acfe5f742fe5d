//! The map side of a sort: a buffer of one thread that becomes a sorted run when it is full.

use super::Sort;
use super::outputs::SortOutputs;
use super::run::RunBuilder;
use super::sample::KeySample;
use crate::error::Result;
use crate::pipeline::Ref;
use crate::shuffle::memory::hints::release_freed_memory;
use crate::storage::memory::Reservation;
use crate::task::Resources;

/// Minimum length of a full buffer, in bytes, whatever the budget says. Shorter runs would cost more to merge than they
/// save.
const MIN_BUFFER_BYTES: usize = 256 << 10;

/// Maximum length of a buffer, in bytes. Longer runs would gain little, and offsets in a buffer must fit into 32 bits.
pub(super) const MAX_BUFFER_BYTES: usize = 1 << 30;

/// Step in which a buffer requests memory, in bytes.
const STEP_BYTES: usize = 1 << 20;

/// Sorts the records of one thread's tasks, which come in ascending order of partition.
///
/// All tasks share one buffer. Runs are therefore as long as memory allows, however many tasks there are, and there are
/// no more runs than the size of the data requires.
pub(crate) struct SortWriter<'s, S: Sort> {
    sort: &'s S,
    outputs: &'s SortOutputs,
    resources: &'s Resources,

    buffer: Option<S::Buffer>,
    reservation: Reservation,
    /// Length of the buffer at which it requests more memory, and at which it is full, in bytes.
    granted_bytes: usize,
    share_bytes: usize,
    /// Number of runs so far, and number of records since the last run.
    runs: usize,
    records: u64,

    task: usize,
    sample: KeySample,
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
            sample: KeySample::new(outputs.sample_size()),
        }
    }

    /// Announces that the next records are those of the `task`-th partition.
    pub(crate) fn begin_task(&mut self, task: usize) {
        self.task = task;
    }

    /// Adds a record.
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

    /// Commits the sample of the task.
    pub(crate) fn end_task(&mut self) {
        let size = self.outputs.sample_size();
        let sample = std::mem::replace(&mut self.sample, KeySample::new(size));
        self.outputs.put_sample(sample);
    }

    /// Reserves memory for more records, or writes the buffered records as a run.
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

    /// Writes the records in the buffer as a run.
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
            stop,
            ..
        } = self.resources;
        progress.add_shuffled(std::mem::take(&mut self.records), S::bytes(buffer) as u64);
        let mut run = RunBuilder::new(budget, scratch, self.outputs.memory_left(budget));
        let mut checks = stop.checks();
        self.sort.drain(buffer, self.runs, stop, |record| {
            checks.count()?;
            run.append(record)
        })?;
        if let Some(run) = run.finish()? {
            self.outputs.put_run(run);
        }
        self.runs += 1;
        Ok(())
    }

    /// Writes the remaining records as a run, and frees the memory.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.end_run()?;
        if self.runs > 1 && self.buffer.take().is_some() {
            // A process that has sorted ten times its budget of 64 MiB shrinks from 110 MB to 60 before it merges.
            release_freed_memory();
        }
        Ok(())
    }
}
