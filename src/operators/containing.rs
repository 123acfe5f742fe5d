//! `containing`: the records with something in them. Narrow.

use std::sync::Arc;

use crate::error::Result;
use crate::pipeline::{Pipeline, Record, Ref};
use crate::task::{Flow, Partition, PartitionStream, Task};
use crate::text::Needle;

pub(crate) struct Containing<P> {
    pub(crate) parent: Arc<P>,
    pub(crate) needle: Needle,
}

impl<T, P> Pipeline for Containing<P>
where
    T: AsRef<[u8]> + for<'a> Record<Peek<'a> = &'a T> + ?Sized,
    P: Pipeline<Out = T>,
{
    type Out = T;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    #[inline]
    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        self.parent
            .run_containing(&self.needle, partition, task, sink)
    }
}
