//! Pipelines, and those whose chain of types is forgotten.

use std::any::Any;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::link::{Link, Linked};
use super::stack;
use super::{Owned, Record, Ref, Text};
use crate::error::Result;
use crate::portable::{FunctionEntry, Loader, Portable, Saver};
use crate::task::{Flow, Partition, PartitionStream, Task};
use crate::text::{Needle, TextKind};

/// The most records that cross an erased boundary at once. Handing over one by one costs about 2.5 ns a record, in
/// batches of this many under 1, and about 0.3 if steps process batches as a whole. The batches of several such steps fit
/// into the first-level cache.
const BATCH_RECORDS: usize = 512;

/// The same of records with memory of their own. Those of a batch are all in use at once, and what glibc gives out again
/// at once, without a search, are seven pieces of one size.
const BATCH_OWNERS: usize = 4;

/// Maximum number of records in the batches of all boundaries of a task together: where boundaries are very many, each
/// has a short batch.
const BATCHED_RECORDS: usize = 1 << 20;

/// Boundaries nearest to the result over which text crosses without a look at the stack, which would take as long as
/// the crossing. Together they have to fit into the stack that is left free.
const SHALLOW: usize = 16;

/// A source followed by narrow operators: the second type parameter of [`Bag`](crate::Bag).
///
/// Only this library implements it. Use it in signatures that accept a bag with any chain of operators:
///
/// ```
/// use holdall::{Bag, Pipeline};
///
/// fn evens<P: Pipeline<Out = u64>>(numbers: Bag<u64, P>) -> holdall::Result<u64> {
///     numbers.filter(|n| n % 2 == 0).count()
/// }
/// assert_eq!(evens(holdall::range(0..10))?, 5);
/// # Ok::<(), holdall::Error>(())
/// ```
pub trait Pipeline: Portable + Send + Sync + 'static {
    /// Type of the records that the pipeline emits.
    type Out: Record + ?Sized;

    /// Whether [`run_erased`](Self::run_erased) passes records on in batches only, without pushing them one by one.
    #[doc(hidden)]
    const MAKES_BATCHES: bool = false;

    /// Whether the records come from a type-erased boundary, and therefore in batches, to a pipeline that
    /// [`MAKES_BATCHES`](Self::MAKES_BATCHES).
    #[doc(hidden)]
    const GETS_BATCHES: bool = false;

    /// Returns the number of partitions, if it is known before they are read.
    #[doc(hidden)]
    fn partitions(&self) -> Option<usize>;

    /// Returns the stream of partitions, if [`partitions`](Self::partitions) returns `None`.
    #[doc(hidden)]
    fn stream(&self) -> PartitionStream<'_> {
        unreachable!("the number of partitions is known")
    }

    /// Erases the types of the operators.
    #[doc(hidden)]
    fn erase(self: Arc<Self>) -> Boxed<Self::Out> {
        Boxed::new(self)
    }

    /// Pushes the records of one partition into `sink`, until it returns `Break`.
    #[doc(hidden)]
    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, Self::Out>) -> Flow;

    /// Pushes the records of one partition into a sink whose type is erased.
    ///
    /// Operators whose code is long override it, so that the code exists once for all operators that share it.
    #[doc(hidden)]
    fn run_erased(
        &self,
        partition: Partition,
        task: &Task<'_>,
        sink: ErasedSink<'_, Self::Out>,
    ) -> Result<Flow> {
        push_erased(self, partition, task, sink)
    }

    /// Returns the number of records of one partition. Sources that can count without reading records override it.
    #[doc(hidden)]
    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        if Self::GETS_BATCHES {
            return count_erased(self, partition, task);
        }
        let mut count = 0;
        let _ = self.run(partition, task, &mut |_| {
            count += 1;
            Flow::Continue(())
        })?;
        Ok(count)
    }

    /// Returns the number of records of one partition, if it is known without reading or computing any.
    #[doc(hidden)]
    fn known_count(&self, _partition: usize, _task: &Task<'_>) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Pushes the records of one partition that contain `needle`.
    ///
    /// Sources that can search many records together override it.
    #[doc(hidden)]
    fn run_containing<S>(
        &self,
        needle: &Needle,
        partition: Partition,
        task: &Task<'_>,
        sink: &mut S,
    ) -> Result<Flow>
    where
        Self::Out: Text,
        S: for<'a> FnMut(Ref<'a, Self::Out>) -> Flow,
    {
        self.run(partition, task, &mut |record| {
            let is_in = needle.is_in(Self::Out::peek(&record).as_ref());
            if is_in {
                sink(record)
            } else {
                Flow::Continue(())
            }
        })
    }

    /// Pushes the text of one partition into `sink` in the largest available pieces that end at the end of a record.
    ///
    /// The [`TextKind`] tells `sink` whether a piece is one record or consists of lines. Lines end with `"\n"`, with
    /// `"\r\n"`, or at the end of the piece. Operators that search for units smaller than a record use this method.
    #[doc(hidden)]
    fn run_text<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        Self::Out: Text,
        S: FnMut(&<Self::Out as Text>::Slice, TextKind) -> Flow,
    {
        self.run(partition, task, &mut |record| {
            sink(Self::Out::peek(&record).as_slice(), TextKind::Record)
        })
    }
}

