//! `from_source`: the records of a format that another crate defines. A source.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::counter::{BadRecord, BadRecords};
use crate::error::{BoxError, Error, ErrorContext, ErrorKind, Result};
use crate::pipeline::{Data, Pipeline, Record, Ref};
use crate::portable::portable;
use crate::task::{Flow, Partition, STOP_CHECK_RECORDS, Site, SourcePosition, Task};

/// An input whose records become a bag, by [`from_source`](crate::from_source).
///
/// Implement it to read a format or a store. The value describes the input: paths, options, the schema. It is sent to
/// worker processes by serde, as is each split, so a source runs on every [executor](crate::Executor).
///
/// # Examples
///
/// Files of 32-bit numbers, with up to 1,024 numbers in a partition:
///
/// ```
/// use std::fs::{self, File};
/// use std::io::Read;
/// use std::ops::ControlFlow;
/// use std::os::unix::fs::FileExt;
///
/// use holdall::{BoxError, Context, Reading, Source};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Numbers {
///     path: String,
/// }
///
/// impl Source for Numbers {
///     /// Start and end, in bytes.
///     type Split = (u64, u64);
///     type Item = u32;
///
///     fn splits(&self) -> Result<Vec<(u64, u64)>, BoxError> {
///         let bytes = fs::metadata(&self.path)?.len();
///         Ok((0..bytes).step_by(4096).map(|start| (start, bytes.min(start + 4096))).collect())
///     }
///
///     fn read(
///         &self,
///         &(start, end): &(u64, u64),
///         reading: &Reading<'_>,
///         mut emit: impl FnMut(u32) -> ControlFlow<()>,
///     ) -> Result<(), BoxError> {
///         reading.set_file(&self.path);
///         reading.set_record(start / 4 + 1);
///         let mut block = vec![0; (end - start) as usize];
///         File::open(&self.path)?.read_exact_at(&mut block, start)?;
///         reading.count_bytes(end - start);
///         for number in block.chunks(4) {
///             if emit(u32::from_le_bytes(number.try_into()?)).is_break() {
///                 break;
///             }
///         }
///         Ok(())
///     }
///
///     fn name(&self) -> &'static str {
///         "read_numbers"
///     }
///
///     fn bytes(&self, (start, end): &(u64, u64)) -> Option<u64> {
///         Some(end - start)
///     }
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("numbers").to_str().unwrap().to_owned();
/// fs::write(&path, (0..3000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>()).unwrap();
/// let numbers = holdall::from_source(Numbers { path })?;
/// assert_eq!(numbers.partitions(), Some(3));
/// assert_eq!(numbers.clone().max()?, Some(2999));
///
/// let error = numbers.map(|n| assert_ne!(n, 2000)).count().unwrap_err();
/// assert_eq!(error.context().unwrap().record, Some(2001));
/// # Ok::<(), holdall::Error>(())
/// ```
pub trait Source: Data + Sync {
    /// The part of the input that one task reads: a file, a row group, a range of bytes.
    type Split: Data + Sync;

    /// The type of the records. `str` and `[u8]` are passed on as slices of the source's buffer.
    type Item: Record + ?Sized;

    /// Divides the input into splits. Each of them becomes a partition, in this order.
    ///
    /// Called once, in the process that creates the bag. The splits should depend on the input only, not on the
    /// machine, so that [results do not either](crate#order-and-partitions).
    ///
    /// # Errors
    ///
    /// Returns an error if the input cannot be found or divided.
    fn splits(&self) -> Result<Vec<Self::Split>, BoxError>;

    /// Passes the records of a split to `emit`, until it returns `Break`.
    ///
    /// Called in a task, and again if the task is retried or if another job reads the bag. It must then pass on the
    /// same records. `emit` returns `Break` if no more records are needed, and if the task must end. If `read` calls it
    /// again, the record is dropped, and what `read` returns after a `Break` is ignored.
    ///
    /// The compiler fuses `emit` with the operators that follow, so a call costs no more than that of a function. A
    /// panic of such an operator unwinds through `read`; do not catch it.
    ///
    /// # Errors
    ///
    /// Returns an error if the split cannot be read. The action then returns [`ErrorKind::Read`], with the place that
    /// `reading` has, and with this error as its source. An error that is already a [`holdall::Error`](crate::Error) is
    /// returned as it is.
    fn read(
        &self,
        split: &Self::Split,
        reading: &Reading<'_>,
        emit: impl for<'a> FnMut(<Self::Item as Record>::Ref<'a>) -> ControlFlow<()>,
    ) -> Result<(), BoxError>;

    /// Returns the name of the method or function that creates the bag, for errors and
    /// [`explain`](crate::Bag::explain).
    fn name(&self) -> &'static str {
        "from_source"
    }

    /// Returns details for [`explain`](crate::Bag::explain), such as the number of files.
    fn detail(&self) -> String {
        String::new()
    }

    /// Returns the size of a split in bytes, if it is known: the number of bytes that `read` will
    /// [count](Reading::count_bytes).
    ///
    /// The progress bar shows it. A join shuffles the smaller bag first if the sizes of all splits of both bags are
    /// known.
    fn bytes(&self, _split: &Self::Split) -> Option<u64> {
        None
    }
}

/// The task that reads a split of a [`Source`].
///
/// The source tells it the place of the current record. Errors of the source, and errors and panics of the closures
/// that process the record, then have that [place](crate::ErrorContext). Setting a place is as cheap as storing a
/// number, except for [`set_file`](Reading::set_file).
///
/// [`Source`] has an example.
pub struct Reading<'t> {
    task: &'t Task<'t>,
    /// Position of another source, whose closure reads this one.
    around: SourcePosition,
    /// Whether the source knows that the task must end.
    is_stopped: Cell<bool>,
}

