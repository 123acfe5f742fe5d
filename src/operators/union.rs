//! `union`: the partitions of one bag, then those of another. Narrow.

use std::sync::Arc;

use crate::error::Result;
use crate::pipeline::{Pipeline, Ref};
use crate::portable::{Loader, Portable, Saver, portable};
use crate::task::{Flow, Partition, PartitionStream, Task};

pub(crate) struct Union<A, B> {
    pub(crate) first: Arc<A>,
    pub(crate) second: Arc<B>,
}

portable! {
    [A: Portable, B: Portable] Union<A, B> { first: part, second: part }
}

/// Where a partition of a union comes from, if their numbers do not tell.
enum Side {
    First(Partition),
    Second(Partition),
}

impl Portable for Side {
    fn save(&self, to: &mut Saver) -> Result<()> {
        let (is_first, partition) = match self {
            Self::First(partition) => (true, partition),
            Self::Second(partition) => (false, partition),
        };
        to.data(&is_first)?;
        partition.save(to)
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        let is_first = from.data()?;
        let partition = Partition::load(from)?;
        Ok(if is_first {
            Self::First(partition)
        } else {
            Self::Second(partition)
        })
    }
}

impl<A: Pipeline, B: Pipeline<Out = A::Out>> Union<A, B> {
    fn side(&self, partition: Partition) -> Side {
        if partition.has_payload() {
            let Some(side) = partition.into_payload() else {
                unreachable!("the partitions of this union come from its own stream")
            };
            return side;
        }
        match self.first.partitions() {
            Some(first) if partition.index >= first => {
                Side::Second(Partition::at(partition.index - first))
            }
            _ => Side::First(partition),
        }
    }
}

impl<A: Pipeline, B: Pipeline<Out = A::Out>> Pipeline for Union<A, B> {
    type Out = A::Out;

    fn partitions(&self) -> Option<usize> {
        Some(self.first.partitions()? + self.second.partitions()?)
    }

    fn stream(&self) -> PartitionStream<'_> {
        let mut first = Some(open(&*self.first));
        let mut second = open(&*self.second);
        let mut index = 0;
        Box::new(move || {
            let mut side = None;
            if let Some(next) = &mut first {
                side = next()?.map(Side::First);
                if side.is_none() {
                    first = None;
                }
            }
            if side.is_none() {
                side = second()?.map(Side::Second);
            }
            Ok(side.map(|side| {
                index += 1;
                Partition::with(index - 1, side)
            }))
        })
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, A::Out>) -> Flow,
    {
        match self.side(partition) {
            Side::First(partition) => self.first.run(partition, task, sink),
            Side::Second(partition) => self.second.run(partition, task, sink),
        }
    }
}

/// The partitions of `pipeline` as a stream, whether their number is known or not.
fn open<P: Pipeline>(pipeline: &P) -> PartitionStream<'_> {
    match pipeline.partitions() {
        None => pipeline.stream(),
        Some(partitions) => {
            let mut indices = 0..partitions;
            Box::new(move || Ok(indices.next().map(Partition::at)))
        }
    }
}
