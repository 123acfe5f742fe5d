//! `from_iter`: an iterator of unknown length, read while the job runs. A source.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::Result;
use crate::pipeline::{Data, Pipeline};
use crate::portable::{Loader, Portable, Saver, portable};
use crate::task::{Flow, Partition, PartitionStream, Site, Task, panicked};

/// How many records the first partition takes; each next one takes twice as many, up to the last number. The first are
/// small so that a short or slow iterator keeps all cores busy; the last are larger, so that handing out costs little,
/// and no larger than that, so that long records do not pile up.
const PARTITION_RECORDS: (usize, usize) = (64, 1024);

pub(crate) struct FromIter<M, I> {
    /// Makes the iterator anew for each job. Worker processes do without: records are sent to them.
    pub(crate) make: Option<M>,
    pub(crate) site: Site,
    pub(crate) out: PhantomData<fn() -> I>,
}

impl<M, I> Portable for FromIter<M, I> {
    fn save(&self, to: &mut Saver) -> Result<()> {
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
struct Pulled<T>(Vec<T>);

portable! {
    [T: Data] Pulled<T> { 0: data }
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
        let mut take = PARTITION_RECORDS.0;
        Box::new(move || {
            let pulled = catch_unwind(AssertUnwindSafe(|| {
                let records = records.get_or_insert_with(|| make().into_iter());
                records.by_ref().take(take).collect::<Vec<I::Item>>()
            }));
            let batch = pulled.map_err(|payload| panicked(Some(self.site), payload))?;
            if batch.is_empty() {
                return Ok(None);
            }
            take = (take * 2).min(PARTITION_RECORDS.1);
            index += 1;
            Ok(Some(Partition::with(index - 1, Pulled(batch))))
        })
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(I::Item) -> Flow,
    {
        let Some(Pulled(batch)) = partition.into_payload::<Pulled<I::Item>>() else {
            unreachable!(
                "the partitions of {} come from its own stream",
                self.site.operator
            )
        };
        for (i, record) in batch.into_iter().enumerate() {
            if (i % super::STOP_CHECK_RECORDS == 0 && task.is_stopped()) || sink(record).is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
