//! `from_iter`: an iterator of unknown length, read while the job runs. A source.

use std::marker::PhantomData;
use std::mem;
use std::ops::ControlFlow;

use crate::error::{Result, caught};
use crate::pipeline::{Data, Pipeline};
use crate::portable::{Loader, Portable, Saver, portable};
use crate::task::{Flow, Partition, PartitionStream, STOP_CHECK_RECORDS, Site, Task};

/// Number of records of the first partition, and maximum number of records of a partition. Each partition has as many
/// records as all before it and 64 more, up to the maximum. The first ones are small, so that a short or slow iterator
/// keeps all cores busy. The later ones are larger, to amortise the cost of a task, but not so large that long records
/// pile up in memory.
const PARTITION_RECORDS: (usize, usize) = (64, 1024);

/// Records without heap memory cannot be long. For them, a later partition may have 1/`PART_OF_PULLED` of all records
/// read before it, so the last partitions still keep all cores busy. `MAX_RECORDS` and `MAX_BYTES` limit the records
/// of a partition, and their size in bytes.
const PART_OF_PULLED: usize = 64;
const MAX_RECORDS: usize = 16 << 10;
const MAX_BYTES: usize = 1 << 20;

/// Returns the number of records of the next partition, after `pulled` records have been read.
fn records_after<T>(pulled: usize) -> usize {
    let (least, most) = PARTITION_RECORDS;
    let doubled = (pulled + least).min(most);
    if mem::needs_drop::<T>() {
        return doubled;
    }
    let most = MAX_RECORDS.min(MAX_BYTES / size_of::<T>().max(1));
    doubled.max((pulled / PART_OF_PULLED).min(most))
}

pub(crate) struct FromIter<M, I> {
    /// Creates a new iterator for each job. `None` in worker processes, which receive the records instead.
    pub(crate) make: Option<M>,
    pub(crate) site: Site,
    pub(crate) out: PhantomData<fn() -> I>,
}

impl<M, I> Portable for FromIter<M, I> {
    fn save(&self, to: &mut Saver) -> Result<()> {
        to.refuse_key(self.site.operator)?;
        self.site.save(to)
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        Ok(Self {
            make: None,
            site: Portable::load(from)?,
            out: PhantomData,
        })
    }
}

/// The records of a partition.
struct Pulled<T> {
    site: Site,
    records: Vec<T>,
}

portable! {
    [T: Data] Pulled<T> { site: part, records: values }
}

impl<M, I> Pipeline for FromIter<M, I>
where
    M: Fn() -> I + Send + Sync + 'static,
    I: IntoIterator<IntoIter: Send, Item: Data> + 'static,
{
    type Out = I::Item;

    fn partitions(&self) -> Option<usize> {
        None
    }

    fn stream(&self) -> PartitionStream<'_> {
        let Some(make) = &self.make else {
            unreachable!("partitions are pulled where the program's iterator is")
        };
        let mut records = None;
        let mut index = 0;
        let mut pulled = 0;
        Box::new(move || {
            let take = records_after::<I::Item>(pulled);
            let batch = caught(Some(self.site), || {
                let records = records.get_or_insert_with(|| make().into_iter());
                Ok(records.by_ref().take(take).collect::<Vec<I::Item>>())
            })?;
            if batch.is_empty() {
                return Ok(None);
            }
            pulled += batch.len();
            index += 1;
            let pulled = Pulled {
                site: self.site,
                records: batch,
            };
            Ok(Some(Partition::with(index - 1, pulled)))
        })
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(I::Item) -> Flow,
    {
        let Some(Pulled { records, .. }) = partition.into_payload::<Pulled<I::Item>>() else {
            unreachable!(
                "the partitions of {} come from its own stream",
                self.site.operator
            )
        };
        for (i, record) in records.into_iter().enumerate() {
            if (i % STOP_CHECK_RECORDS == 0 && task.is_stopped()) || sink(record).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the numbers of records of the partitions, for `records` records in all.
    fn partitions<T>(records: usize) -> Vec<usize> {
        let mut pulled = 0;
        let mut partitions = Vec::new();
        while pulled < records {
            partitions.push(records_after::<T>(pulled));
            pulled += partitions[partitions.len() - 1];
        }
        partitions
    }

    #[test]
    fn partitions_grow_with_what_came_before() {
        let first = [64, 128, 256, 512, 1024, 1024];
        let of_strings = partitions::<String>(1_000_000);
        assert_eq!(of_strings[..6], first);
        assert!(of_strings[6..].iter().all(|records| *records == 1024));

        for (most, of_all) in [
            (16_384, partitions::<u64>(10_000_000)),
            (16_384, partitions::<()>(10_000_000)),
            (1 << 14, partitions::<[u64; 8]>(10_000_000)),
            (1 << 12, partitions::<[u64; 32]>(10_000_000)),
            (1 << 10, partitions::<[[u64; 32]; 32]>(10_000_000)),
        ] {
            assert_eq!(of_all[..6], first);
            assert!(of_all.is_sorted() && of_all.last() == Some(&most), "{most}");
            // No partition is so large that other threads would wait for it for long.
            let mut before = 0;
            for records in of_all {
                assert!(records <= 1024 || records <= before / 64);
                before += records;
            }
        }
    }
}
