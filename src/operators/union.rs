//! `union`: the partitions of one bag, then those of another. Narrow.

use std::sync::Arc;

use crate::error::Result;
use crate::pipeline::{Boxed, FlatUnion, Pipeline, Ref, partitions_of};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, Task};

pub(crate) struct Union<A, B> {
    pub(crate) first: Arc<A>,
    pub(crate) second: Arc<B>,
}

portable! {
    [A: Portable, B: Portable] Union<A, B> { first: part, second: part }
}

impl<A: Pipeline, B: Pipeline<Out = A::Out>> Pipeline for Union<A, B> {
    type Out = A::Out;

    fn partitions(&self) -> Option<usize> {
        Some(self.first.partitions()? + self.second.partitions()?)
    }

    fn stream(&self) -> PartitionStream<'_> {
        let mut sides = [partitions_of(&*self.first), partitions_of(&*self.second)];
        let mut index = 0;
        Box::new(move || {
            for (side, partitions) in sides.iter_mut().enumerate() {
                if let Some(partition) = partitions.next()? {
                    index += 1;
                    return Ok(Some(partition.of_side(side, index - 1)));
                }
            }
            Ok(None)
        })
    }

    fn erase(self: Arc<Self>) -> Boxed<A::Out> {
        let Self { first, second } = Arc::try_unwrap(self).unwrap_or_else(|shared| Self {
            first: Arc::clone(&shared.first),
            second: Arc::clone(&shared.second),
        });
        let union = FlatUnion::none().then(first.erase()).then(second.erase());
        Boxed::new(Arc::new(union))
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, A::Out>) -> Flow,
    {
        let (side, partition) = partition.into_side().unwrap_or_else(|partition| {
            let first = self.first.partitions().unwrap_or(usize::MAX);
            match partition.index.checked_sub(first) {
                None => (0, partition),
                Some(index) => (1, Partition::at(index)),
            }
        });
        match side {
            0 => self.first.run(partition, task, sink),
            _ => self.second.run(partition, task, sink),
        }
    }

    fn known_count(&self, partition: usize, task: &Task<'_>) -> Result<Option<u64>> {
        match (self.first.partitions(), self.second.partitions()) {
            (Some(first), Some(_)) if partition < first => self.first.known_count(partition, task),
            (Some(first), Some(_)) => self.second.known_count(partition - first, task),
            _ => Ok(None),
        }
    }
}
