//! The common part of narrow operators: each is a step between a pipeline and its sink.

use std::sync::Arc;

use crate::error::Result;
use crate::pipeline::{Pipeline, Record, Ref};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, Task};

/// The effect of a narrow operator on one record.
pub(crate) trait Step<In: Record + ?Sized>: Portable + Send + Sync + 'static {
    type Out: Record + ?Sized;

    /// Whether the step leaves the keys of pairs unchanged.
    const KEEPS_RECORDS: bool = false;

    /// Processes one record and pushes the results into `sink`.
    fn push<S>(&self, record: Ref<'_, In>, task: &Task<'_>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, Self::Out>) -> Flow;
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

    #[inline]
    fn push<S>(&self, record: Ref<'_, In>, task: &Task<'_>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, B::Out>) -> Flow,
    {
        self.0
            .push(record, task, &mut |record| self.1.push(record, task, sink))
    }
}
