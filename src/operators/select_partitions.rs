//! `select_partitions`: some of the partitions of a bag. Narrow.

use std::sync::Arc;

use crate::error::{Error, ErrorContext, ErrorKind, Result};
use crate::pipeline::{Pipeline, Ref};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

pub(crate) struct SelectPartitions<P> {
    pub(crate) parent: Arc<P>,
    /// Partitions of the parent, each at most once. Ascending if their number is unknown.
    pub(crate) selected: Vec<usize>,
    pub(crate) site: Site,
}

portable! {
    [P: Portable] SelectPartitions<P> { site: part, parent: part, selected: data }
}

impl<P: Pipeline> Pipeline for SelectPartitions<P> {
    type Out = P::Out;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions().map(|_| self.selected.len())
    }

    fn stream(&self) -> PartitionStream<'_> {
        let mut parents = self.parent.stream();
        let mut selected = self.selected.iter().enumerate();
        let mut pulled = 0;
        Box::new(move || {
            let Some((index, wanted)) = selected.next() else {
                return Ok(None);
            };
            while let Some(partition) = parents()? {
                pulled += 1;
                if partition.index == *wanted {
                    return Ok(Some(partition.of_side(0, index)));
                }
            }
            Err(Error::new(ErrorKind::MissingPartition {
                context: ErrorContext::from(self.site),
                reason: format!("it has {pulled} partitions, so there is no partition {wanted}"),
            }))
        })
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, P::Out>) -> Flow,
    {
        let parent = match partition.into_side() {
            Ok((_, parent)) => parent,
            Err(partition) => Partition::at(self.selected[partition.index]),
        };
        self.parent.run(parent, task, sink)
    }
}
