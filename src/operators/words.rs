//! `words`: the words of each record, borrowed from it. Narrow.

use std::sync::Arc;

use crate::error::Result;
use crate::pipeline::Pipeline;
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, Task};
use crate::text::for_each_word;

pub(crate) struct Words<P> {
    pub(crate) parent: Arc<P>,
}

portable! {
    [P: Portable] Words<P> { parent: part }
}

impl<P: Pipeline<Out = str>> Pipeline for Words<P> {
    type Out = str;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    #[inline]
    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(&str) -> Flow,
    {
        // No word spans two records, so the text may contain any number of records.
        self.parent.run_text(partition, task, &mut |text, _| {
            for_each_word(text, &mut *sink)
        })
    }
}
