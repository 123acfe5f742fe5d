//! `map_partitions`: a closure that sees a partition as a whole. Narrow.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::pipeline::{Data, Pipeline, Record, Ref};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

/// The records of one partition, to be gone through once.
///
/// What [`map_partitions`](crate::Bag::map_partitions) hands to its closure.
///
/// # Examples
///
/// ```
/// use holdall::Records;
///
/// fn longest(lines: Records<'_, str>) -> usize {
///     let mut longest = 0;
///     lines.for_each(|line| longest = longest.max(line.len()));
///     longest
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

/// What is called with each record.
type Each<'e, T> = dyn for<'a> FnMut(Ref<'a, T>) -> Flow + 'e;

impl<T: Record + ?Sized> Records<'_, T> {
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

    /// Calls `op` with each record, in order, until it breaks off. What comes behind is not computed.
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
}

impl<T: Record + ?Sized> std::fmt::Debug for Records<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Records")
    }
}

pub(crate) struct MapPartitions<P, S, F, U> {
    pub(crate) parent: Arc<P>,
    pub(crate) state: Arc<S>,
    pub(crate) op: F,
    pub(crate) site: Site,
    pub(crate) out: PhantomData<fn() -> U>,
}

portable! {
    [P: Portable, S: Data + Sync, F, U] MapPartitions<P, S, F, U> {
        parent: part, site: part, state: state, op: code, out: part,
    }
}

/// What went wrong before the closure of the program, which has seen a part of the records only. If it panics, it may do
/// so because of that: then this is the error of the task.
struct Outcome<'t> {
    task: &'t Task<'t>,
    error: RefCell<Option<Error>>,
}

impl Drop for Outcome<'_> {
    fn drop(&mut self) {
        if let Some(error) = self.error.take() {
            let _ = self.task.fail_with(error);
        }
    }
}

impl<P, S, F, U> Pipeline for MapPartitions<P, S, F, U>
where
    P: Pipeline,
    S: Data + Sync,
    F: for<'r, 'e> Fn(&S, usize, Records<'r, P::Out>, &'e mut (dyn FnMut(U) + 'e))
        + Send
        + Sync
        + 'static,
    U: 'static,
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
        let outcome = Outcome {
            task,
            error: RefCell::default(),
        };
        let stopped = Cell::new(ControlFlow::Continue(()));
        let mut run = |op: &mut Each<'_, P::Out>| {
            if let Some(partition) = partition.take() {
                let pushed = self.parent.run(partition, task, &mut |record| {
                    // The closure of the program runs out after a stop; the records behind it need not.
                    stopped.get()?;
                    op(record)
                });
                // What the closure makes of a part of the records must not pass for what it makes of all.
                if pushed.is_err() || task.is_stopped() {
                    stopped.set(ControlFlow::Break(()));
                }
                outcome.error.replace(pushed.err());
            }
        };
        task.call(&self.site, || {
            (self.op)(&self.state, index, Records(&mut run), &mut |record| {
                // What is emitted after an error upstream is of no use to anybody.
                if stopped.get().is_continue() && !task.has_failed() {
                    stopped.set(sink(record));
                }
            })
        });
        if let Some(error) = outcome.error.take() {
            return Err(error);
        }
        Ok(if task.has_failed() {
            ControlFlow::Break(())
        } else {
            stopped.get()
        })
    }
}