/// A pipeline known only by the records that come out of it: what [`Bag::boxed`](crate::Bag::boxed) gives, and what
/// every wide operator gives.
///
/// It is the default of the second parameter of [`Bag`](crate::Bag), and so is rarely written.
///
/// # Examples
///
/// ```
/// use holdall::{Bag, Boxed};
///
/// fn numbers(only_even: bool) -> Bag<u64, Boxed<u64>> {
///     let numbers = holdall::range(0..10);
///     if only_even { numbers.filter(|n| n % 2 == 0).boxed() } else { numbers.boxed() }
/// }
///
/// let even: Bag<u64> = numbers(true);
/// assert_eq!(even.count()?, 5);
/// # Ok::<(), holdall::Error>(())
/// ```
pub struct Boxed<T: Record + ?Sized> {
    pipeline: Link<dyn Erased<T>>,
    /// Kept, so that no caller has to ask the whole pipeline.
    partitions: Option<usize>,
}

impl<T: Record + ?Sized> Boxed<T> {
    pub(crate) fn new(pipeline: Arc<dyn Erased<T>>) -> Self {
        Self {
            partitions: pipeline.partitions(),
            pipeline: Link::new(pipeline),
        }
    }

    pub(super) fn erased(&self) -> &dyn Erased<T> {
        &**self.pipeline
    }
}

impl<T: Record + ?Sized> Clone for Boxed<T> {
    fn clone(&self) -> Self {
        Self {
            pipeline: self.pipeline.clone(),
            partitions: self.partitions,
        }
    }
}

impl<T: Record + ?Sized> std::fmt::Debug for Boxed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Boxed")
    }
}

/// Destination of the records of an erased pipeline.
pub struct ErasedSink<'s, T: Record + ?Sized> {
    each: &'s mut dyn for<'a> FnMut(Ref<'a, T>) -> Flow,
    batch: &'s mut dyn FnMut(&mut Vec<Owned<T>>) -> Flow,
}

impl<T: Record + ?Sized> std::fmt::Debug for ErasedSink<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ErasedSink")
    }
}

impl<'s, T: Record + ?Sized> ErasedSink<'s, T> {
    /// Passes on a batch and empties it.
    pub(crate) fn push_batch(&mut self, records: &mut Vec<Owned<T>>) -> Flow {
        (self.batch)(records)
    }
}

/// Implements [`Pipeline::run_erased`] by [`Pipeline::run`].
pub(crate) fn push_erased<P: Pipeline>(
    pipeline: &P,
    partition: Partition,
    task: &Task<'_>,
    sink: ErasedSink<'_, P::Out>,
) -> Result<Flow> {
    let mut sink = BatchSink::new(task, sink);
    let flow = pipeline.run(partition, task, &mut |record| sink.push(record))?;
    Ok(sink.end(flow))
}

