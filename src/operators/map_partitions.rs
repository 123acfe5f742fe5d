//! `map_partitions`: a closure that processes a whole partition. Narrow.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::try_step::Outcome;
use crate::error::{Error, Result};
use crate::pipeline::{Call, Pipeline, Record, Ref};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

/// The records of one partition, which can be read once.
///
/// The closures of [`map_partitions`](crate::Bag::map_partitions) and [`zip_partitions`](crate::Bag::zip_partitions)
/// receive values of this type.
///
/// # Examples
///
/// ```
/// use holdall::Records;
///
/// fn longest(lines: Records<'_, str>) -> usize {
///     lines.fold(0, |longest, line| longest.max(line.len()))
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("text");
/// std::fs::write(&path, "a bag\nof lines\n").unwrap();
/// let longest = holdall::read_text(&path)?.map_partitions(|lines, emit| emit(longest(lines)));
/// assert_eq!(longest.max()?, Some(8));
/// # Ok::<(), holdall::Error>(())
/// ```
pub struct Records<'r, T: Record + ?Sized>(&'r mut dyn FnMut(&mut Each<'_, T>));

/// A closure that is called with each record.
pub(crate) type Each<'e, T> = dyn for<'a> FnMut(Ref<'a, T>) -> Flow + 'e;

impl<'r, T: Record + ?Sized> Records<'r, T> {
    /// Creates the records that `push` passes to a closure.
    pub(crate) fn new(push: &'r mut dyn FnMut(&mut Each<'_, T>)) -> Self {
        Self(push)
    }

    /// Calls `op` with each record, in order.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::Context::builder().build()?.range_partitioned(0..6, 2);
    /// let lasts = numbers.map_partitions(|numbers, emit| {
    ///     let mut last = None;
    ///     numbers.for_each(|n| last = Some(n));
    ///     emit(last);
    /// });
    /// assert_eq!(lasts.collect()?, [Some(2), Some(5)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn for_each(self, mut op: impl for<'a> FnMut(T::Ref<'a>)) {
        (self.0)(&mut |record| {
            op(record);
            ControlFlow::Continue(())
        });
    }

    /// Calls `op` with each record, in order, until it returns `Break`. Later records are not computed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// let numbers = holdall::Context::builder().build()?.range_partitioned(0..6, 2);
    /// let firsts = numbers.map_partitions(|numbers, emit| {
    ///     numbers.try_for_each(|n| {
    ///         emit(n);
    ///         ControlFlow::Break(())
    ///     });
    /// });
    /// assert_eq!(firsts.collect()?, [0, 3]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn try_for_each(self, mut op: impl for<'a> FnMut(T::Ref<'a>) -> ControlFlow<()>) {
        (self.0)(&mut op);
    }

    /// Folds the records in order with `op`, starting from `initial`.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::Context::default().range_partitioned(0..6, 2);
    /// let sums = numbers.map_partitions(|numbers, emit| emit(numbers.fold(0, |sum, n| sum + n)));
    /// assert_eq!(sums.collect()?, [3, 12]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn fold<A>(self, initial: A, mut op: impl for<'a> FnMut(A, T::Ref<'a>) -> A) -> A {
        let mut result = Some(initial);
        self.for_each(|record| result = result.take().map(|result| op(result, record)));
        result.unwrap_or_else(|| unreachable!("each call of `op` returns a result"))
    }

    /// Returns the number of records.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::Context::default().range_partitioned(0..5, 2);
    /// let counts = numbers.map_partitions(|numbers, emit| emit(numbers.count()));
    /// assert_eq!(counts.collect()?, [2, 3]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn count(self) -> u64 {
        self.fold(0, |count, _| count + 1)
    }

    /// Returns the last record, or `None` if the partition is empty. Copies each record of text.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::Context::default().range_partitioned(0..6, 2);
    /// let lasts = numbers.map_partitions(|numbers, emit| emit(numbers.last()));
    /// assert_eq!(lasts.collect()?, [Some(2), Some(5)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn last(self) -> Option<T::Owned> {
        self.fold(None, |_, record| Some(T::into_owned(record)))
    }

    /// Returns all records of the partition, which must fit into memory. The memory budget does not cover them.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::Context::default().range_partitioned(0..6, 2);
    /// let lists = numbers.map_partitions(|numbers, emit| emit(numbers.collect()));
    /// assert_eq!(lists.collect()?, [[0, 1, 2], [3, 4, 5]]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn collect(self) -> Vec<T::Owned> {
        let mut records = Vec::new();
        self.for_each(|record| records.push(T::into_owned(record)));
        records
    }
}

