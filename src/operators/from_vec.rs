//! `from_vec`: records that are in memory. A source.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::range::bounds;
use crate::error::Result;
use crate::pipeline::Pipeline;
use crate::task::{Flow, Partition, PartitionStream, Task};

pub(crate) struct FromVec<T> {
    pub(crate) records: Arc<Vec<T>>,
    pub(crate) partitions: usize,
}

impl<T: Clone + Send + Sync + 'static> Pipeline for FromVec<T> {
    type Out = T;

    fn partitions(&self) -> Option<usize> {
        Some(self.partitions)
    }

    fn stream(&self) -> PartitionStream<'_> {
        super::union::open(self)
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(T) -> Flow,
    {
        let (start, end) = bounds(self.records.len() as u64, partition.index, self.partitions);
        for records in self.records[start as usize..end as usize].chunks(super::STOP_CHECK_RECORDS)
        {
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
}
