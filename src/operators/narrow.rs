//! The common part of narrow operators: each is a step between a pipeline and its sink.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::Result;
use crate::pipeline::{
    ErasedSink, Owned, Pipeline, Record, Ref, count_erased, push_erased, run_batches,
};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, Task};

/// The effect of a narrow operator on one record.
pub(crate) trait Step<In: Record + ?Sized>: Portable + Send + Sync + 'static {
    type Out: Record + ?Sized;

    /// Whether the step leaves the keys of pairs unchanged.
    const KEEPS_RECORDS: bool = false;

    /// Whether the step passes on exactly one record for each.
    const IS_ONE_TO_ONE: bool = false;

    /// Whether the step implements [`push_batch`](Self::push_batch).
    const TAKES_BATCHES: bool = false;

    /// Processes one record and pushes the results into `sink`.
    fn push<S>(&self, record: Ref<'_, In>, task: &Task<'_>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, Self::Out>) -> Flow;

    /// Adds the number of records that [`push`](Self::push) passes on to `count`.
    #[inline]
    fn count(&self, record: Ref<'_, In>, task: &Task<'_>, count: &mut u64) -> Flow {
        self.push(record, task, &mut |_| {
            *count += 1;
            ControlFlow::Continue(())
        })
    }

    /// Processes a batch, and leaves it empty. Replaces the content of `out` by the results, which are no more than the
    /// records.
    ///
    /// A loop without any other work has no branch for a full batch or the end of the job, and can be vectorised.
    fn push_batch(
        &self,
        _records: &mut Vec<Owned<In>>,
        _task: &Task<'_>,
        _out: &mut Vec<Owned<Self::Out>>,
    ) {
        unreachable!("the step takes single records")
    }
}

/// A pipeline with one more step.
pub(crate) struct Narrow<P, O> {
    parent: Arc<P>,
    step: O,
}

portable! {
    [P: Portable, O: Portable] Narrow<P, O> { parent: part, step: part }
}

impl<P, O> Narrow<P, O> {
    pub(crate) fn new(parent: Arc<P>, step: O) -> Self {
        Self { parent, step }
    }
}

impl<P: Pipeline, O: Step<P::Out>> Pipeline for Narrow<P, O> {
    type Out = O::Out;

    const MAKES_BATCHES: bool =
        P::MAKES_BATCHES && O::TAKES_BATCHES && P::Out::IN_BATCHES && O::Out::IN_BATCHES;
    const GETS_BATCHES: bool = P::GETS_BATCHES && Self::MAKES_BATCHES;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    #[inline]
    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, O::Out>) -> Flow,
    {
        self.parent.run(partition, task, &mut |record| {
            self.step.push(record, task, sink)
        })
    }

    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        if Self::GETS_BATCHES {
            return count_erased(self, partition, task);
        }
        let mut count = 0;
        let _ = self.parent.run(partition, task, &mut |record| {
            self.step.count(record, task, &mut count)
        })?;
        Ok(count)
    }

    fn known_count(&self, partition: usize, task: &Task<'_>) -> Result<Option<u64>> {
        match O::IS_ONE_TO_ONE {
            true => self.parent.known_count(partition, task),
            false => Ok(None),
        }
    }

    fn run_erased(
        &self,
        partition: Partition,
        task: &Task<'_>,
        sink: ErasedSink<'_, O::Out>,
    ) -> Result<Flow> {
        if !Self::MAKES_BATCHES {
            return push_erased(self, partition, task, sink);
        }
        let (mut sink, mut out) = (sink, Vec::new());
        run_batches(&*self.parent, partition, task, |records| {
            self.step.push_batch(records, task, &mut out);
            match out.is_empty() {
                true => ControlFlow::Continue(()),
                false => sink.push_batch(&mut out),
            }
        })
    }
}

/// Two consecutive steps as one.
pub(crate) struct Then<A, B>(pub(crate) A, pub(crate) B);

portable! {
    [A: Portable, B: Portable] Then<A, B> { 0: part, 1: part }
}

impl<In, A, B> Step<In> for Then<A, B>
where
    In: Record + ?Sized,
    A: Step<In>,
    B: Step<A::Out>,
{
    type Out = B::Out;

    const IS_ONE_TO_ONE: bool = A::IS_ONE_TO_ONE && B::IS_ONE_TO_ONE;

    #[inline]
    fn push<S>(&self, record: Ref<'_, In>, task: &Task<'_>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, B::Out>) -> Flow,
    {
        self.0
            .push(record, task, &mut |record| self.1.push(record, task, sink))
    }
}
