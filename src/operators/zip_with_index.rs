//! `zip_with_index`: pairs each record with its index in the bag.
//!
//! Map side: counts the records of each partition; the counts are sent to every task. The bag is not shuffled, but
//! computed twice.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::{Error, ErrorContext, ErrorKind, Result};
use crate::id::ShuffleId;
use crate::pipeline::{Key, Owned, Pipeline, Record};
use crate::portable::{Portable, portable};
use crate::shuffle::{KeyedOutputs, Lookup};
use crate::storage::codec;
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

/// The index of a partition and its number of records.
pub(crate) type PartitionCount = (usize, u64);

/// Computes the [`PartitionCount`] of each partition, with the same key for all.
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
        // An interrupted partition must not be counted as complete.
        if task.has_failed() || task.is_stopped() {
            return Ok(ControlFlow::Break(()));
        }
        Ok(sink(((), (index, count))))
    }
}

pub(crate) struct ZipWithIndex<P> {
    pub(crate) parent: Arc<P>,
    /// The shuffle of the counts from [`CountEach`], into one partition.
    pub(crate) counts: ShuffleId,
    pub(crate) site: Site,
}

portable! {
    [P: Portable] ZipWithIndex<P> { parent: part, site: part, counts: data }
}

impl<P: Pipeline> ZipWithIndex<P> {
    /// Returns the number of records before a partition, and in it.
    fn count(&self, partition: usize, task: &Task<'_>) -> Result<(u64, u64)> {
        let outputs = task.map_outputs(self.counts, |blocks| {
            KeyedOutputs::import_broadcast(blocks, task.resources())
        })?;
        let counts = outputs.lookup(task.resources())?;
        let ends = counts.made(|| self.ends(&counts))?;
        let after = ends.partition_point(|(earlier, _)| *earlier < partition);
        let before = after.checked_sub(1).map_or(0, |last| ends[last].1);
        let counted = ends.get(after).filter(|(counted, _)| *counted == partition);
        Ok((before, counted.map_or(0, |(_, end)| end - before)))
    }

    /// For each partition the number of records up to its end, in ascending order.
    fn ends(&self, counts: &Lookup) -> Result<Vec<PartitionCount>> {
        let mut key = Vec::new();
        <() as Key>::append_bytes(&(), &mut key)?;
        let mut ends = Vec::new();
        let flow = counts.for_each(&key, |bytes| match codec::decode::<PartitionCount>(bytes) {
            Ok(count) => {
                ends.push(count);
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        });
        if let ControlFlow::Break(error) = flow {
            return Err(error.at(self.site));
        }
        ends.sort_unstable();
        let mut end = 0;
        for (_, records) in &mut ends {
            end += *records;
            *records = end;
        }
        Ok(ends)
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
            let context = ErrorContext::from(self.site);
            return Err(Error::new(ErrorKind::NotRepeatable { context }));
        }
        Ok(flow)
    }
}