impl<T: Record + ?Sized> std::fmt::Debug for Records<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Records")
    }
}

pub(crate) struct MapPartitions<P, C, U, R> {
    pub(crate) parent: Arc<P>,
    pub(crate) op: C,
    pub(crate) site: Site,
    pub(crate) out: PhantomData<fn() -> (U, R)>,
}

portable! {
    [P: Portable, C: Portable, U, R] MapPartitions<P, C, U, R> {
        parent: part, site: part, op: part, out: part,
    }
}

/// A call of a closure that processes whole partitions.
pub(crate) struct PartitionCall<'t> {
    task: &'t Task<'t>,
    /// `Break` once the closure needs no more records, and what it emits is discarded.
    flow: Cell<Flow>,
    /// An error upstream of the closure, which has therefore received only some of the records. If the closure then
    /// panics, possibly because of that, the task reports this error and not the panic.
    error: RefCell<Option<Error>>,
}

impl<'t> PartitionCall<'t> {
    pub(crate) fn new(task: &'t Task<'t>) -> Self {
        Self {
            task,
            flow: Cell::new(ControlFlow::Continue(())),
            error: RefCell::default(),
        }
    }

    /// Pushes the records of `partition` to `op`, unless they have been pushed before.
    pub(crate) fn push<P: Pipeline>(
        &self,
        pipeline: &P,
        partition: Option<Partition>,
        op: &mut Each<'_, P::Out>,
    ) {
        let Some(partition) = partition.filter(|_| self.flow.get().is_continue()) else {
            return;
        };
        let pushed = pipeline.run(partition, self.task, &mut |record| {
            // After a stop the user closure still runs to its end, but needs no more records.
            self.flow.get()?;
            op(record)
        });
        // If the closure has received only some of the records, its result must be discarded.
        if pushed.is_err() || self.task.is_stopped() {
            self.flow.set(ControlFlow::Break(()));
        }
        if let Err(error) = pushed {
            self.error.borrow_mut().get_or_insert(error);
        }
    }

    /// Calls `emit`, which emits a record of the closure, unless the record must be discarded: after an error upstream,
    /// or if no more records are needed.
    pub(crate) fn emit(&self, emit: impl FnOnce() -> Flow) {
        if self.flow.get().is_continue() && !self.task.has_failed() {
            self.flow.set(emit());
        }
    }

    /// Ends the call, after the closure has returned.
    pub(crate) fn finish(self) -> Result<Flow> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        Ok(if self.task.has_failed() {
            ControlFlow::Break(())
        } else {
            self.flow.get()
        })
    }
}

impl Drop for PartitionCall<'_> {
    fn drop(&mut self) {
        if let Some(error) = self.error.take() {
            let _ = self.task.fail_with(error);
        }
    }
}

impl<P, C, U, R> Pipeline for MapPartitions<P, C, U, R>
where
    P: Pipeline,
    C: for<'r, 'e> Call<(usize, Records<'r, P::Out>, &'e mut (dyn FnMut(U) + 'e)), Out = R>,
    U: 'static,
    R: Outcome,
{
    type Out = U;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<K>(&self, partition: Partition, task: &Task<'_>, sink: &mut K) -> Result<Flow>
    where
        K: FnMut(U) -> Flow,
    {
        let index = partition.index;
        let mut partition = Some(partition);
        let call = PartitionCall::new(task);
        let outcome = task.call(&self.site, || {
            let mut push =
                |op: &mut Each<'_, P::Out>| call.push(&*self.parent, partition.take(), op);
            let emit = &mut |record| call.emit(|| sink(record));
            self.op.call((index, Records::new(&mut push), emit))
        });
        let flow = call.finish()?;
        match outcome.into_result() {
            Ok(()) => Ok(flow),
            Err(error) => Ok(task.fail(self.site, error)),
        }
    }
}
