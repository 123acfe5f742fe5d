//! `try_fold`, `try_aggregate` and `try_reduce`: a fold by a closure that may fail.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use crate::error::{BoxError, Result};
use crate::pipeline::{Action, Call, Data, Pipeline, Record, Ref};
use crate::portable::{Portable, portable};
use crate::task::{Partition, Site, Task};

/// Adds one record after another to the value that `make` returns, until `add` fails.
pub(crate) struct TryFold<T: ?Sized, A, E, Make, Add> {
    pub(crate) site: Site,
    /// Returns the value of no records.
    pub(crate) make: Make,
    /// Adds a record to the value of those before it.
    pub(crate) add: Add,
    pub(crate) types: PhantomData<fn(&T) -> A>,
    pub(crate) error: PhantomData<fn() -> E>,
}

portable! {
    [T: ?Sized, A, E, Make: Portable, Add: Portable] TryFold<T, A, E, Make, Add> {
        site: part, make: part, add: part, types: part, error: part,
    }
}

impl<T, A, E, Make, Add> Action<T> for TryFold<T, A, E, Make, Add>
where
    T: Record + ?Sized,
    A: Data,
    E: Into<BoxError> + 'static,
    Make: Call<(), Out = A>,
    Add: for<'a> Call<(A, Ref<'a, T>), Out = Result<A, E>>,
{
    /// `None` if `add` has failed.
    type Part = Option<A>;

    fn site(&self) -> Site {
        self.site
    }

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<Option<A>>
    where
        P: Pipeline<Out = T>,
    {
        let mut folded = Some(task.call(&self.site, || self.make.call(())));
        let _ = pipeline.run(partition, task, &mut |record| {
            let add = |folded| self.add.call((folded, record));
            match task.call(&self.site, || folded.take().map(add)) {
                Some(Ok(added)) => {
                    folded = Some(added);
                    ControlFlow::Continue(())
                }
                Some(Err(error)) => task.fail(self.site, error),
                None => ControlFlow::Break(()),
            }
        })?;
        Ok(folded)
    }

    sent_whole!(T);
}
