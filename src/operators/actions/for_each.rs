//! `try_for_each`: calls a closure that may fail with each record.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use crate::error::{BoxError, Result};
use crate::pipeline::{Action, Call, Pipeline, Record, Ref};
use crate::portable::{Portable, portable};
use crate::task::{Partition, Site, Task};

pub(crate) struct TryForEach<C, E> {
    pub(crate) site: Site,
    pub(crate) op: C,
    pub(crate) error: PhantomData<fn() -> E>,
}

portable! {
    [C: Portable, E] TryForEach<C, E> { site: part, op: part, error: part }
}

impl<T, C, E> Action<T> for TryForEach<C, E>
where
    T: Record + ?Sized,
    C: for<'a> Call<(Ref<'a, T>,), Out = Result<(), E>>,
    E: Into<BoxError> + 'static,
{
    type Part = ();

    fn site(&self) -> Site {
        self.site
    }

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<()>
    where
        P: Pipeline<Out = T>,
    {
        let _ = pipeline.run(partition, task, &mut |record| {
            let outcome = task.call(&self.site, || self.op.call((record,)));
            match outcome {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => task.fail(self.site, error),
            }
        })?;
        Ok(())
    }

    sent_whole!(T);
}
