//! `coalesce`: merges neighbouring partitions. Narrow.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::range::bounds;
use crate::error::Result;
use crate::pipeline::{Pipeline, Ref};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, Task};

pub(crate) struct Coalesce<P> {
    pub(crate) parent: Arc<P>,
    pub(crate) most: usize,
}

portable! {
    [P: Portable] Coalesce<P> { parent: part, most: data }
}

impl<P: Pipeline> Pipeline for Coalesce<P> {
    type Out = P::Out;

    fn partitions(&self) -> Option<usize> {
        Some(self.parent.partitions()?.min(self.most))
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, P::Out>) -> Flow,
    {
        // A stream of partitions is left unchanged, because their number is unknown.
        let Some(parents) = self.parent.partitions() else {
            return self.parent.run(partition, task, sink);
        };
        let (start, end) = bounds(parents as u128, partition.index, parents.min(self.most));
        for index in start..end {
            let flow = self.parent.run(Partition::at(index as usize), task, sink)?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