/// Passes the records of a pipeline that [`MAKES_BATCHES`](Pipeline::MAKES_BATCHES) to `batch`, which empties each batch.
pub(crate) fn run_batches<P: Pipeline>(
    pipeline: &P,
    partition: Partition,
    task: &Task<'_>,
    mut batch: impl FnMut(&mut Vec<Owned<P::Out>>) -> Flow,
) -> Result<Flow> {
    let each = &mut |_: Ref<'_, P::Out>| unreachable!("the records come in batches");
    pipeline.run_erased(
        partition,
        task,
        ErasedSink {
            each,
            batch: &mut batch,
        },
    )
}

/// Collects records into batches for an erased sink.
pub(crate) struct BatchSink<'s, T: Record + ?Sized> {
    sink: ErasedSink<'s, T>,
    batch: Vec<Owned<T>>,
    /// Number of records of a full batch, and its maximum.
    full: usize,
    most: usize,
}

impl<'s, T: Record + ?Sized> BatchSink<'s, T> {
    pub(crate) fn new(task: &Task<'_>, sink: ErasedSink<'s, T>) -> Self {
        let most = match std::mem::needs_drop::<Owned<T>>() {
            true => BATCH_OWNERS,
            false => BATCH_RECORDS,
        };
        Self {
            sink,
            batch: Vec::new(),
            // Small at first, so that an action that needs one record does not wait for a thousand.
            full: 1,
            most: most.min(BATCHED_RECORDS / task.boundaries().max(1)).max(1),
        }
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, record: Ref<'_, T>) -> Flow {
        T::cross(record, &mut self.batch, self.sink.each)?;
        if self.batch.len() < self.full {
            return ControlFlow::Continue(());
        }
        self.pass_on()
    }

    /// Returns the number of records until the batch is full.
    pub(crate) fn room(&self) -> usize {
        self.full - self.batch.len()
    }

    /// Adds records that fill the batch at most.
    #[inline]
    pub(crate) fn extend(&mut self, records: impl Iterator<Item = Owned<T>>) -> Flow {
        self.batch.extend(records);
        if self.room() > 0 {
            return ControlFlow::Continue(());
        }
        self.pass_on()
    }

    #[inline(always)]
    fn pass_on(&mut self) -> Flow {
        self.full = (self.full * 2).min(self.most);
        (self.sink.batch)(&mut self.batch)
    }

    /// Passes the last records to the sink, unless `flow` ends the pipeline: records before an error are never used.
    pub(crate) fn end(mut self, flow: Flow) -> Flow {
        if flow.is_continue() && !self.batch.is_empty() {
            return (self.sink.batch)(&mut self.batch);
        }
        flow
    }
}

/// Counts the records of one partition by the code that [`Pipeline::run_erased`] needs in any case.
pub(crate) fn count_erased<P: Pipeline>(
    pipeline: &P,
    partition: Partition,
    task: &Task<'_>,
) -> Result<u64> {
    let count = std::cell::Cell::new(0);
    let each = &mut |_: Ref<'_, P::Out>| {
        count.set(count.get() + 1);
        Flow::Continue(())
    };
    let batch = &mut |batch: &mut Vec<Owned<P::Out>>| {
        count.set(count.get() + batch.len() as u64);
        batch.clear();
        Flow::Continue(())
    };
    let _ = pipeline.run_erased(partition, task, ErasedSink { each, batch })?;
    Ok(count.get())
}

