//! `try_for_each`: a closure that is called with each record, and may fail.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::{receive_whole, send_whole};
use crate::error::Result;
use crate::pipeline::{Action, Pipeline, Record, Ref};
use crate::portable::portable;
use crate::task::{Flow, Partition, Site, Task};

pub(crate) struct TryForEach<F, E> {
    pub(crate) site: Site,
    pub(crate) op: F,
    pub(crate) error: PhantomData<fn() -> E>,
}

portable! {
    [F, E] TryForEach<F, E> { site: part, op: code, error: part }
}

impl<T, F, E> Action<T> for TryForEach<F, E>
where
    T: Record + ?Sized,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    F: for<'a> Fn(Ref<'a, T>) -> Result<(), E> + Send + Sync + 'static,
{
    type Part = ();

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<()>
    where
        P: Pipeline<Out = T>,
    {
        let _ = pipeline.run(partition, task, &mut |record| {
            let entered = task.enter(self.site);
            let outcome = (self.op)(record);
            entered.leave();
            match outcome {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => task.fail(self.site, error.into()),
            }
        })?;
        Ok(())
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
        self.compute(pipeline, partition, task)?;
        send_whole(&(), self.site, task, emit)
    }

    fn receive(&self, bytes: &[u8]) -> Result<()> {
        receive_whole(bytes, self.site)
    }
}
