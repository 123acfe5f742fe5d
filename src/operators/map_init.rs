//! `map_init`: one record for each record, by a closure with a value of its own for each partition. Narrow.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::Result;
use crate::pipeline::{Call, Pipeline, Record, Ref};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

pub(crate) struct MapInit<P, I, C, U> {
    pub(crate) parent: Arc<P>,
    pub(crate) init: I,
    pub(crate) op: C,
    pub(crate) site: Site,
    pub(crate) out: PhantomData<fn() -> U>,
}

portable! {
    [P: Portable, I: Portable, C: Portable, U] MapInit<P, I, C, U> {
        site: part, parent: part, init: part, op: part, out: part,
    }
}

impl<P, I, C, U> Pipeline for MapInit<P, I, C, U>
where
    P: Pipeline,
    I: Call<()>,
    C: for<'s, 'a> Call<(&'s mut I::Out, Ref<'a, P::Out>), Out = U>,
    U: 'static,
{
    type Out = U;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(U) -> Flow,
    {
        let mut scratch = task.call(&self.site, || self.init.call(()));
        self.parent.run(partition, task, &mut |record| {
            let out = task.call(&self.site, || self.op.call((&mut scratch, record)));
            if P::Out::IS_STREAM && task.has_failed() {
                return ControlFlow::Break(());
            }
            sink(out)
        })
    }
}
