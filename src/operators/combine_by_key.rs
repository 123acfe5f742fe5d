//! `combine_by_key`: one value per key. Wide.
//!
//! If the order of combining cannot matter, [`combine_any_order`] does the work, otherwise [`combine_in_order`].

use super::combining::{CombineInPlace, CombineRead};
use super::{combine_any_order, combine_in_order};
use crate::error::Result;
use crate::pipeline::{Owned, Pipeline};
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
        if C::COMMUTES {
            combine_any_order::read(self, partition.index, task, sink)
        } else {
            combine_in_order::read(self, partition.index, task, sink)
        }
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
        if C::COMMUTES {
            combine_any_order::run_in_place(self, partition, task, sink)
        } else {
            combine_in_order::run_in_place(self, partition, task, sink)
        }
    }
}
