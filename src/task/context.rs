//! One attempt at one partition of one stage.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::job::JobOutputs;
use super::{CounterUpdate, Flow, JobState, MapBlock, Resources, Site, StoredPartition};
use crate::counter::Tallying;
use crate::error::{Error, ErrorContext, ErrorKind, Result, caught, panicked};
use crate::id::ShuffleId;
use crate::text::SplitReader;

/// What a pipeline can ask and tell while it computes a partition.
pub struct Task<'job> {
    job: &'job JobState,
    outputs: Arc<JobOutputs>,
    stage: usize,
    partition: usize,
    split_reader: Option<&'job SplitReader>,
    /// Whether what it does belongs to no single partition.
    is_of_stage: bool,
    /// The closure that was running when a panic began to unwind.
    panicked_in: Cell<Option<Site>>,
    /// The first error of a closure; the pipeline breaks off once it is set.
    failure: RefCell<Option<Error>>,
    /// The address of the record of text that is being worked on: one store for each. Where that is in its file is seen
    /// when it is asked for.
    record: Cell<Option<NonZeroUsize>>,
    /// The record that was being worked on when things went wrong.
    origin: RefCell<Option<(Arc<Path>, Option<u64>)>>,
    /// Whether the closure that panicked or failed works on earlier records than the source does.
    is_batched: Cell<bool>,
    /// Whether what is done is for earlier partitions too.
    is_of_group: Cell<bool>,
    /// How many erased boundaries there are between the pipeline's result and what it runs.
    boundaries: Cell<usize>,
}

impl std::fmt::Debug for Task<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("stage", &self.stage)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}

impl<'job> Task<'job> {
    pub(crate) fn new(job: &'job JobState, stage: usize, partition: usize) -> Self {
        Self {
            job,
            outputs: job.outputs(),
            stage,
            partition,
            split_reader: None,
            is_of_stage: false,
            panicked_in: Cell::new(None),
            failure: RefCell::new(None),
            record: Cell::new(None),
            origin: RefCell::new(None),
            is_batched: Cell::new(false),
            is_of_group: Cell::new(false),
            boundaries: Cell::new(0),
        }
    }

    /// The same, on a thread that reads text with `split_reader` from one task to the next.
    pub(crate) fn reading_with(self, split_reader: &'job SplitReader) -> Self {
        Self {
            split_reader: Some(split_reader),
            ..self
        }
    }

    /// What belongs to no single partition of a stage, and is done once only.
    pub(crate) fn of_no_partition(job: &'job JobState, stage: usize) -> Self {
        Self {
            is_of_stage: true,
            ..Self::new(job, stage, 0)
        }
    }

    /// The partition's number in its stage.
    pub(crate) fn partition(&self) -> usize {
        self.partition
    }

    /// Whether the job has ended for others, so that going on is a waste. To be asked once a block, not once a record.
    pub(crate) fn is_stopped(&self) -> bool {
        self.job.is_stopped()
    }

    /// The memory that the job's tasks share, and where they put what does not fit.
    pub(crate) fn resources(&self) -> &Resources {
        self.job.resources()
    }

    /// What the tasks before this one on its thread read text with, and those after it will.
    pub(crate) fn split_reader(&self) -> Option<&SplitReader> {
        self.split_reader
    }

    /// Says that what comes now is for earlier partitions, too: an error is of none of them.
    pub(crate) fn leave_partition(&self) {
        self.is_of_group.set(true);
    }

    /// Counts input bytes, for the progress bar.
    pub(crate) fn count_read(&self, bytes: u64) {
        self.job.progress().add_bytes(bytes);
    }

    /// The count of input bytes, for those who add to it as they read.
    pub(crate) fn bytes_read(&self) -> &AtomicU64 {
        self.job.progress().bytes_read()
    }

    /// What the map side of `shuffle` left behind; if that was in other processes, `import` makes it of their blocks.
    pub(crate) fn map_outputs<O: Any + Send + Sync>(
        &self,
        shuffle: ShuffleId,
        import: impl FnOnce(&[MapBlock]) -> Result<O>,
    ) -> Result<Arc<O>> {
        match self.job.imports() {
            Some(imports) => imports.get(shuffle, import),
            None => self.outputs.get(shuffle),
        }
    }

    /// What the map side of `shuffle` left behind, if that was in this process.
    pub(crate) fn map_outputs_here<O: Any + Send + Sync>(
        &self,
        shuffle: ShuffleId,
    ) -> Option<Arc<O>> {
        self.outputs.get(shuffle).ok()
    }

    /// Leaves a persisted partition to the driver, if the task comes to its end.
    pub(crate) fn put_stored(&self, stored: StoredPartition) {
        self.job.put_stored(stored);
    }

    /// How often the outputs that this task reads had been made anew.
    pub(crate) fn generation(&self) -> usize {
        self.outputs.generation()
    }

    /// Calls a closure of the program, or what may call one, for the operator at `site`, which is named if it panics.
    /// That costs nothing if it does not.
    #[inline(always)]
    pub(crate) fn call<R>(&self, site: &Site, closure: impl FnOnce() -> R) -> R {
        self.call_within(site, None, closure)
    }

    /// The same for a closure that is not called with the record at hand, but with one that came before.
    #[inline(always)]
    pub(crate) fn call_batched<R>(&self, site: &Site, closure: impl FnOnce() -> R) -> R {
        self.call_within(site, Some(&self.is_batched), closure)
    }

