//! `try_for_each`: a closure that is called with each record, and may fail.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::Result;
use crate::pipeline::{Action, Data, Pipeline, Record, Ref};
use crate::portable::portable;
use crate::task::{Partition, Site, Task};

pub(crate) struct TryForEach<S, F, E> {
    pub(crate) site: Site,
    pub(crate) state: Arc<S>,
    pub(crate) op: F,
    pub(crate) error: PhantomData<fn() -> E>,
}

portable! {
    [S: Data + Sync, F, E] TryForEach<S, F, E> {
        site: part, state: state, op: code, error: part,
    }
}

impl<T, S, F, E> Action<T> for TryForEach<S, F, E>
where
    T: Record + ?Sized,
    S: Data + Sync,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    F: for<'a> Fn(&S, Ref<'a, T>) -> Result<(), E> + Send + Sync + 'static,
{
    type Part = ();

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<()>
    where
        P: Pipeline<Out = T>,
    {
        let _ = pipeline.run(partition, task, &mut |record| {
            let outcome = task.call(&self.site, || (self.op)(&self.state, record));
            match outcome {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => task.fail(self.site, error),
            }
        })?;
        Ok(())
    }

    sent_whole!(T);
}
