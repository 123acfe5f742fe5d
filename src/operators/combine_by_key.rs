//! `combine_by_key`: one value per key. Wide.
//!
//! If the order of combining cannot matter, [`combine_any_order`] does the work, otherwise [`combine_in_order`].

use super::combining::{CombineInPlace, CombineRead};
use super::{combine_any_order, combine_in_order};
use crate::error::Result;
use crate::pipeline::{BatchSink, ErasedSink, Owned, Pipeline, count_erased, run_into};
use crate::shuffle::Combine;
use crate::task::{Flow, Partition, PartitionStream, Task};

impl<C: Combine> Pipeline for CombineRead<C> {
    type Out = (Owned<C::Key>, C::Combined);

    fn partitions(&self) -> Option<usize> {
        Some(self.partitioner.partitions())
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(Self::Out) -> Flow,
    {
        run_into(self, partition, task, sink)
    }

    fn run_erased(
        &self,
        partition: Partition,
        task: &Task<'_>,
        sink: ErasedSink<'_, Self::Out>,
    ) -> Result<Flow> {
        let mut sink = BatchSink::new(task, sink);
        let flow = if C::COMMUTES {
            combine_any_order::read(self, partition.index, task, &mut sink)?
        } else {
            combine_in_order::read(self, partition.index, task, &mut sink)?
        };
        Ok(sink.end(flow))
    }

    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        count_erased(self, partition, task)
    }
}

impl<P, C> Pipeline for CombineInPlace<P, C>
where
    P: Pipeline,
    C: Combine<In = P::Out>,
{
    type Out = (Owned<C::Key>, C::Combined);

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(Self::Out) -> Flow,
    {
        run_into(self, partition, task, sink)
    }

    fn run_erased(
        &self,
        partition: Partition,
        task: &Task<'_>,
        sink: ErasedSink<'_, Self::Out>,
    ) -> Result<Flow> {
        let mut sink = BatchSink::new(task, sink);
        let flow = if C::COMMUTES {
            combine_any_order::run_in_place(self, partition, task, &mut sink)?
        } else {
            combine_in_order::run_in_place(self, partition, task, &mut sink)?
        };
        Ok(sink.end(flow))
    }

    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        count_erased(self, partition, task)
    }
}
