//! One attempt at one partition of one stage.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::job::JobOutputs;
use super::position::{RecordOrigin, SourcePosition};
use super::{CounterUpdate, Flow, JobState, MapBlocks, Resources, Site, StoredPartition};
use crate::counter::{BadRecord, BadRecords, Tallying, put_failure, take_failure};
use crate::error::{BoxError, Error, ErrorContext, ErrorKind, Result, caught, panicked};
use crate::id::ShuffleId;
use crate::text::{SplitReader, line_at};

/// The context of a running task: its input and resources, and its errors.
pub struct Task<'job> {
    job: &'job JobState,
    outputs: Arc<JobOutputs>,
    stage: usize,
    partition: usize,
    split_reader: Option<&'job SplitReader>,
    /// Whether its work belongs to no single partition.
    is_of_stage: bool,
    /// The closure in which a panic began to unwind.
    panicked_in: Cell<Option<Site>>,
    /// The first error of a closure. The pipeline stops once it is set.
    failure: RefCell<Option<Error>>,
    /// Address of the current record of text, which costs one store for each record. Its position in the file is
    /// computed only for an error.
    record: Cell<Option<NonZeroUsize>>,
    /// Position of the source.
    position: SourcePosition,
    /// Whether the current work belongs to earlier records than the source's.
    is_behind: Cell<bool>,
    /// Position of the record at which an error occurred.
    origin: RefCell<Option<RecordOrigin>>,
    /// Whether the closure that panicked or failed was processing earlier records than the source.
    is_batched: Cell<bool>,
    /// Whether the current work also belongs to earlier partitions.
    is_of_group: Cell<bool>,
    /// Number of erased boundaries between the pipeline's result and the running code.
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
            position: SourcePosition::default(),
            is_behind: Cell::new(false),
            origin: RefCell::new(None),
            is_batched: Cell::new(false),
            is_of_group: Cell::new(false),
            boundaries: Cell::new(0),
        }
    }

    /// Sets the `split_reader` with which this thread reads text in all of its tasks.
    pub(crate) fn reading_with(self, split_reader: &'job SplitReader) -> Self {
        Self {
            split_reader: Some(split_reader),
            ..self
        }
    }

    /// Creates the task for work that belongs to no single partition of a stage, and runs only once.
    pub(crate) fn of_no_partition(job: &'job JobState, stage: usize) -> Self {
        Self {
            is_of_stage: true,
            ..Self::new(job, stage, 0)
        }
    }

    /// Returns the number of the partition in its stage.
    pub(crate) fn partition(&self) -> usize {
        self.partition
    }

    /// Returns whether the job has ended elsewhere, so that this task should stop. Check it once per block, not once
    /// per record.
    pub(crate) fn is_stopped(&self) -> bool {
        self.job.is_stopped()
    }

    /// Returns the memory that the job's tasks share, and the directory for data that exceeds it.
    pub(crate) fn resources(&self) -> &Resources {
        self.job.resources()
    }

    /// Returns the reader that all tasks of this thread use for text.
    pub(crate) fn split_reader(&self) -> Option<&SplitReader> {
        self.split_reader
    }

    /// Records that the following work also belongs to earlier partitions, so that an error names no partition.
    pub(crate) fn leave_partition(&self) {
        self.is_of_group.set(true);
    }

    /// Counts input bytes, for the progress bar.
    pub(crate) fn count_read(&self, bytes: u64) {
        self.job.progress().add_bytes(bytes);
    }

    /// Returns the output of the map side of `shuffle`. If it was computed in other processes, `import` reads it from
    /// their blocks.
    pub(crate) fn map_outputs<O: Any + Send + Sync>(
        &self,
        shuffle: ShuffleId,
        import: impl Fn(MapBlocks<'_>) -> Result<O>,
    ) -> Result<Arc<O>> {
        match self.job.imports() {
            Some(imports) => imports.get(shuffle, import),
            None => self.outputs.get(shuffle),
        }
    }

    /// Returns the output of the map side of `shuffle`, if it was computed in this process.
    pub(crate) fn map_outputs_here<O: Any + Send + Sync>(
        &self,
        shuffle: ShuffleId,
    ) -> Option<Arc<O>> {
        self.outputs.get(shuffle).ok()
    }

    /// Returns what `import` reads of the join filter of `shuffle`, if it was computed in other processes and is complete.
    pub(crate) fn imported_filter<O: Any + Send + Sync>(
        &self,
        shuffle: ShuffleId,
        import: impl Fn(MapBlocks<'_>) -> O,
    ) -> Option<Arc<O>> {
        let imports = self.job.imports()?;
        let filter = imports.get(shuffle.of_filter(), |blocks| Ok(import(blocks)));
        filter.ok()
    }

    /// Passes a persisted partition to the driver, which takes it if the task succeeds.
    pub(crate) fn put_stored(&self, stored: StoredPartition) {
        self.job.put_stored(stored);
    }

    /// Returns how often the outputs that this task reads have been recomputed.
    pub(crate) fn generation(&self) -> usize {
        self.outputs.generation()
    }

    /// Calls a closure of the user, or code that may call one, for the operator at `site`. If it panics, the error
    /// names the site. Otherwise, the call has no overhead.
    #[inline(always)]
    pub(crate) fn call<R>(&self, site: &Site, closure: impl FnOnce() -> R) -> R {
        self.call_within(site, None, closure)
    }

    /// Calls a closure that does not process the current record, but an earlier one. See [`call`](Self::call).
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

    /// Records that the running code is after one more erased boundary, and returns their number.
    pub(crate) fn enter_boundary(&self) -> usize {
        let boundaries = self.boundaries.get() + 1;
        self.boundaries.set(boundaries);
        boundaries
    }

    /// Undoes the last [`enter_boundary`](Self::enter_boundary).
    pub(crate) fn leave_boundary(&self) {
        self.boundaries.set(self.boundaries.get() - 1);
    }

    /// Returns the number of erased boundaries before the running code.
    pub(crate) fn boundaries(&self) -> usize {
        self.boundaries.get()
    }

    /// Runs `work` on earlier records than the current record of the source.
    pub(crate) fn behind_the_source(&self, work: &mut dyn FnMut() -> Flow) -> Flow {
        /// Dropped by unwinding, it records that the source's position is not that of the panic.
        struct Behind<'a>(&'a Cell<bool>);

        impl Drop for Behind<'_> {
            #[cold]
            fn drop(&mut self) {
                self.0.set(true);
            }
        }

        let behind = Behind(&self.is_batched);
        let was_behind = self.is_behind.replace(true);
        let flow = work();
        self.is_behind.set(was_behind);
        std::mem::forget(behind);
        if flow.is_break() && self.has_failed() {
            self.is_batched.set(true);
        }
        flow
    }

    /// Stores the error that a closure returned, and stops the pipeline. Never inlined, to keep the loops over records
    /// that call it small.
    #[cold]
    #[inline(never)]
    pub(crate) fn fail<E>(&self, site: Site, source: E) -> Flow
    where
        E: Into<BoxError>,
    {
        let (context, source) = (ErrorContext::from(site), source.into());
        self.fail_with(Error::new(ErrorKind::Closure { context, source }))
    }

    /// Stores an error that already has its context, and stops the pipeline.
    #[cold]
    pub(crate) fn fail_with(&self, error: Error) -> Flow {
        self.failure.borrow_mut().get_or_insert(error);
        Flow::Break(())
    }

    /// Stores an error of the operator at `site`, and stops the pipeline.
    #[cold]
    pub(crate) fn fail_at(&self, site: Site, error: Error) -> Flow {
        self.fail_with(error.at(site))
    }

    /// Returns the error that [`fail_task`] has stored, if there is one. It may belong to an earlier record.
    #[inline]
    pub(crate) fn take_stored(&self) -> Result<()> {
        match take_failure() {
            None => Ok(()),
            Some(error) => {
                self.is_batched.set(true);
                Err(error)
            }
        }
    }

    /// Returns whether an error has stopped the pipeline.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// Records which record of a piece of text is the current one.
    #[inline(always)]
    pub(crate) fn enter_record(&self, record: &[u8]) {
        self.record.set(NonZeroUsize::new(record.as_ptr().addr()));
    }

    /// Replaces the address of the current record, which is `None` at the start of a piece of text. Returns the previous
    /// one.
    pub(crate) fn replace_record(&self, address: Option<NonZeroUsize>) -> Option<NonZeroUsize> {
        self.record.replace(address)
    }

    /// Returns the position of the source.
    #[inline(always)]
    pub(crate) fn position(&self) -> &SourcePosition {
        &self.position
    }

    /// Returns the place of the current record. Unknown parts are `None`.
    pub(crate) fn record_origin(&self) -> RecordOrigin {
        if self.is_behind.get() {
            return RecordOrigin::default();
        }
        self.position
            .origin(self.record.get().map(NonZeroUsize::get))
    }

    /// Records the position of the current record, for the context of an error, if it is known. The first call counts.
    #[cold]
    pub(crate) fn note_origin(&self) {
        let address = self.record.get().map(NonZeroUsize::get);
        let origin = self.position.origin(address);
        if origin.path.is_some() || origin.offset.is_some() || origin.record.is_some() {
            self.origin.borrow_mut().get_or_insert(origin);
        }
    }

    /// Describes the current record as a bad one, with its `text` if that is known.
    pub(crate) fn bad_record(
        &self,
        reason: &dyn std::fmt::Display,
        text: Option<&[u8]>,
    ) -> BadRecord {
        let origin = self.record_origin();
        BadRecord {
            path: origin.path.map(|path| path.to_path_buf()),
            offset: origin.offset,
            record: origin.record,
            reason: reason.to_string(),
            text: text.map(|text| String::from_utf8_lossy(text).into_owned()),
            is_line: origin.is_line,
            ..BadRecord::default()
        }
    }

    /// Skips the current record of the operator at `site`, with its `text` if that is known. Breaks if the job must end
    /// because of its bad records.
    #[cold]
    #[inline(never)]
    pub(crate) fn reject(
        &self,
        bad: &BadRecords,
        site: Site,
        reason: &dyn std::fmt::Display,
        text: Option<&[u8]>,
    ) -> Flow {
        match bad.reject(self.bad_record(reason, text)) {
            Ok(()) => Flow::Continue(()),
            Err(error) => self.fail_at(site, error),
        }
    }

    /// Runs `work`, and turns panics and errors of its closures into errors with a context. Returns the result only if
    /// there was none, because a result after an error is incomplete. Only then do the changes to counters count.
    ///
    /// If there are several errors, returns the first. If a part of a group is damaged, the closure receives only the
    /// rest. It may panic because of that, and such a panic must not hide the damage.
    pub(crate) fn guard<R>(self, work: impl FnOnce(&Self) -> Result<R>) -> Result<R> {
        let mut work = Some(work);
        let mut result = None;
        let outcome = self.guard_erased(&mut |task| {
            result = work.take().map(|work| work(task)).transpose()?;
            Ok(())
        });
        match (outcome, result) {
            (Ok(()), Some(result)) => Ok(result),
            (Ok(()), None) => unreachable!("the work has run"),
            (Err(error), result) => {
                drop_quietly(result);
                Err(error)
            }
        }
    }

    /// Like [`guard`](Self::guard), for work that keeps its result.
    fn guard_erased(self, work: &mut dyn FnMut(&Self) -> Result<()>) -> Result<()> {
        let partition = Some(self.partition).filter(|_| !self.is_of_stage);
        let tallying = Tallying::begin(self.stage, partition);
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&self)));
        let outcome =
            outcome.unwrap_or_else(|payload| Err(panicked(self.panicked_in.get(), payload)));
        if let Err(error) = self.take_stored() {
            let _ = self.fail_with(error);
        }
        if let Some(error) = self.failure.take() {
            drop_quietly(outcome);
            return Err(self.placed(error));
        }
        outcome.map_err(|error| self.placed(error))?;
        // A task that stopped because the job has ended may have counted only a part of its records. If its stage is
        // retried, the whole partition is computed again.
        if !self.is_stopped() {
            let (counts, rejects) = tallying.end()?;
            self.job.put_counter_update(CounterUpdate {
                stage: self.stage,
                partition,
                counts,
                rejects,
            });
        }
        Ok(())
    }

    fn placed(&self, mut error: Error) -> Error {
        let names_file = error.names_file();
        if let Some(context) = error.context_mut() {
            context.stage = Some(self.stage);
            context.partition = Some(self.partition).filter(|_| !self.is_of_group.get());
            let origin = self.origin.take();
            let origin = origin.filter(|_| !names_file && !self.is_batched.get());
            if let Some(RecordOrigin {
                path,
                offset,
                record,
                is_line,
            }) = origin
            {
                if let (true, Some(path), Some(offset)) = (is_line, &path, offset) {
                    context.line = line_at(path, offset);
                }
                context.path = path.map(|path| path.to_path_buf());
                context.offset = offset;
                context.record = record;
            }
        }
        error
    }
}

/// Stores the error that a closure returned where neither the task nor a result is at hand, such as in the tables of
/// values by key. The task that this thread runs ends with it, at the latest when its work is done.
#[cold]
#[inline(never)]
pub(crate) fn fail_task<E>(site: Site, source: E)
where
    E: Into<BoxError>,
{
    let (context, source) = (ErrorContext::from(site), source.into());
    put_failure(Error::new(ErrorKind::Closure { context, source }));
}

/// Marks that a closure of the user is running. Dropped by unwinding, it records which closure panicked.
struct Entered<'a> {
    panicked_in: &'a Cell<Option<Site>>,
    site: &'a Site,
    is_batched: Option<&'a Cell<bool>>,
}

impl Drop for Entered<'_> {
    #[cold]
    fn drop(&mut self) {
        // The innermost closure unwinds first, and it is the one to report.
        if self.panicked_in.get().is_none() {
            self.panicked_in.set(Some(*self.site));
            if let Some(is_batched) = self.is_batched {
                is_batched.set(true);
            }
        }
    }
}

/// Drops a value that is not needed because of an earlier error. That may call the user's code, which may panic.
fn drop_quietly<T>(value: T) {
    let _ = caught(None, || {
        drop(value);
        Ok(())
    });
}
