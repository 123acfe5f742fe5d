//! `zip_with_index`: each record with its place in the bag.
//!
//! Map side: the number of records of each partition, which is sent to every task. The bag is not shuffled, but computed
//! a second time.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::id::ShuffleId;
use crate::pipeline::{Key, Owned, Pipeline, Record};
use crate::portable::{Portable, portable};
use crate::shuffle::{GroupOutputs, HashPartitioner};
use crate::storage::codec;
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

/// The number of a partition, and that of its records.
pub(crate) type PartitionCount = (usize, u64);

/// For each partition its [`PartitionCount`], under one key.
pub(crate) struct CountEach<P> {
    pub(crate) parent: Arc<P>,
}

portable! {
    [P: Portable] CountEach<P> { parent: part }
}

impl<P: Pipeline> Pipeline for CountEach<P> {
    type Out = ((), PartitionCount);

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(((), PartitionCount)) -> Flow,
    {
        let index = partition.index;
        let count = self.parent.count(partition, task)?;
        // What was broken off must not pass for the whole.
        if task.has_failed() || task.is_stopped() {
            return Ok(ControlFlow::Break(()));
        }
        Ok(sink(((), (index, count))))
    }
}

pub(crate) struct ZipWithIndex<P> {
    pub(crate) parent: Arc<P>,
    /// What [`CountEach`] gives, in one partition.
    pub(crate) counts: ShuffleId,
    pub(crate) site: Site,
}

portable! {
    [P: Portable] ZipWithIndex<P> { parent: part, site: part, counts: data }
}

impl<P: Pipeline> ZipWithIndex<P> {
    /// The number of records before a partition, and in it.
    fn count(&self, partition: usize, task: &Task<'_>) -> Result<(u64, u64)> {
        let outputs = task.map_outputs(self.counts, |blocks| {
            GroupOutputs::import(HashPartitioner::new(1), true, blocks, task.resources())
        })?;
        let counts = outputs.lookup(task.resources())?;
        let mut key = Vec::new();
        <() as Key>::append_bytes(&(), &mut key)?;
        let (mut before, mut within) = (0, 0);
        let flow = counts.for_each(&key, |bytes| match codec::decode::<PartitionCount>(bytes) {
            Ok((counted, records)) => {
                match counted.cmp(&partition) {
                    Ordering::Less => before += records,
                    Ordering::Equal => within = records,
                    Ordering::Greater => {}
                }
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        });
        match flow {
            ControlFlow::Continue(()) => Ok((before, within)),
            ControlFlow::Break(error) => Err(error.at(self.site)),
        }
    }
}

impl<P: Pipeline> Pipeline for ZipWithIndex<P> {
    type Out = (Owned<P::Out>, u64);

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut((Owned<P::Out>, u64)) -> Flow,
    {
        let (mut index, records) = self.count(partition.index, task)?;
        let end = index + records;
        let flow = self.parent.run(partition, task, &mut |record| {
            let indexed = (P::Out::into_owned(record), index);
            index += 1;
            sink(indexed)
        })?;
        // Otherwise the records of other partitions would have the wrong numbers.
        if index > end || index < end && flow.is_continue() && !task.is_stopped() {
            let place = Place::from(self.site);
            return Err(Error::new(ErrorKind::NotRepeatable { place }));
        }
        Ok(flow)
    }
}