/// A [`Pipeline`] that can be behind a pointer.
pub(crate) trait Erased<T: Record + ?Sized>: Linked + Any {
    fn partitions(&self) -> Option<usize>;
    fn stream(&self) -> PartitionStream<'_>;
    fn run(&self, partition: Partition, task: &Task<'_>, sink: ErasedSink<'_, T>) -> Result<Flow>;
    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64>;
    fn known_count(&self, partition: usize, task: &Task<'_>) -> Result<Option<u64>>;
    fn save(&self, to: &mut Saver) -> Result<()>;
}

fn load<T, P>(from: &mut Loader<'_>) -> Result<Arc<dyn Erased<T>>>
where
    T: Record + ?Sized,
    P: Pipeline<Out = T>,
{
    Ok(Arc::new(P::load(from)?))
}

impl<T: Record + ?Sized> Portable for Boxed<T> {
    fn save(&self, to: &mut Saver) -> Result<()> {
        stack::grown(|| self.pipeline.save(to))
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        stack::grown(|| from.entry()).map(Self::new)
    }
}

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Erased<T> for P {
    fn partitions(&self) -> Option<usize> {
        Pipeline::partitions(self)
    }

    fn stream(&self) -> PartitionStream<'_> {
        Pipeline::stream(self)
    }

    fn run(&self, partition: Partition, task: &Task<'_>, sink: ErasedSink<'_, T>) -> Result<Flow> {
        self.run_erased(partition, task, sink)
    }

    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        Pipeline::count(self, partition, task)
    }

    fn known_count(&self, partition: usize, task: &Task<'_>) -> Result<Option<u64>> {
        Pipeline::known_count(self, partition, task)
    }

    fn save(&self, to: &mut Saver) -> Result<()> {
        to.entry(const { &FunctionEntry::of::<P>(load::<T, P>) })?;
        Portable::save(self, to)
    }
}

impl<T: Record + ?Sized> Pipeline for Boxed<T> {
    type Out = T;

    const MAKES_BATCHES: bool = T::IN_BATCHES;
    const GETS_BATCHES: bool = T::IN_BATCHES;

    fn partitions(&self) -> Option<usize> {
        self.partitions
    }

    fn stream(&self) -> PartitionStream<'_> {
        stack::grown(|| self.pipeline.stream())
    }

    fn erase(self: Arc<Self>) -> Self {
        Arc::unwrap_or_clone(self)
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        run_into(self, partition, task, sink)
    }

    fn run_erased(
        &self,
        partition: Partition,
        task: &Task<'_>,
        sink: ErasedSink<'_, T>,
    ) -> Result<Flow> {
        let mut deep;
        let ErasedSink { each, batch } = sink;
        let depth = task.enter_boundary();
        let each = if depth <= SHALLOW {
            each
        } else {
            deep = |record: Ref<'_, T>| stack::grown(|| each(record));
            &mut deep
        };
        let batch = &mut |records: &mut Vec<Owned<T>>| {
            task.behind_the_source(&mut || stack::grown(|| batch(records)))
        };
        let flow = stack::grown(|| {
            let sink = ErasedSink { each, batch };
            self.erased().run(partition, task, sink)
        });
        task.leave_boundary();
        flow
    }

    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        stack::grown(|| self.pipeline.count(partition, task))
    }

    fn known_count(&self, partition: usize, task: &Task<'_>) -> Result<Option<u64>> {
        stack::grown(|| self.pipeline.known_count(partition, task))
    }
}

/// Implements [`Pipeline::run`] by [`Pipeline::run_erased`].
pub(crate) fn run_into<P, S>(
    pipeline: &P,
    partition: Partition,
    task: &Task<'_>,
    sink: &mut S,
) -> Result<Flow>
where
    P: Pipeline,
    S: for<'a> FnMut(Ref<'a, P::Out>) -> Flow,
{
    // Two closures cannot borrow one sink, and a record comes by one of them only.
    let sink = std::cell::RefCell::new(sink);
    let each = &mut |record: Ref<'_, P::Out>| (*sink.borrow_mut())(record);
    let batch = &mut |batch: &mut Vec<Owned<P::Out>>| {
        let sink = &mut **sink.borrow_mut();
        let mut records = batch.drain(..);
        records.try_for_each(|owned| P::Out::lend(owned, &mut *sink))
    };
    pipeline.run_erased(partition, task, ErasedSink { each, batch })
}
