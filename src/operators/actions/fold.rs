//! `fold`, `aggregate`, `reduce`, `sum`, `min`, `max` and `for_each`: one value of all records of a partition.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::Result;
use crate::pipeline::{Action, Data, Pipeline, Record, Ref};
use crate::portable::portable;
use crate::task::{Partition, Site, Task};

/// Takes in one record after the other, beginning with what `make` makes.
pub(crate) struct Fold<T: ?Sized, I, S, A, F, Make, Add> {
    pub(crate) site: Site,
    pub(crate) initial: I,
    /// What the closure of the program is handed first.
    pub(crate) state: Arc<S>,
    /// The closure of the program.
    pub(crate) op: F,
    /// The value of no records.
    pub(crate) make: Make,
    /// The value with one record more.
    pub(crate) add: Add,
    pub(crate) types: PhantomData<fn(&T) -> A>,
}

portable! {
    [T: ?Sized, I: Data, S: Data + Sync, A, F, Make, Add] Fold<T, I, S, A, F, Make, Add> {
        site: part, initial: value, state: state, op: code, make: code, add: code, types: part,
    }
}

impl<T, I, S, A, F, Make, Add> Action<T> for Fold<T, I, S, A, F, Make, Add>
where
    T: Record + ?Sized,
    I: Data + Sync,
    S: Data + Sync,
    A: Data,
    F: Send + Sync + 'static,
    Make: Fn(&I) -> A + Send + Sync + 'static,
    Add: for<'a> Fn(&F, &S, A, Ref<'a, T>) -> A + Send + Sync + 'static,
{
    type Part = A;

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<A>
    where
        P: Pipeline<Out = T>,
    {
        let mut folded = Some((self.make)(&self.initial));
        let _ = pipeline.run(partition, task, &mut |record| {
            let add = |folded| (self.add)(&self.op, &self.state, folded, record);
            folded = task.call(&self.site, || folded.take().map(add));
            ControlFlow::Continue(())
        })?;
        Ok(folded.unwrap_or_else(|| (self.make)(&self.initial)))
    }

    sent_whole!(T);
}
