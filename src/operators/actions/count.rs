//! `count`: the number of records.

use crate::error::Result;
use crate::pipeline::{Action, Pipeline, Record};
use crate::portable::portable;
use crate::task::{Partition, Site, Task};

pub(crate) struct Count {
    pub(crate) site: Site,
}

portable! {
    [] Count { site: part }
}

impl<T: Record + ?Sized> Action<T> for Count {
    type Part = u64;

    fn site(&self) -> Site {
        self.site
    }

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<u64>
    where
        P: Pipeline<Out = T>,
    {
        pipeline.count(partition, task)
    }

    sent_whole!(T);
}
