//! `words`: the words of each record, borrowed from it. Narrow.

use std::sync::Arc;

use crate::error::Result;
use crate::pipeline::{Pipeline, Ref, Text, TextSlice};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, Task};

pub(crate) struct Words<P> {
    pub(crate) parent: Arc<P>,
}

portable! {
    [P: Portable] Words<P> { parent: part }
}

impl<P: Pipeline<Out: Text>> Pipeline for Words<P> {
    type Out = <P::Out as Text>::Slice;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    #[inline]
    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, Self::Out>) -> Flow,
    {
        // No word spans two records, so the text may contain any number of records.
        self.parent.run_text(partition, task, &mut |text, _| {
            text.for_each_word(|word| sink(word))
        })
    }
}
