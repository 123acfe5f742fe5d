//! `from_vec`: records in memory. A source.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::range::bounds;
use crate::error::Result;
use crate::pipeline::{Data, Pipeline};
use crate::portable::{Loader, Portable, Saver};
use crate::task::{Flow, Partition, STOP_CHECK_RECORDS, Site, Task};

pub(crate) struct FromVec<T> {
    pub(crate) records: Arc<Vec<T>>,
    pub(crate) partitions: usize,
    pub(crate) site: Site,
}

impl<T: Data> Portable for FromVec<T> {
    fn save(&self, to: &mut Saver) -> Result<()> {
        self.site.save(to)?;
        to.data(&self.partitions)?;
        to.values(&self.records)
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        let site = Portable::load(from)?;
        let partitions = from.data()?;
        Ok(Self {
            records: Arc::new(from.values()?),
            partitions,
            site,
        })
    }
}

impl<T: Data + Clone + Sync> Pipeline for FromVec<T> {
    type Out = T;

    fn partitions(&self) -> Option<usize> {
        Some(self.partitions)
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(T) -> Flow,
    {
        let (start, end) = bounds(self.records.len() as u128, partition.index, self.partitions);
        for records in self.records[start as usize..end as usize].chunks(STOP_CHECK_RECORDS) {
            if task.is_stopped() {
                return Ok(ControlFlow::Break(()));
            }
            for record in records {
                if sink(record.clone()).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn known_count(&self, partition: usize, _: &Task<'_>) -> Result<Option<u64>> {
        let (start, end) = bounds(self.records.len() as u128, partition, self.partitions);
        Ok(u64::try_from(end - start).ok())
    }
}
