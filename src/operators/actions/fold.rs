//! `fold`, `aggregate`, `reduce`, `sum`, `min`, `max` and `for_each`: one value for all records of a partition.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use crate::error::Result;
use crate::pipeline::{Action, Call, Data, Owned, Pipeline, Record, Ref, run_batches};
use crate::portable::{Portable, portable};
use crate::task::{Partition, Site, Task};

/// Adds one record after another to the value that `make` returns.
pub(crate) struct Fold<T: ?Sized, A, Make, Add> {
    pub(crate) site: Site,
    /// Returns the value of no records.
    pub(crate) make: Make,
    /// Adds a record to the value of those before it.
    pub(crate) add: Add,
    pub(crate) types: PhantomData<fn(&T) -> A>,
}

portable! {
    [T: ?Sized, A, Make: Portable, Add: Portable] Fold<T, A, Make, Add> {
        site: part, make: part, add: part, types: part,
    }
}

impl<T, A, Make, Add> Action<T> for Fold<T, A, Make, Add>
where
    T: Record + ?Sized,
    A: Data,
    Make: Call<(), Out = A>,
    Add: for<'a> Call<(A, Ref<'a, T>), Out = A>,
{
    type Part = A;

    fn site(&self) -> Site {
        self.site
    }

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<A>
    where
        P: Pipeline<Out = T>,
    {
        let mut folded = Some(self.make.call(()));
        if P::GETS_BATCHES {
            let add = |folded, record: Owned<T>| {
                T::lend(record, |record| self.add.call((folded, record)))
            };
            // The value is in registers for the length of a batch.
            let _ = run_batches(pipeline, partition, task, |records| {
                let fold = |value| records.drain(..).fold(value, add);
                folded = task.call(&self.site, || folded.take().map(fold));
                ControlFlow::Continue(())
            })?;
            return Ok(folded.unwrap_or_else(|| self.make.call(())));
        }
        let _ = pipeline.run(partition, task, &mut |record| {
            let add = |folded| self.add.call((folded, record));
            folded = task.call(&self.site, || folded.take().map(add));
            ControlFlow::Continue(())
        })?;
        Ok(folded.unwrap_or_else(|| self.make.call(())))
    }

    sent_whole!(T);
}
