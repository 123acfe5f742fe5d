//! `count`: the number of records.

use super::{receive_whole, send_whole};
use crate::error::Result;
use crate::pipeline::{Action, Pipeline, Record};
use crate::portable::portable;
use crate::task::{Flow, Partition, Site, Task};

pub(crate) struct Count {
    pub(crate) site: Site,
}

portable! {
    [] Count { site: part }
}

impl<T: Record + ?Sized> Action<T> for Count {
    type Part = u64;

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<u64>
    where
        P: Pipeline<Out = T>,
    {
        pipeline.count(partition, task)
    }

    fn send<P>(
        &self,
        pipeline: &P,
        partition: Partition,
        task: &Task<'_>,
        emit: &mut dyn FnMut(Vec<u8>) -> Result<Flow>,
    ) -> Result<()>
    where
        P: Pipeline<Out = T>,
    {
        let part = self.compute(pipeline, partition, task)?;
        send_whole(&part, self.site, task, emit)
    }

    fn receive(&self, bytes: &[u8]) -> Result<u64> {
        receive_whole(bytes, self.site)
    }
}