impl<'t> Reading<'t> {
    fn new(task: &'t Task<'t>) -> Self {
        Self {
            task,
            around: task.position().replace(SourcePosition::default()),
            is_stopped: Cell::default(),
        }
    }

    /// Sets the file of the records that follow, or another name of their origin, such as a URL. Their offset and
    /// number are unknown until they are set.
    pub fn set_file(&self, path: impl AsRef<Path>) {
        self.task.position().set_file(path.as_ref().into());
    }

    /// Sets the offset of the next record in its file, in bytes. It remains until it is set again.
    #[inline]
    pub fn set_offset(&self, offset: u64) {
        self.task.position().set_offset(offset);
    }

    /// Sets the number of the next record in its file, counted from 1. Each record that is emitted adds 1.
    #[inline]
    pub fn set_record(&self, number: u64) {
        self.task.position().set_record(number);
    }

    /// Sets whether offsets are those of lines of text, so that errors also have the number of the line. Default:
    /// `false`.
    pub fn set_has_lines(&self, has_lines: bool) {
        self.task.position().set_has_lines(has_lines);
    }

    /// Counts bytes that were read, for the progress bar, the [events](crate::events) and the summary of the job. Call
    /// it once per block, not once per record.
    pub fn count_bytes(&self, bytes: u64) {
        self.task.count_read(bytes);
    }

    /// Returns whether the task must end, because its result is no longer needed. `emit` checks it once per 1,024
    /// records. Call this method only in work that takes long and emits nothing. If it returns `true`, `read` should
    /// return; what it returns is ignored.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        if self.task.is_stopped() {
            self.is_stopped.set(true);
        }
        self.is_stopped.get()
    }

    /// Skips the current record: `bad` takes it, with its place, the reason and its text, if that is known.
    ///
    /// # Errors
    ///
    /// Returns an error if the job has more bad records than the [limit](BadRecords::limit), or if the quarantine cannot
    /// be written. `read` should return it.
    pub fn reject(
        &self,
        bad: &BadRecords,
        reason: &dyn std::fmt::Display,
        text: Option<&[u8]>,
    ) -> Result<(), BoxError> {
        Ok(bad.reject(self.task.bad_record(reason, text))?)
    }

    /// Skips the rest of a file or of a part of it, which cannot be read.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`reject`](Self::reject).
    pub fn reject_file(
        &self,
        bad: &BadRecords,
        path: &Path,
        reason: &dyn std::fmt::Display,
    ) -> Result<(), BoxError> {
        Ok(bad.reject(BadRecord::of_file(path, reason.to_string()))?)
    }

    /// Counts an emitted record. Breaks if the task must end.
    #[inline(always)]
    fn end_record(&self) -> Flow {
        let emitted = self.task.position().end_record();
        if emitted.is_multiple_of(STOP_CHECK_RECORDS as u64) && self.task.is_stopped() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.task.note_origin();
        }
        let around = std::mem::take(&mut self.around);
        self.task.position().replace(around);
    }
}

impl std::fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading")
            .field("origin", &self.task.record_origin())
            .finish_non_exhaustive()
    }
}

/// The pipeline of a [`Source`], which [`Context::from_source`](crate::Context::from_source) returns. An extension trait can
/// name it as the type of its bags.
pub struct FromSource<S: Source> {
    pub(crate) source: Arc<S>,
    pub(crate) splits: Vec<S::Split>,
    pub(crate) site: Site,
}

portable! {
    [S: Source] FromSource<S> { site: part, source: state, splits: values }
}

impl<S: Source> std::fmt::Debug for FromSource<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FromSource").finish_non_exhaustive()
    }
}

impl<S: Source> FromSource<S> {
    /// Divides `source` into splits.
    pub(crate) fn new(source: S, site: Site) -> Result<Self> {
        let splits = source.splits().map_err(|cause| failed(cause, site))?;
        let source = Arc::new(source);
        Ok(Self {
            source,
            splits,
            site,
        })
    }

    /// Returns the size of all splits in bytes, if it is known of each.
    pub(crate) fn bytes(&self) -> Option<u64> {
        let mut sizes = self.splits.iter().map(|split| self.source.bytes(split));
        sizes.try_fold(0_u64, |sum, bytes| Some(sum.saturating_add(bytes?)))
    }
}

#[cold]
fn failed(cause: BoxError, site: Site) -> Error {
    let context = ErrorContext::from(site);
    Error::of_cause(cause, |source| ErrorKind::Read { context, source }).at(site)
}

impl<S: Source> Pipeline for FromSource<S> {
    type Out = S::Item;

    fn partitions(&self) -> Option<usize> {
        Some(self.splits.len())
    }

    fn run<K>(&self, partition: Partition, task: &Task<'_>, sink: &mut K) -> Result<Flow>
    where
        K: for<'a> FnMut(Ref<'a, S::Item>) -> Flow,
    {
        let reading = Reading::new(task);
        let mut flow = ControlFlow::Continue(());
        let read = task.call(&self.site, || {
            let split = &self.splits[partition.index];
            self.source.read(split, &reading, |record| {
                // The source may go on after a break.
                flow?;
                flow = sink(record);
                if flow.is_break() {
                    if task.has_failed() {
                        task.note_origin();
                    }
                } else {
                    flow = reading.end_record();
                }
                flow
            })
        });
        if flow.is_break() || reading.is_stopped.get() {
            return Ok(ControlFlow::Break(()));
        }
        read.map_err(|cause| {
            task.note_origin();
            failed(cause, self.site)
        })?;
        Ok(flow)
    }
}