    #[inline(always)]
    fn call_within<R>(
        &self,
        site: &Site,
        is_batched: Option<&Cell<bool>>,
        closure: impl FnOnce() -> R,
    ) -> R {
        let entered = Entered {
            panicked_in: &self.panicked_in,
            site,
            is_batched,
        };
        let result = closure();
        std::mem::forget(entered);
        result
    }

    /// Runs the part of the pipeline behind one more erased boundary; `work` is told how many there are.
    pub(crate) fn in_boundary<R>(&self, work: impl FnOnce(usize) -> R) -> R {
        let boundaries = self.boundaries.get() + 1;
        self.boundaries.set(boundaries);
        let result = work(boundaries);
        self.boundaries.set(boundaries - 1);
        result
    }

    /// How many erased boundaries what runs now is behind.
    pub(crate) fn boundaries(&self) -> usize {
        self.boundaries.get()
    }

    /// Runs `work` on records that came before the one that the source is at.
    pub(crate) fn behind_the_source(&self, work: impl FnOnce() -> Flow) -> Flow {
        /// Dropped by unwinding, it tells that the source's place is not that of the panic.
        struct Behind<'a>(&'a Cell<bool>);

        impl Drop for Behind<'_> {
            #[cold]
            fn drop(&mut self) {
                self.0.set(true);
            }
        }

        let behind = Behind(&self.is_batched);
        let flow = work();
        std::mem::forget(behind);
        if flow.is_break() && self.has_failed() {
            self.is_batched.set(true);
        }
        flow
    }

    /// Keeps the error that a closure returned and breaks the pipeline off. Never inlined, so that the loops over records,
    /// which it is called in, stay small.
    #[cold]
    #[inline(never)]
    pub(crate) fn fail<E>(&self, site: Site, source: E) -> Flow
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (context, source) = (ErrorContext::from(site), source.into());
        self.fail_with(Error::new(ErrorKind::Closure { context, source }))
    }

    /// Keeps an error that has its place already and breaks the pipeline off.
    #[cold]
    pub(crate) fn fail_with(&self, error: Error) -> Flow {
        self.failure.borrow_mut().get_or_insert(error);
        Flow::Break(())
    }

    /// Keeps an error of the operator at `site` and breaks the pipeline off.
    #[cold]
    pub(crate) fn fail_at(&self, site: Site, error: Error) -> Flow {
        self.fail_with(error.at(site))
    }

    /// Whether the pipeline broke off because of an error.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// Says which record of a piece of text is being worked on.
    #[inline(always)]
    pub(crate) fn enter_record(&self, record: &[u8]) {
        self.record.set(NonZeroUsize::new(record.as_ptr().addr()));
    }

    /// Says that none is, yet, of the next piece.
    pub(crate) fn leave_record(&self) {
        self.record.set(None);
    }

    pub(crate) fn record_address(&self) -> Option<usize> {
        self.record.get().map(NonZeroUsize::get)
    }

    /// Notes which record of which file was being worked on, for the error's place. The first note counts.
    #[cold]
    pub(crate) fn note_origin(&self, path: &Arc<Path>, offset: Option<u64>) {
        self.origin
            .borrow_mut()
            .get_or_insert_with(|| (Arc::clone(path), offset));
    }

    /// Runs `work`, and turns what its closures did wrong into an error that has a place. The result is given back only
    /// if all is well: after an error it is made of a part of the records. What closures have added to counters counts
    /// then, too.
    ///
    /// The first error is the one that is given back. A closure that is handed a part of a group, since the rest is
    /// damaged, may panic because of that, and the panic is of no interest.
    pub(crate) fn guard<R>(self, work: impl FnOnce(&Self) -> Result<R>) -> Result<R> {
        let tallying = Tallying::begin();
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&self)));
        let outcome =
            outcome.unwrap_or_else(|payload| Err(panicked(self.panicked_in.get(), payload)));
        match (outcome, self.failure.take()) {
            (Ok(result), None) => {
                // A task that was broken off, since the job has ended for others, may have counted a part of its records.
                // If its stage is tried again, the partition is computed as a whole.
                if !self.is_stopped() {
                    self.job.put_counter_update(CounterUpdate {
                        stage: self.stage,
                        partition: Some(self.partition).filter(|_| !self.is_of_stage),
                        counts: tallying.end(),
                    });
                }
                Ok(result)
            }
            (Err(error), None) => Err(self.placed(error)),
            (outcome, Some(error)) => {
                // Dropping what was made of a part of the records may call the program.
                let _ = caught(None, || {
                    drop(outcome);
                    Ok(())
                });
                Err(self.placed(error))
            }
        }
    }

    fn placed(&self, mut error: Error) -> Error {
        if let Some(context) = error.context_mut() {
            context.stage = Some(self.stage);
            context.partition = Some(self.partition).filter(|_| !self.is_of_group.get());
            let origin = self.origin.take().filter(|_| !self.is_batched.get());
            if let Some((path, offset)) = origin {
                context.path = Some(path.to_path_buf());
                context.offset = offset;
            }
        }
        error
    }
}

/// A closure of the program is running. Dropped by unwinding, it tells whose closure panicked.
struct Entered<'a> {
    panicked_in: &'a Cell<Option<Site>>,
    site: &'a Site,
    is_batched: Option<&'a Cell<bool>>,
}

impl Drop for Entered<'_> {
    #[cold]
    fn drop(&mut self) {
        // The innermost closure unwinds first, and it is the one to name.
        if self.panicked_in.get().is_none() {
            self.panicked_in.set(Some(*self.site));
            if let Some(is_batched) = self.is_batched {
                is_batched.set(true);
            }
        }
    }
}
